/** Runs the docker platform's own programs the way Pulumi's commands do. */
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import { secretsInput } from "../../../infra/platform/request.ts";
import { inRoot } from "../../../lib/paths.ts";
import { type Outcome, run } from "../../../lib/run.ts";
import { passingName } from "./containers.ts";
import type { Recording } from "./mocks.ts";

/** Runs a resource's shell command with its environment and input. */
export function runCommand(
  create: string,
  environment: Readonly<Record<string, string>>,
  input = "",
): Promise<Outcome> {
  return run(["sh", "-c", create], {
    cwd: inRoot("infra"),
    env: { ...process.env, ...environment },
    input,
  });
}

/** A volume that the files of a member are delivered into, and its removal. */
export class Delivered {
  readonly volume: string;
  readonly #image: string;

  constructor(image: string) {
    this.volume = passingName("files");
    this.#image = image;
  }

  /**
   * Delivers a recorded member's files, as `up` would.
   * @param container that takes notice @default one that does not exist
   * @param edit a change of the delivery's request @default none
   * @param secrets in place of those that are recorded, such as real certificates @default none
   */
  deliver(
    recording: Recording,
    member: string,
    {
      container = "unit-test-nobody",
      edit = (request: string) => request,
      secrets = {} as Readonly<Record<string, string>>,
    } = {},
  ): Promise<Outcome> {
    const { inputs } = recording.get("Command", `${member}-files`);
    const environment = inputs.environment as Record<string, string>;
    return runCommand(
      String(inputs.create),
      {
        ...environment,
        REQUEST: edit(environment.REQUEST ?? ""),
        TARGET: JSON.stringify({
          volume: this.volume,
          container,
          labels: ["hastack-test.passing=yes"],
        }),
        IMAGE: this.#image,
      },
      // What is said last counts
      String(inputs.stdin) + secretsInput(secrets),
    );
  }

  /** What lies in it, by a shell command run there. */
  look(script: string): Promise<string> {
    const mount = `--volume=${this.volume}:/etc/hastack`;
    return runDocker(["run", "--rm", "--network=none", mount, this.#image, "sh", "-c", script]);
  }

  async remove(): Promise<void> {
    await tryDocker(["volume", "rm", "--force", this.volume]);
  }
}
