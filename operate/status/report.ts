/** One screen of text for people: what is, what should be, what to do. */
import type { Finding, Picture, State } from "./picture.ts";

/** The screen is no wider. */
export const columns = 100;

/** Colours of a terminal, by number. */
const colours: Readonly<Record<State, number>> = {
  ok: 32,
  unknown: 35,
  degraded: 33,
  unreachable: 31,
  down: 31,
};

const stateWidth = Math.max(...Object.keys(colours).map((one) => one.length));

/**
 * @param colour for a terminal
 * @returns lines of at most `columns` characters
 */
export function textOf(picture: Picture, colour: boolean): string {
  const { stack, platform, at, seconds, subjects, members } = picture;
  const named = [...subjects, ...members].map(({ name }) => name.length);
  const width = Math.max(...named);
  const row = (name: string, state: State, is: string) =>
    `${name.padEnd(width)}  ${painted(state, colour, stateWidth)}  ${cut(is, columns - width - stateWidth - 4)}`;
  const time = at.slice(0, 19).replace("T", " ");
  const head = `${stack} on ${platform}, ${time} UTC, asked in ${seconds.toFixed(1)} s: `;
  return [
    head + painted(picture.state, colour),
    "",
    ...subjects.map(({ name, state, is }) => row(name, state, is)),
    "",
    ...members.map(({ name, state, is }) => row(name, state, is)),
    ...(picture.state === "ok" ? [] : [""]),
    ...findingsOf(picture).flatMap((one) => described(one, colour)),
    "",
  ].join("\n");
}

interface Named extends Finding {
  /** Whose it is; several members where they have the same. */
  readonly of: readonly string[];
}

/** All findings; what several members have alike comes once, and their names as `NAME`. */
function findingsOf({ subjects, members }: Picture): Named[] {
  const all = new Map<string, Named>();
  for (const { name, findings } of [...subjects, ...members])
    for (const finding of findings) {
      const [what = "", fix = ""] = [finding.what, finding.fix].map((text) =>
        text.replaceAll(name, "NAME"),
      );
      const key = `${what}\n${fix}`;
      const before = all.get(key);
      if (before === undefined) all.set(key, { ...finding, of: [name] });
      else all.set(key, { ...before, what, fix, of: [...before.of, name] });
    }
  return [...all.values()];
}

function described({ of, state, what, should, fix }: Named, colour: boolean): string[] {
  return [
    ...folded(`${of.join(", ")}: ${what}`, painted(state, colour), state.length),
    ...folded(should, "  should be:", 12),
    ...folded(fix, "  to do:", 8),
  ];
}

const painted = (state: State, colour: boolean, width = 0): string =>
  colour ? `\u001b[${colours[state]}m${state.padEnd(width)}\u001b[0m` : state.padEnd(width);

function cut(text: string, width: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** Text behind a word, on as many lines as it takes. @param length of the word as it is seen */
function folded(text: string, word: string, length: number): string[] {
  const lines: string[] = [];
  let line = word;
  let seen = length;
  for (const part of text.split(/\s+/)) {
    if (seen + 1 + part.length > columns) {
      lines.push(line);
      line = "   ";
      seen = 3;
    }
    line += ` ${part}`;
    seen += 1 + part.length;
  }
  return [...lines, line];
}
