/** One failed test, hook or program of a step. */
export interface Failure {
  /** With those of its suites; a hook names the test it belongs to. */
  readonly title: string;
  /** Path from the project's root, where there is one. */
  readonly file?: string | undefined;
  /** What went wrong, over as many lines as are to be shown. */
  readonly error: string;
}

/** Lines that are repeated at the end; the whole stands above, in its step. */
const shownLines = 15;

/** The first lines of an error, and how many there are beyond them. */
export function beginning(text: string, lines = shownLines): string {
  const all = text.trimEnd().split("\n");
  const more = all.length - lines;
  if (more <= 0) return all.join("\n");
  return [...all.slice(0, lines), `… ${more} more lines above`].join("\n");
}

/** The last lines of a program's output, where it says what it found. */
export function ending(text: string, lines = 2 * shownLines): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}

/**
 * All failures of a run for its very end, where nobody has to look for them.
 * @returns nothing where there are none
 */
export function failureList(
  results: readonly { readonly step: string; readonly failures?: readonly Failure[] }[],
): string {
  const entries = results.flatMap(({ step, failures = [] }) =>
    failures.map(({ title, file, error }) => {
      const place = file === undefined ? "" : `\n  ${file}`;
      return `FAILED  ${step}: ${title}${place}\n${indented(error)}\n`;
    }),
  );
  const titles = results.flatMap(({ step, failures = [] }) =>
    failures.map(({ title }) => `FAILED  ${step}: ${title}\n`),
  );
  // Who sees the last lines alone sees what failed
  const short = titles.length > 1 ? `${titles.join("")}\n` : "";
  return `${entries.map((entry) => `${entry}\n`).join("")}${short}`;
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, "    ");
}
