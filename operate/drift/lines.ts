/** Which lines of a file differ, told without its secrets. */
import type { WantedFile } from "./expectation.ts";

/** A line as it is and as it should be; an absent one is nothing. */
export interface ChangedLine {
  /** Of the file that is there. */
  readonly line: number;
  readonly is: string | undefined;
  readonly shouldBe: string | undefined;
}

/** Longer ones are cut. */
const shownLength = 120;
/** As many are told of a file. */
export const shownLines = 5;
/** More than so many pairs are not compared one by one. */
const mostPairs = 4_000_000;

const missing = "nothing";
const hidden = "another text (not shown: the file holds secrets)";

/** The lines that differ, each paired with the one in whose place it stands. */
export function changedLines(is: string, shouldBe: string): ChangedLine[] {
  return pairedLines(is.split("\n"), shouldBe.split("\n"));
}

function pairedLines(is: readonly string[], should: readonly string[]): ChangedLine[] {
  let first = 0;
  while (first < is.length && first < should.length && is[first] === should[first]) first += 1;
  let last = 0;
  const rest = Math.min(is.length, should.length) - first;
  while (last < rest && is.at(-1 - last) === should.at(-1 - last)) last += 1;
  const left = is.slice(first, is.length - last);
  const right = should.slice(first, should.length - last);
  return hunks(left, right).flatMap(({ at, is, should }) =>
    Array.from({ length: Math.max(is.length, should.length) }, (_, index) => ({
      line: first + at + Math.min(index, Math.max(is.length - 1, 0)) + 1,
      is: is[index],
      shouldBe: should[index],
    })),
  );
}

interface Hunk {
  /** Where it begins in what is there. */
  readonly at: number;
  readonly is: string[];
  readonly should: string[];
}

/** By the longest common run of lines. */
function hunks(is: readonly string[], should: readonly string[]): Hunk[] {
  if (is.length === 0 && should.length === 0) return [];
  if (is.length * should.length > mostPairs) return [{ at: 0, is: [...is], should: [...should] }];
  const common = Array.from({ length: is.length + 1 }, () => new Uint32Array(should.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = is.length - 1; i >= 0; i -= 1) {
    for (let j = should.length - 1; j >= 0; j -= 1) {
      const row = common[i] as Uint32Array;
      row[j] = is[i] === should[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found: Hunk[] = [];
  let open: Hunk | undefined;
  const hunk = (i: number): Hunk => {
    if (open === undefined) {
      open = { at: i, is: [], should: [] };
      found.push(open);
    }
    return open;
  };
  for (let i = 0, j = 0; i < is.length || j < should.length; ) {
    if (i < is.length && j < should.length && is[i] === should[j]) {
      open = undefined;
      i += 1;
      j += 1;
    } else if (j >= should.length || (i < is.length && at(i + 1, j) >= at(i, j + 1))) {
      hunk(i).is.push(is[i++] ?? "");
    } else {
      hunk(i).should.push(should[j++] ?? "");
    }
  }
  return found;
}

/**
 * The lines for people's eyes.
 * @param is the file that is there
 * @param secrets values that are shown nowhere, by their names
 */
export function toldLines(
  { template, text = template, isSecret }: WantedFile,
  is: string,
  secrets: ReadonlyMap<string, string>,
): { readonly line: number; readonly is: string; readonly shouldBe: string }[] {
  const names = templateLines(template, text);
  return changedLines(is, text).map((one) => {
    const wanted =
      one.shouldBe === undefined ? undefined : (names.get(one.shouldBe) ?? one.shouldBe);
    return {
      line: one.line,
      is: told(isSecret ? sameSetting(one.is, wanted) : one.is, secrets),
      shouldBe: told(wanted, secrets),
    };
  });
}

/** What a filled-in line was before: secrets may fill several lines. */
function templateLines(template: string, text: string): ReadonlyMap<string, string> {
  const whole = template.split("\n");
  const filled = text.split("\n");
  if (whole.length === filled.length) {
    return new Map(filled.map((line, index) => [line, whole[index] ?? line]));
  }
  // A certificate, say: all of it is the secret
  return new Map(filled.map((line) => [line, whole.includes(line) ? line : "@{…}"]));
}

/** A line of a file with secrets is shown where it is a setting that is known to be none. */
function sameSetting(is: string | undefined, wanted: string | undefined): string | undefined {
  if (is === undefined) return undefined;
  const name = (line: string) => line.trim().split(/[\s:=]/)[0];
  const isKnown = wanted !== undefined && !wanted.includes("@{") && name(is) === name(wanted);
  return isKnown && !/passw|secret|token|auth|key/i.test(is) ? is : hidden;
}

function told(line: string | undefined, secrets: ReadonlyMap<string, string>): string {
  if (line === undefined) return missing;
  if (line === hidden) return line;
  const text = withoutSecrets(line, secrets);
  return JSON.stringify(text.length > shownLength ? `${text.slice(0, shownLength)}…` : text);
}

/** Any secret that the text holds, by its name. */
export function withoutSecrets(text: string, secrets: ReadonlyMap<string, string>): string {
  let plain = text;
  for (const [name, value] of secrets) plain = plain.replaceAll(value, `@{${name}}`);
  return plain;
}
