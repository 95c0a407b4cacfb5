/** Tenths of a second of reads, or of writes, of all kinds together. */
import { isRead } from "../history.ts";
import type { Class } from "../judge.ts";
import type { Series } from "../proof.ts";

export interface Tenths {
  readonly ok: readonly number[];
  readonly failed: readonly number[];
  /** In milliseconds; 0 where nothing ended. */
  readonly slowest: readonly number[];
}

export function tenthsOf(series: readonly Series[], of: Class): Tenths {
  const own = series.filter(({ kind }) => isRead(kind) === (of === "reads"));
  const length = Math.max(0, ...own.map(({ ok }) => ok.length));
  const each = (name: "ok" | "failed" | "slowest", join: (values: number[]) => number) =>
    Array.from({ length }, (_, at) => join(own.map((one) => one[name][at] ?? 0)));
  const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
  return {
    ok: each("ok", sum),
    failed: each("failed", sum),
    slowest: each("slowest", (values) => Math.max(...values)),
  };
}
