/** How many tests came out how. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** One row of the summary. */
export interface Result extends Counts {
  readonly step: string;
  readonly seconds: number;
  /** Why the step did not run, or how it broke off. */
  readonly note?: string;
}

export const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

/** `1 min 05 s`, `12 s`, `0.4 s`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/**
 * The counts of a mocha run.
 * @param report what the counting reporter left, if anything
 * @param code mocha's exit code: a run that broke off failed, whatever it had counted
 */
export function suiteCounts(report: string | undefined, code: number): Counts {
  const counts = report === undefined ? nothing : (JSON.parse(report) as Counts);
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

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
