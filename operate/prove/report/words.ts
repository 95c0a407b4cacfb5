/** How a proof is told: numbers, limits, reasons and sentences, for the terminal and the page alike. */
import { type Class, classes, countedOf, type Miss, missesOf, verdictOfFault } from "../judge.ts";
import type { FaultResult, Limits, Promised, Proof, Run, Seen, Verdict } from "../proof.ts";

/** Reasons that are told; the others are counted. */
const mostReasons = 3;

/** Up, so that nothing looks shorter than it was. @returns such as `0.94 s`, `23.1 s` */
export function seconds(value: number): string {
  const digits = value < 10 ? 2 : 1;
  // What binary fractions add is no time
  const whole = Math.ceil(Number((value * 10 ** digits).toFixed(6)));
  return `${(whole / 10 ** digits).toFixed(digits)} s`;
}

/** A moment of a run. */
export const moment = (at: number): string => `${at.toFixed(1)} s`;

/** To the millisecond, without noughts behind: for what was promised, and what is compared with it. */
export const exactSeconds = (value: number): string => `${Number(value.toFixed(3))} s`;

/** Half of one is what a median may be. */
export const count = (value: number): string => value.toLocaleString("en-GB");

export const milliseconds = (value: number): string =>
  value < 1000 ? `${Math.round(value)} ms` : seconds(value / 1000);

/** `one` of these, or so many. */
export const some = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** @returns such as `2.5 s, 0 failed` */
export function limits({ seconds: most, failed }: Limits): string {
  const parts = [
    ...(most === undefined ? [] : [exactSeconds(most)]),
    ...(failed === undefined ? [] : [`${count(failed)} failed`]),
  ];
  return parts.join(", ") || "no limit";
}

/** The most frequent reasons, with how often where there are several. @returns empty where there are none */
export function reasons(of: Seen["reasons"]): string {
  const sorted = Object.entries(of).toSorted(([, a], [, b]) => b - a);
  if (sorted.length === 1) return sorted[0]?.[0] ?? "";
  const told = sorted.slice(0, mostReasons).map(([why, times]) => `${why} (${count(times)})`);
  const others = sorted.slice(mostReasons).map(([, times]) => times);
  if (others.length > 0) {
    const sum = others.reduce((all, one) => all + one, 0);
    told.push(`${some(others.length, "other reason")} (${count(sum)})`);
  }
  return told.join(", ");
}

/** @returns such as `2026-11-28 14:03:07 UTC` */
export const utc = (iso: string): string => `${iso.slice(0, 19).replace("T", " ")} UTC`;

/** Which run, for people. @param at from 0 */
export const runName = (run: Run, at: number, of: number): string =>
  `run ${at + 1} of ${of}${run.members.length > 0 ? ` (${run.members.join(", ")})` : ""}`;

/** What was not kept of a run, with why operations failed: one sentence for reads, one for writes. */
export function missed(run: Run, promised: Promised): string[] {
  const misses = missesOf(run, promised);
  return classes.flatMap((of) => {
    const own = misses.filter((miss) => miss.of === of);
    return own.length === 0 ? [] : [`${of}: ${missedOf(own, run[of])}`];
  });
}

function missedOf(misses: readonly Miss[], { failed, count: all, reasons: why }: Seen): string {
  const [gap, most] = (["seconds", "failed"] as const).map((limit) =>
    misses.find((miss) => miss.limit === limit),
  );
  const parts: string[] = [];
  if (gap !== undefined)
    parts.push(
      `${exactSeconds(gap.measured)} without a success (promised: ${exactSeconds(gap.promised)})`,
    );
  if (failed > 0) {
    const promised = most === undefined ? "" : ` (promised: ${count(most.promised)})`;
    const because = reasons(why);
    parts.push(`${failures(failed, all)}${promised}${because && `: ${because}`}`);
  }
  return parts.join("; ");
}

export const failures = (failed: number, all: number): string =>
  `${count(failed)} of ${count(all)} failed`;

/** What clients saw, in short. */
export const seenOf = (run: Run, of: Class): string =>
  `${of}: gap ${seconds(run[of].gapSeconds)}, ${count(run[of].failed)} failed`;

/** In how many runs. @returns such as `4`, or `4 of 5` where one of them does not count */
export function runsOf(fault: FaultResult): string {
  const counted = countedOf(fault).length;
  return counted === fault.runs.length ? `${counted}` : `${counted} of ${fault.runs.length}`;
}

/** The whole proof in a sentence or two. */
export function sentence({ faults, skipped }: Pick<Proof, "faults" | "skipped">): string {
  const verdicts = faults.map(verdictOfFault);
  const number = (verdict: Verdict) => verdicts.filter((one) => one === verdict).length;
  const runs = faults.reduce((all, fault) => all + countedOf(fault).length, 0);
  const left =
    skipped.length === 0 ? "" : ` ${some(skipped.length, "fault was", "faults were")} not tried.`;
  if (faults.length === 0) return `No fault was tried.${left}`;
  const tried = `${some(faults.length, "fault")} in ${some(runs, "run")}`;
  if (number("held") === faults.length) return `All promises were kept: ${tried}.${left}`;
  const parts = [
    [number("missed"), "missed for"],
    [number("violated"), "what must never happen was seen for"],
    [number("void"), "no run counts for"],
  ] as const;
  const told = parts.filter(([many]) => many > 0).map(([many, what]) => `${what} ${count(many)}`);
  return `${tried}: promises kept for ${[count(number("held")), ...told].join(", ")}.${left}`;
}
