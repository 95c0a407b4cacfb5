/** Which operations on a register contradict each other: the few of a long history that a person has to look at. */
import type { Operation } from "../history.ts";
import { canHaveHappened } from "./search.ts";

export interface Culprits {
  /** By the time they ended. */
  readonly operations: readonly Operation[];
  /** Whether no time was left to find others, without which there is no contradiction. @default false */
  readonly areSome: boolean;
}

/**
 * Those that cannot all have happened, even if of no other it was known whether it did; without any one of them the
 * rest could have. They are of the first part of the history in which there are such.
 * @param operations not linearizable
 * @param deadline when to give up, by `performance.now`
 */
export function culpritsOf(operations: readonly Operation[], deadline: number): Culprits {
  const contradict = (few: readonly Operation[]): boolean =>
    canHaveHappened(withDoubt(operations, new Set(few)), deadline) === false;
  const culprits: Operation[] = [];
  let others = operations.filter(isCertain).sort((one, other) => one.ended - other.ended);
  while (!contradict(culprits)) {
    if (performance.now() > deadline) return { operations: culprits, areSome: true };
    const count = fewest(others.length, (first) =>
      contradict([...others.slice(0, first), ...culprits]),
    );
    culprits.unshift(...others.slice(count - 1, count));
    others = others.slice(0, count - 1);
  }
  return { operations: culprits, areSome: false };
}

const isCertain = ({ outcome }: Operation): boolean => outcome === "ok";

/** As if only of these it were known that they happened. */
const withDoubt = (all: readonly Operation[], except: ReadonlySet<Operation>): Operation[] =>
  all.map((one) => (isCertain(one) && !except.has(one) ? { ...one, outcome: "unknown" } : one));

/** The smallest number that is enough, where any greater one is enough as well, and the greatest is. */
function fewest(greatest: number, isEnough: (count: number) => boolean): number {
  let [low, high] = [1, greatest];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isEnough(middle)) high = middle;
    else low = middle + 1;
  }
  return high;
}
