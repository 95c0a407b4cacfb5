/** A proof without its events and curves: small enough to be kept beside the documents that tell of it. */
import { countedOf, violationsOf } from "../judge.ts";
import type { Promised, Proof, Run } from "../proof.ts";

/** What was measured of one class of operations, run by run. */
export interface ClassSummary {
  readonly gapSeconds: readonly number[];
  readonly failed: readonly number[];
}

export interface FaultSummary {
  readonly name: string;
  readonly what: string;
  readonly promised: Promised;
  readonly reads: ClassSummary;
  readonly writes: ClassSummary;
  /** Operations of all runs. */
  readonly operations: number;
  /** What must never be, of all runs. */
  readonly violations: readonly string[];
  /** Of each run, seconds since the fault by stage; empty where there was no outage to speak of. */
  readonly stages: readonly Readonly<Record<string, number>>[];
}

export interface Summary
  extends Pick<Proof, "version" | "stack" | "platform" | "application" | "began" | "client"> {
  readonly faults: readonly FaultSummary[];
  readonly skipped: Proof["skipped"];
}

const hundredths = (value: number) => Math.round(value * 100) / 100;

/** Of the runs that count. */
export function summaryOf(proof: Proof): Summary {
  const { version, stack, platform, application, began, client, skipped } = proof;
  const faults = proof.faults.map((fault): FaultSummary => {
    const runs = countedOf(fault);
    const { name, what, promised } = fault;
    return {
      ...{ name, what, promised },
      reads: classOf(runs, "reads"),
      writes: classOf(runs, "writes"),
      operations: runs.reduce((sum, { reads, writes }) => sum + reads.count + writes.count, 0),
      violations: fault.runs.flatMap((run) =>
        violationsOf(run).map(({ rule, what: seen }) => `${rule}: ${seen}`),
      ),
      stages: runs.map(({ stages }) =>
        Object.fromEntries(stages.map((one) => [one.name, hundredths(one.seconds)])),
      ),
    };
  });
  return { version, stack, platform, application, began, client, faults, skipped };
}

const classOf = (runs: readonly Run[], of: "reads" | "writes"): ClassSummary => ({
  gapSeconds: runs.map((run) => hundredths(run[of].gapSeconds)),
  failed: runs.map((run) => run[of].failed),
});
