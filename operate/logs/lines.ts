/** Lines as a program writes them. */
import type { Readable } from "node:stream";

/** One that is longer comes in parts: a program that never ends a line must not fill the memory. */
const mostCharacters = 2 ** 16;

export async function* linesIn(input: Readable): AsyncGenerator<string> {
  let rest = "";
  for await (const text of input.setEncoding("utf8")) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > mostCharacters) {
      yield rest;
      rest = "";
    }
  }
  if (rest !== "") yield rest;
}
