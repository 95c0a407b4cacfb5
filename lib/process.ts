/** What the commands of both platforms are made of: they run on the operator's machine. */
import { spawn } from "node:child_process";

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** For its standard input: a text, or an open file. @default nothing */
  readonly input?: string | number;
  /** After which it is ended, with code 124. */
  readonly limitSeconds: number;
  /** Gets its standard output as it comes. @default nobody */
  readonly hear?: (text: string) => void;
}

/** Runs a program to its end. @throws Error when it cannot be run at all */
export function runProgram(
  program: string,
  args: readonly string[],
  { input = "", limitSeconds, hear }: ProgramOptions,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      timeout: limitSeconds * 1000,
      stdio: [typeof input === "number" ? input : "pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk) => {
      stdout += chunk;
      hear?.(chunk);
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      // The program's own exit code may be 0 when it is told to end
      if (!child.killed) return resolve({ code: code ?? 124, stdout, stderr });
      return resolve({ code: 124, stdout, stderr: `${stderr}not done within ${limitSeconds} s\n` });
    });
    // A program that ends without reading its input is told by its exit code
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
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
