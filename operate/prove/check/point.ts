/** Operations on one register as a list of their beginnings and ends, by time, which they can be taken out of. */
import type { Moment, Operation } from "../history.ts";

/** An operation, with its values by their numbers. */
interface Call {
  /** @default it may take effect at any later time, or never */
  readonly end?: Point | undefined;
  /** What it found. @default whichever */
  readonly found?: number | undefined;
  /** @default it wrote nothing */
  readonly wrote?: number | undefined;
}

/** An operation begins, or ends. By itself it is a list without any. */
export class Point {
  before: Point = this;
  after: Point = this;
  /** Its place in the whole list. */
  number = Number.POSITIVE_INFINITY;
  readonly at: Moment;
  readonly call: Call | undefined;

  /** @param call what begins @default something ends */
  constructor(at: Moment, call?: Call) {
    this.at = at;
    this.call = call;
  }

  takeOut(): void {
    this.before.after = this.after;
    this.after.before = this.before;
  }

  /** Where it was; what was taken out last comes back first. */
  putBack(): void {
    this.before.after = this;
    this.after.before = this;
  }
}

export type Beginning = Point & { readonly call: Call };

export const begins = (point: Point): point is Beginning => point.call !== undefined;

/** The number of any value that nobody found. */
export const unseen = 0;

/** Values that were found, each with a number of its own from 1 on. */
export type Numbers = ReadonlyMap<string | undefined, number>;

/** @returns the end of the list, which is before its first point as well */
export function listOf(operations: readonly Operation[], numbers: Numbers): Point {
  const points = operations.flatMap((operation) => pointsOf(operation, numbers));
  // What begins as something else ends was under way together with it
  points.sort((one, other) => one.at - other.at || Number(begins(other)) - Number(begins(one)));
  const list = new Point(Number.POSITIVE_INFINITY);
  for (const [number, point] of points.entries()) {
    point.number = number;
    point.before = list.before;
    point.after = list;
    point.putBack();
  }
  return list;
}

function pointsOf(operation: Operation, numbers: Numbers): Point[] {
  const { kind, outcome, began, ended, value } = operation;
  const end = outcome === "ok" ? new Point(ended) : undefined;
  const found = foundBy(operation).map((one) => numbers.get(one))[0];
  const wrote = kind === "read" ? undefined : (numbers.get(value) ?? unseen);
  const beginning = new Point(began, { end, found, wrote });
  return end ? [beginning, end] : [beginning];
}

/** The value that it found, or none where it did not matter. */
export function foundBy({ kind, value, expected }: Operation): (string | undefined)[] {
  if (kind === "read") return [value];
  return expected === undefined ? [] : [expected];
}
