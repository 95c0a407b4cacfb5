/** Calls of the Docker command line, for the commands that run on the operator's machine. */
import { type Outcome, run } from "../../../lib/run.ts";

/**
 * Runs `docker` with these arguments.
 * @param input text for its standard input @default nothing
 * @param limitSeconds after which it is ended, with code 124 @default 120
 * @param limitCharacters of what it may write @default no limit
 */
export async function tryDocker(
  args: readonly string[],
  input = "",
  limitSeconds = 120,
  apart = false,
  limitCharacters = Number.POSITIVE_INFINITY,
): Promise<Outcome> {
  const options = { input, limitSeconds, apart, limitCharacters };
  const outcome = await run(["docker", ...args], options);
  if (outcome.notStarted === undefined) return outcome;
  throw new Error(`docker cannot be run: ${outcome.notStarted}; try npm run setup`);
}

/** The same, for calls that must succeed. @throws Error with what docker said */
export async function runDocker(
  args: readonly string[],
  input = "",
  limitSeconds = 120,
  apart = false,
) {
  const { code, stdout, stderr } = await tryDocker(args, input, limitSeconds, apart);
  if (code !== 0) throw new Error(stderr.trim() || `docker ${args[0]} ended with ${code}`);
  return stdout;
}

/** A container's state, or nothing when there is none of that name. */
export async function containerState(name: string): Promise<string | undefined> {
  const { code, stdout } = await tryDocker(["inspect", "-f", "{{.State.Status}}", name]);
  return code === 0 ? stdout.trim() : undefined;
}
