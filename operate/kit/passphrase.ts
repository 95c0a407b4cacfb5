/** The passphrase of a kit: asked for at the terminal, read from a file, or made. */
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** A kit may be tried by whoever finds it, for as long as they like. */
export const leastCharacters = 16;

/** None of them is taken for another one. */
const letters = "abcdefghjkmnpqrstuvwxyz23456789";
const groups = 6;
const groupLength = 5;

/** Thirty letters and digits, which nobody guesses (148 bits). */
export function makePassphrase(): string {
  const letter = () => letters[randomInt(letters.length)];
  const group = () => Array.from({ length: groupLength }, letter).join("");
  return Array.from({ length: groups }, group).join("-");
}

/** @throws where it is too short */
export function checked(passphrase: string): string {
  if (passphrase.length >= leastCharacters) return passphrase;
  throw new Error(
    `a passphrase of ${passphrase.length} characters is too short: use ${leastCharacters} or more, or --generate`,
  );
}

/** Its first line. @throws where it cannot be read */
export function passphraseIn(file: string): string {
  try {
    return readFileSync(file, "utf8").split(/\r?\n/)[0] ?? "";
  } catch (error) {
    throw new Error(`--passphrase-file ${file} cannot be read: ${(error as Error).message}`);
  }
}

/** Asks without showing what is typed. @throws where nobody is at a terminal, or it is broken off */
export async function askHidden(question: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw new Error("there is no terminal to ask for a passphrase at: give --passphrase-file FILE");
  const output = new Writable({ write: (_text, _encoding, done) => done() });
  const terminal = createInterface({
    input: process.stdin,
    output,
    terminal: true,
    historySize: 0,
  });
  const stop = new AbortController();
  for (const end of ["SIGINT", "close"] as const) terminal.once(end, () => stop.abort());
  process.stderr.write(question);
  try {
    return await terminal.question("", { signal: stop.signal });
  } catch {
    throw new Error("no passphrase was given");
  } finally {
    terminal.close();
    process.stderr.write("\n");
  }
}

/**
 * For a new kit.
 * @param ask @default at the terminal
 * @returns and whether it was made here, so that it must be shown
 * @throws where it is too short, or is typed in two ways
 */
export async function newPassphrase(
  ask: (question: string) => Promise<string> = askHidden,
): Promise<{ readonly passphrase: string; readonly made: boolean }> {
  const passphrase = await ask(
    `Passphrase of the kit, ${leastCharacters} characters or more (none: one is made, and shown once): `,
  );
  if (passphrase === "") return { passphrase: makePassphrase(), made: true };
  checked(passphrase);
  if ((await ask("The same again: ")) === passphrase) return { passphrase, made: false };
  throw new Error("the two passphrases differ: no kit was made");
}
