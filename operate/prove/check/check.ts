/** All that must never be, looked for in a history and in what was read back after it. */
import { type Kept, placesAtFirst, stocks } from "../database.ts";
import type { Operation } from "../history.ts";
import type { Run, Violation } from "../proof.ts";
import { wrongEntries, wrongPurchases } from "./entries.ts";
import { checkRegisters } from "./linearizable.ts";
import type { ByMember } from "./rows.ts";
import { lostVisits, staleVisits } from "./visits.ts";

export interface Findings {
  readonly violations: readonly Violation[];
  readonly checked: Run["checked"];
  /** Why it cannot be told; absent where it can. */
  readonly undecided?: string;
}

/** Of one rule that is broken by the hundred, a person looks at the first ones. */
const mostOfRule = 10;
/** Of each: what a member of the database says may be of any length. */
const mostCharacters = 1000;

/** @param kept of each member of the database, once the standby has all that the primary has */
export function findingsIn(operations: readonly Operation[], kept: ByMember<Kept>): Findings {
  const registers = checkRegisters([...operations, ...lastReads(operations, kept)]);
  const places = new Map(stocks.map((name) => [name, placesAtFirst]));
  const { undecided } = registers;
  return {
    checked: registers.checked,
    violations: [
      ...registers.violations,
      ...wrongEntries(operations, kept),
      ...wrongPurchases(operations, places, kept),
      ...staleVisits(operations).map((what) => ({ rule: "stale read", what })),
      ...lostFiles(operations).map((what) => ({ rule: "lost file", what })),
      ...lostVisits(operations, kept).map((what) => ({ rule: "lost write", what })),
      ...differing(kept).map((what) => ({ rule: "members differ", what })),
    ],
    ...(undecided.length > 0 && {
      undecided: `the order of what happened to ${undecided.join(", ")} could not be decided in time`,
    }),
  };
}

/** The first ones of each rule, and how many more there are. */
export function fewOfEach(violations: readonly Violation[]): Violation[] {
  return [...Map.groupBy(violations, ({ rule }) => rule)].flatMap(([rule, all]) => {
    const more = all.length - mostOfRule;
    const first = all
      .slice(0, mostOfRule)
      .map(({ what }) => ({ rule, what: what.slice(0, mostCharacters) }));
    return more > 0 ? [...first, { rule, what: `and ${more} more` }] : first;
  });
}

/** What each member has in the end is read by one more client. */
function lastReads(operations: readonly Operation[], kept: ByMember<Kept>): Operation[] {
  const end = Math.max(0, ...operations.map(({ ended }) => ended)) + 1;
  const keys = new Set(
    operations.filter(({ kind }) => kind === "write").map(({ key = "" }) => key),
  );
  return [...kept].flatMap(([member, { registers }], index) =>
    [...keys].map((key): Operation => {
      const value = registers.get(key);
      const times = { due: end + index, began: end + index, ended: end + index + 0.5 };
      const read = { kind: "read", client: `read back at ${member}`, outcome: "ok" } as const;
      return { ...read, ...times, key, from: member, ...(value !== undefined && { value }) };
    }),
  );
}

/** What one member has and the other one has not, once both have applied all. */
function differing(kept: ByMember<Kept>): string[] {
  const [[first, one] = [], [second, other] = []] = [...kept];
  if (one === undefined || other === undefined) return [];
  const textOf = (of: Kept, what: keyof Kept) =>
    JSON.stringify([...of[what]].map((row) => JSON.stringify(row)).toSorted());
  return (Object.keys(one) as (keyof Kept)[])
    .filter((what) => textOf(one, what) !== textOf(other, what))
    .map((what) => `${first} and ${second} have not the same ${what}`);
}

/** Those that were acknowledged, and not found on another machine. */
const lostFiles = (operations: readonly Operation[]): string[] =>
  operations.flatMap(({ kind, outcome, key, why }) =>
    kind === "upload" && outcome === "ok" && why !== undefined ? [`${key}: ${why}`] : [],
  );
