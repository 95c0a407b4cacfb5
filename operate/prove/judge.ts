/** What runs are worth against what is promised: verdicts, and the usual and the worst of what was seen. */
import type {
  FaultResult,
  Limits,
  Promised,
  Proof,
  Run,
  Seen,
  Verdict,
  Violation,
} from "./proof.ts";

/** Both classes of operations, for which promises are made apart. */
export const classes = ["reads", "writes"] as const;

export type Class = (typeof classes)[number];

/** From good to bad. What nobody can tell is not good, and not as bad as what is known to be wrong. */
const order: readonly Verdict[] = ["held", "void", "missed", "violated"];

/** A limit that was not kept. */
export interface Miss {
  readonly of: Class;
  readonly limit: keyof Limits;
  readonly promised: number;
  readonly measured: number;
}

/** The limits that a run did not keep. One that is met exactly is kept. */
export function missesOf(run: Run, promised: Promised): Miss[] {
  return classes.flatMap((of) => {
    const measured = { seconds: run[of].gapSeconds, failed: run[of].failed };
    return (["seconds", "failed"] as const).flatMap((limit) => {
      const most = promised[of][limit];
      return most !== undefined && measured[limit] > most
        ? [{ of, limit, promised: most, measured: measured[limit] }]
        : [];
    });
  });
}

/** What must never be, with every time in which two members took writes at once. */
export function violationsOf({ violations, overlaps }: Run): Violation[] {
  const both = overlaps
    .filter(({ what, milliseconds }) => what === "accepts writes" && milliseconds > 0)
    .map(({ members, milliseconds }) => ({
      rule: "two primaries",
      what: `${members.join(" and ")} accepted writes at once, for ${milliseconds} ms`,
    }));
  return [...violations, ...both];
}

/** What was promised of a run. */
export const promisedOf = (fault: Pick<FaultResult, "promised">, run: Run): Promised =>
  run.promised ?? fault.promised;

/** What must never be is as wrong where clients were late. */
export function verdictOfRun(run: Run, promised: Promised): Verdict {
  if (violationsOf(run).length > 0) return "violated";
  if (run.void !== undefined) return "void";
  return missesOf(run, promised).length > 0 ? "missed" : "held";
}

/** Runs that count. */
export const countedOf = ({ runs }: Pick<FaultResult, "runs">): Run[] =>
  runs.filter((run) => run.void === undefined);

/** Runs that do not count are tried again, so often at most. */
const mostVoid = 2;

/** Whether a fault has fewer runs than it is to have. */
export function isWanted(done: FaultResult | undefined, runs: number): boolean {
  if (done === undefined) return true;
  return countedOf(done).length < runs && done.runs.length < runs + mostVoid;
}

/** Names of faults that have not all their runs yet. */
export const leftOf = ({ chosen, faults, runs }: Proof): string[] =>
  chosen.filter((name) =>
    isWanted(
      faults.find((one) => one.name === name),
      runs,
    ),
  );

/** The worst of the runs that count, and of what must never be in any; `void` where there is neither. */
export const verdictOfFault = (fault: Pick<FaultResult, "promised" | "runs">): Verdict =>
  worst(
    fault.runs
      .map((run) => verdictOfRun(run, promisedOf(fault, run)))
      .filter((verdict) => verdict !== "void"),
  );

/** The worst of all faults: one of which no run counts is worse than one that held. `void` where there is none. */
export const verdictOfProof = ({ faults }: Pick<Proof, "faults">): Verdict =>
  worst(faults.map(verdictOfFault));

/** Exit status: 0 where all held, 1 where something was missed or violated, 2 where that could not be told. */
export const exitStatusOf = (proof: Pick<Proof, "faults">): number =>
  ({ held: 0, missed: 1, violated: 1, void: 2 })[verdictOfProof(proof)];

/** @returns void, where there are none */
function worst(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.length === 0) return "void";
  return order[Math.max(...verdicts.map((one) => order.indexOf(one)))] ?? "void";
}

/** Over several runs. */
export interface Spread {
  readonly median: number;
  readonly worst: number;
}

/** What was measured of one class of operations. */
export interface Measured {
  readonly gapSeconds: Spread;
  readonly failed: Spread;
}

/** @returns undefined, where no run counts */
export function measuredOf(fault: Pick<FaultResult, "runs">, of: Class): Measured | undefined {
  const seen = countedOf(fault).map((run) => run[of]);
  if (seen.length === 0) return undefined;
  const spread = (name: "gapSeconds" | "failed") => spreadOf(seen.map((one: Seen) => one[name]));
  return { gapSeconds: spread("gapSeconds"), failed: spread("failed") };
}

/** The median of an even number of values is the middle between the two that are in the middle. */
function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const [low = 0, high = 0] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]];
  return { median: (low + high) / 2, worst: sorted.at(-1) ?? 0 };
}
