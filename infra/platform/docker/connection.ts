/** How programs run in containers. Docker's own client may end before they do, so they have a limit. */
import type { Connection } from "../machine.ts";
import { tryDocker } from "./engine.ts";

/** In a container that runs. */
export function inContainer(name: string): Connection {
  return {
    run: (program, input, limitSeconds) =>
      tryDocker(
        ["exec", "--interactive", name, ...shell(program, limitSeconds)],
        input,
        limitSeconds + graceSeconds,
      ),
  };
}

/** A container for one program. */
export interface OneShot {
  readonly network: string;
  readonly labels: readonly string[];
  /** As `NAME:PATH`. */
  readonly volumes: readonly string[];
  /** Linux capabilities beyond the usual ones. @default none */
  readonly capabilities?: readonly string[];
  /** The usual ones that it does without. @default none */
  readonly without?: readonly string[];
}

export function inOneShot(
  image: string,
  { network, labels, volumes, capabilities = [], without = [] }: OneShot,
): Connection {
  const words = [
    "--rm",
    // The shell is not process 1 then, and ends when it is told to
    "--init",
    "--interactive",
    // What it prints goes to whoever waits for it
    "--log-driver=none",
    // Requests carry secrets, and are not to be written to a disk
    "--tmpfs=/run:exec",
    `--network=${network}`,
    ...labels.map((label) => `--label=${label}`),
    ...volumes.map((volume) => `--volume=${volume}`),
    ...capabilities.map((name) => `--cap-add=${name}`),
    ...without.map((name) => `--cap-drop=${name}`),
  ];
  return {
    run: (program, input, limitSeconds) =>
      tryDocker(
        ["run", ...words, image, ...shell(program, limitSeconds)],
        input,
        limitSeconds + graceSeconds,
      ),
  };
}

const graceSeconds = 10;

function shell(program: string, limitSeconds: number): string[] {
  return ["timeout", "--kill-after=5", String(limitSeconds), "sh", "-c", program];
}
