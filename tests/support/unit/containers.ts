/** Passing containers for tests: named `unit-test-…`, and removed whatever happens. */
import { spawnSync } from "node:child_process";
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import type { Outcome } from "../../../lib/run.ts";

const names = new Set<string>();
let count = 0;

process.on("exit", () => {
  if (names.size > 0) spawnSync("docker", ["rm", "--force", "--volumes", ...names]);
});

/** A container that runs. */
export class Container {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** Runs shell text in it; the answer may be a failure. */
  attempt(script: string, input = ""): Promise<Outcome> {
    return tryDocker(["exec", "--interactive", this.name, "sh", "-c", script], input);
  }

  /** Runs shell text in it that must succeed. @returns what it printed, without the last line's end */
  async run(script: string, input = ""): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(script, input);
    if (code !== 0) throw new Error(`ended with ${code}: ${stderr}${stdout}\n${script}`);
    return stdout.replace(/\n$/, "");
  }

  /** All that it has printed. */
  async logs(): Promise<string> {
    const { stdout, stderr } = await tryDocker(["logs", this.name]);
    return stdout + stderr;
  }

  async remove(): Promise<void> {
    await tryDocker(["rm", "--force", "--volumes", this.name]);
    names.delete(this.name);
  }
}

/** A name that no other test uses. */
export function passingName(purpose: string): string {
  return `unit-test-${purpose}-${process.pid}-${++count}`;
}

export interface StartOptions {
  /** Further arguments of `docker run`. @default none */
  readonly arguments?: readonly string[];
  /** @default it sleeps */
  readonly command?: readonly string[];
  /** Whether Docker's own init is process 1, as a reaper. @default true */
  readonly init?: boolean;
  /** Network, or another container's. @default none */
  readonly network?: string;
}

/** Starts a container, which the caller removes. */
export async function start(
  image: string,
  purpose: string,
  {
    arguments: more = [],
    command = ["sleep", "infinity"],
    init = true,
    network = "none",
  }: StartOptions = {},
): Promise<Container> {
  const name = passingName(purpose);
  names.add(name);
  await runDocker([
    "run",
    "--detach",
    `--init=${init}`,
    `--network=${network}`,
    `--name=${name}`,
    ...more,
    image,
    ...command,
  ]);
  return new Container(name);
}
