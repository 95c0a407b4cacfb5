/** What commands are made of: their input, and how they end. */
import { wholeValue } from "./long-variable.ts";
import { printable } from "./printable.mjs";

/** Runs a command's body: an error becomes one message on standard error, and exit code 1. */
export async function command(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

/** All of standard input, as text. */
export async function readInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return text;
}

/** An environment variable that the caller must set, however long. */
export function required(name: string): string {
  const value = wholeValue(process.env, name);
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** Ends the process at once, with one clear message instead of a stack trace. */
export function fail(error: unknown): never {
  console.error(printable(error instanceof Error ? error.message : String(error)));
  process.exit(1);
}
