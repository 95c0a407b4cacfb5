/** What clients saw, counted from a history. */
import { isRead, type Kind, kinds, type Operation } from "./history.ts";
import type { Seen, Series } from "./proof.ts";

/**
 * The longest time without a success of the kind that had it worst: where pages answer, and the database does
 * not, it is the database that stood still.
 * @param span begin and end of what is looked at, milliseconds
 * @returns seconds, and when it ended
 */
export function longestGap(
  operations: readonly Operation[],
  [from, to]: readonly [number, number],
): { readonly seconds: number; readonly end: number } {
  let worst = { seconds: 0, end: from };
  for (const kind of new Set(operations.map((one) => one.kind))) {
    const times = operations
      .filter((one) => one.kind === kind && one.outcome === "ok")
      .map(({ ended, written = ended }) => written)
      .filter((at) => at >= from && at <= to)
      .toSorted((a, b) => a - b);
    let last = from;
    for (const at of [...times, to]) {
      if ((at - last) / 1000 > worst.seconds) worst = { seconds: (at - last) / 1000, end: at };
      last = at;
    }
  }
  return worst;
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;

/** A compare-and-set that found another value did what it should. */
const isFailed = ({ outcome, expected, why }: Operation): boolean =>
  outcome !== "ok" && !(outcome === "refused" && expected !== undefined && why === undefined);

export function seenOf(
  operations: readonly Operation[],
  reads: boolean,
  span: readonly [number, number],
): Seen {
  const own = operations.filter(({ kind }) => isRead(kind) === reads);
  const latencies = own
    .filter(({ outcome }) => outcome === "ok")
    .map(({ due, ended }) => ended - due)
    .toSorted((a, b) => a - b);
  const failed = own.filter(isFailed);
  const reasons: Record<string, number> = {};
  for (const { kind, why = "?" } of failed)
    reasons[`${kind}: ${why}`] = (reasons[`${kind}: ${why}`] ?? 0) + 1;
  return {
    count: own.length,
    failed: failed.length,
    gapSeconds: longestGap(own, span).seconds,
    medianMilliseconds: quantile(latencies, 0.5),
    p99Milliseconds: quantile(latencies, 0.99),
    reasons,
  };
}

const partMilliseconds = 100;

/** Each kind's operations by tenths of a second. */
export function seriesOf(operations: readonly Operation[], seconds: number): Series[] {
  const parts = Math.ceil((seconds * 1000) / partMilliseconds);
  const there = kinds.filter((kind) => operations.some((one) => one.kind === kind));
  return there.map((kind) => seriesOfKind(kind, operations, parts));
}

function seriesOfKind(kind: Kind, operations: readonly Operation[], parts: number): Series {
  const ok = new Array<number>(parts).fill(0);
  const failed = new Array<number>(parts).fill(0);
  const slowest = new Array<number>(parts).fill(0);
  for (const operation of operations.filter((one) => one.kind === kind)) {
    const part = Math.min(parts - 1, Math.floor(operation.ended / partMilliseconds));
    const counts = isFailed(operation) ? failed : ok;
    counts[part] = (counts[part] ?? 0) + 1;
    const took = Math.round(operation.ended - operation.due);
    slowest[part] = Math.max(slowest[part] ?? 0, took);
  }
  return { kind, ok, failed, slowest };
}
