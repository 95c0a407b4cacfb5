/** Calls of the Docker command line, for the commands that run on the operator's machine. */
import { spawn } from "node:child_process";

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `docker` with these arguments.
 * @param input text for its standard input @default nothing
 * @param limitSeconds after which it is ended, with code 124 @default 120
 */
export function tryDocker(
  args: readonly string[],
  input = "",
  limitSeconds = 120,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn("docker", args, { timeout: limitSeconds * 1000 });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("error", (error) =>
      reject(new Error(`docker cannot be run: ${error.message}; try npm run setup`)),
    );
    child.on("close", (code) => {
      // Docker's own exit code is 0 when it is told to end
      if (!child.killed) return resolve({ code: code ?? 124, stdout, stderr });
      return resolve({ code: 124, stdout, stderr: `${stderr}not done within ${limitSeconds} s\n` });
    });
    // A container that ends without reading its input is told by its exit code
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** The same, for calls that must succeed. @throws Error with what docker said */
export async function runDocker(args: readonly string[], input = "", limitSeconds = 120) {
  const { code, stdout, stderr } = await tryDocker(args, input, limitSeconds);
  if (code !== 0) throw new Error(stderr.trim() || `docker ${args[0]} ended with ${code}`);
  return stdout;
}

/** A container's state, or nothing when there is none of that name. */
export async function containerState(name: string): Promise<string | undefined> {
  const { code, stdout } = await tryDocker(["inspect", "-f", "{{.State.Status}}", name]);
  return code === 0 ? stdout.trim() : undefined;
}

/** All of standard input, as text. */
export async function readInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return text;
}

/** An environment variable that the caller must set. */
export function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** Ends the process with one clear message instead of a stack trace. */
export function fail(error: unknown): never {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
