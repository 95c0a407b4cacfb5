import { beginning, type Failure } from "./failures.ts";

/** How many tests came out how. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What one test or hook took. */
export interface Case {
  readonly title: string;
  readonly file?: string | undefined;
  readonly seconds: number;
}

/** One row of the summary. */
export interface Result extends Counts {
  readonly step: string;
  readonly seconds: number;
  /** Why the step did not run, or how it broke off. */
  readonly note?: string;
  /** @default none */
  readonly failures?: readonly Failure[];
  /** @default none */
  readonly cases?: readonly Case[];
}

/** What a step leaves behind. */
export type Outcome = Counts & Pick<Result, "failures" | "cases">;

export const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

/** `1 min 05 s`, `12 s`, `0.4 s`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/**
 * What came of a mocha run.
 * @param report what the reporter left, if anything
 * @param code mocha's exit code: a run that broke off failed, whatever it had counted
 * @param minutes after which the run was ended from outside
 */
export function suiteOutcome(report: string | undefined, code: number, minutes: number): Outcome {
  const { ended, ...told } = report === undefined ? { ended: false, ...nothing } : read(report);
  const failures = (told.failures ?? []).map((one) => ({ ...one, error: beginning(one.error) }));
  if (ended && (code === 0 || told.failed > 0)) return { ...told, failures };
  const error = `mocha failed with exit code ${code} (its time limit is ${minutes} minutes). See above`;
  const brokeOff = { title: "the run was interrupted", error };
  return { ...told, failed: told.failed + 1, failures: [...failures, brokeOff] };
}

const read = (report: string): Outcome & { readonly ended: boolean } => JSON.parse(report);

/** The whole run in one line: the last one of `npm test`. */
export function totalLine(results: readonly Counts[]): string {
  const sum = (key: keyof Counts) => results.reduce((total, result) => total + result[key], 0);
  const skipped = sum("skipped");
  return `${sum("passed")} passed, ${sum("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** The rows as a table for people. */
export function summaryTable(results: readonly Result[]): string {
  const rows = results.map(({ step, passed, failed, skipped, seconds, note }) => [
    failed > 0 ? "FAILED" : "ok",
    step,
    `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
    duration(seconds),
    note ?? "",
  ]);
  const widths = [0, 1, 2, 3].map((at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  return rows
    .map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** The cases that took longest, so that nobody has to look for where the time goes. */
export function slowest(results: readonly Result[], count = 10): string {
  const cases = results.flatMap(({ step, cases: own = [] }) =>
    own.map((one) => ({ step, ...one })),
  );
  if (cases.length === 0) return "";
  const rows = cases
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, count)
    .map(({ step, title, seconds }) => [duration(seconds), step, title]);
  const width = (at: number) => Math.max(...rows.map((row) => (row[at] ?? "").length));
  const lines = rows.map(
    ([time = "", step = "", title = ""]) =>
      `  ${time.padStart(width(0))}  ${step.padEnd(width(1))}  ${title}\n`,
  );
  return `The slowest ${rows.length}:\n${lines.join("")}`;
}
