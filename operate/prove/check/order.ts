/** Operations on one register, put in an order one by one, and taken back: what the search for such an order needs. */
import type { Operation } from "../history.ts";
import {
  type Beginning,
  begins,
  foundBy,
  listOf,
  type Numbers,
  type Point,
  unseen,
} from "./point.ts";

/** A write that was chosen, with what came along with it. */
interface Step {
  readonly write: Beginning;
  /** In their order. */
  readonly placed: Beginning[];
  /** What was so before. */
  readonly value: number;
  readonly furthest: number;
}

/** How many that are not in the order found a value for certain, and how many write it, or may. */
interface Left {
  found: number;
  wrote: number;
}

export class Order {
  /** How many that happened for certain are not in the order yet. */
  missing = 0;
  /** Those that are not in it. */
  readonly #list: Point;
  readonly #steps: Step[] = [];
  /** By value. */
  readonly #left: readonly Left[];
  /** What the register has. */
  #value: number;
  /** Of all that are in the order, the last by time. */
  #furthest = -1;

  /** @param all of one register; those that tell nothing are left out */
  constructor(all: readonly Operation[]) {
    const operations = withoutUnseen(all.filter(tells));
    const numbers = numbersOf(operations);
    this.#list = listOf(operations, numbers);
    this.#left = Array.from({ length: numbers.size + 1 }, () => ({ found: 0, wrote: 0 }));
    this.#value = numbers.get(undefined) ?? unseen;
    for (let point = this.first; point !== this.#list; point = point.after)
      if (begins(point)) this.#count(point, 1);
    this.#placeReads([]);
  }

  /** Of those that are not in the order, by time. */
  get first(): Point {
    return this.#list.after;
  }

  /** The first write that can come next, from this point on. */
  nextWrite(from: Point): Beginning | undefined {
    for (let point = from; begins(point); point = point.after)
      if (this.#canWrite(point)) return point;
    return undefined;
  }

  /** Puts a write next, after all writes that it hides for good, and before all reads that can be there. */
  place(write: Beginning): void {
    const placed: Beginning[] = [];
    this.#steps.push({ write, placed, value: this.#value, furthest: this.#furthest });
    if (write.call.found === undefined) this.#placeHidden(write, placed);
    this.#place(write, placed);
    this.#placeReads(placed);
  }

  /** Takes the last write back, with what came along with it. @returns nothing where there is none */
  takeBack(): Beginning | undefined {
    const step = this.#steps.pop();
    if (step === undefined) return undefined;
    for (const point of step.placed.reverse()) {
      point.putBack();
      point.call.end?.putBack();
      this.#count(point, 1);
    }
    this.#value = step.value;
    this.#furthest = step.furthest;
    return step.write;
  }

  /** All that decides what can follow: the register's value, and which are in the order. */
  state(): string {
    const numbers = [this.#value, this.#furthest];
    // Of all up to the furthest only a few are not in it: such as were under way together with it
    for (let point = this.first; point.number < this.#furthest; point = point.after)
      numbers.push(point.number);
    return numbers.join(" ");
  }

  #canWrite({ call: { end, found, wrote } }: Beginning): boolean {
    if (wrote === undefined || (found ?? this.#value) !== this.#value) return false;
    const left = this.#left[this.#value];
    if (left === undefined || left.wrote > 0) return true;
    // Nobody writes this value again, so whoever found it comes before another one is written
    return left.found === (end && found !== undefined ? 1 : 0);
  }

  /** A read changes nothing, so it can be as early as its value is there, and nothing else has to be tried. */
  #placeReads(placed: Beginning[]): void {
    for (let point = this.first; begins(point); point = point.after)
      if (point.call.wrote === undefined && point.call.found === this.#value)
        this.#place(point, placed);
  }

  /** What nobody found was hidden by some write, or is the last; one that can hide it now does as well as a later one. */
  #placeHidden(by: Beginning, placed: Beginning[]): void {
    for (let point = this.first; begins(point); point = point.after)
      if (point !== by && point.call.wrote === unseen && point.call.found === undefined)
        this.#place(point, placed);
  }

  #place(point: Beginning, placed: Beginning[]): void {
    placed.push(point);
    point.call.end?.takeOut();
    point.takeOut();
    this.#count(point, -1);
    this.#value = point.call.wrote ?? this.#value;
    this.#furthest = Math.max(this.#furthest, point.number);
  }

  #count({ call: { end, found, wrote } }: Beginning, by: 1 | -1): void {
    const leftFound = end && found !== undefined ? this.#left[found] : undefined;
    const leftWrote = wrote === undefined ? undefined : this.#left[wrote];
    if (leftFound) leftFound.found += by;
    if (leftWrote) leftWrote.wrote += by;
    if (end) this.missing += by;
  }
}

/** A read that failed says nothing, nor does a write that was refused. */
const tells = ({ kind, outcome }: Operation): boolean =>
  outcome === "ok" || (kind === "write" && outcome === "unknown");

/** A number for each value that was found. */
const numbersOf = (operations: readonly Operation[]): Numbers =>
  new Map([...new Set(operations.flatMap(foundBy))].map((value, index) => [value, index + 1]));

/**
 * Without writes that may have taken effect, but whose value nobody found: what came after such a write hid it, and
 * all is as if it had never been. Then nothing has found what it found, and others may have to go as well.
 */
function withoutUnseen(operations: readonly Operation[]): readonly Operation[] {
  const numbers = numbersOf(operations);
  const kept = operations.filter(({ outcome, value }) => outcome === "ok" || numbers.has(value));
  return kept.length === operations.length ? kept : withoutUnseen(kept);
}
