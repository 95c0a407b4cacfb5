/** What a rule finds, as plain data, and the one place that turns it into a line of text. */

/** Something that keeps the stack from what it promises, or from being made at all. */
export interface Problem {
  /** The setting, without `hastack:`; empty where all of a file or a machine is meant. */
  readonly path: string;
  /** The value seen, as it is to be shown. @default none: it is missing, or a secret */
  readonly value?: string | number;
  readonly why: string;
  /** What to do about it, as an order: `use 3`. */
  readonly fix: string;
  /** The file or the machine that it is about. @default the configuration of the stack */
  readonly source?: string;
}

/** `hastack:members.quorum: 2 has no majority when one is lost, use 3` */
export function formatProblem({ source, path, value, why, fix }: Problem): string {
  const place = source === undefined ? [`hastack:${path}`] : [source, path].filter(Boolean);
  const seen = value === undefined ? why : `${value} ${why}`;
  return [...place, `${seen}, ${fix}`].join(": ");
}

/** What a list has more than once, each told once. */
export function duplicates<T>(list: readonly T[]): T[] {
  return [...new Set(list.filter((one, index) => list.indexOf(one) !== index))];
}
