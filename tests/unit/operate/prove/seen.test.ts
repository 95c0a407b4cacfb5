import assert from "node:assert/strict";
import type { Kind, Operation } from "../../../../operate/prove/history.ts";
import { longestGap, seenOf, seriesOf } from "../../../../operate/prove/seen.ts";

/** One that was due 10 ms before it ended. */
const one = (kind: Kind, ended: number, more: Partial<Operation> = {}): Operation => ({
  ...{ kind, client: "one", due: ended - 10, began: ended - 8, ended, outcome: "ok" },
  ...more,
});

describe("the longest time without a success", () => {
  it("is that of the kind that had it worst", () => {
    const operations = [
      ...[100, 200, 300, 400, 500].map((at) => one("page", at)),
      ...[100, 450].map((at) => one("standby read", at)),
    ];
    assert.deepEqual(longestGap(operations, [0, 500]), { seconds: 0.35, end: 450 });
  });

  it("also is where there is none until the end, or after the beginning", () => {
    assert.deepEqual(longestGap([one("page", 100)], [0, 5000]), { seconds: 4.9, end: 5000 });
    assert.deepEqual(longestGap([one("page", 900)], [0, 1000]), { seconds: 0.9, end: 900 });
  });

  it("ends with a write, also where whoever wrote went on to read", () => {
    const visits = [one("visit", 100), one("visit", 900, { written: 300 })];
    assert.deepEqual(longestGap(visits, [0, 400]), { seconds: 0.2, end: 300 });
  });

  it("counts no failure as one", () => {
    const failed = one("page", 500, { outcome: "refused", why: "status 503" });
    assert.equal(longestGap([one("page", 100), failed, one("page", 900)], [0, 900]).seconds, 0.8);
  });
});

describe("what clients saw", () => {
  const span = [0, 1000] as const;

  it("counts every request that failed, with why", () => {
    const operations = [
      one("page", 100),
      one("page", 200, { outcome: "refused", why: "status 503" }),
      one("fresh page", 300, { outcome: "refused", why: "status 503" }),
      one("page", 400, { outcome: "refused", why: "status 503" }),
      one("write", 500, { outcome: "unknown", why: "no answer" }),
    ];
    const reads = seenOf(operations, true, span);
    assert.deepEqual([reads.count, reads.failed], [4, 3]);
    assert.deepEqual(reads.reasons, { "page: status 503": 2, "fresh page: status 503": 1 });
    assert.deepEqual(seenOf(operations, false, span).reasons, { "write: no answer": 1 });
  });

  it("is no failure where a compare-and-set found another value", () => {
    const found = one("write", 100, { outcome: "refused", expected: "a", value: "b" });
    assert.equal(seenOf([found], false, span).failed, 0);
    const lost = { ...found, why: "no connection" };
    assert.equal(seenOf([lost], false, span).failed, 1);
  });

  it("has latencies from the time a request was due", () => {
    const slow = one("page", 900, { due: 100, began: 890 });
    const { medianMilliseconds, p99Milliseconds } = seenOf(
      [one("page", 50), one("page", 60), slow],
      true,
      span,
    );
    assert.deepEqual([medianMilliseconds, p99Milliseconds], [10, 800]);
  });
});

describe("operations by tenths of a second", () => {
  it("are counted by the time they ended, each kind by itself", () => {
    const operations = [
      one("page", 50),
      one("page", 99, { due: 20 }),
      one("page", 250, { outcome: "refused", why: "status 503" }),
      one("entry", 150),
    ];
    assert.deepEqual(seriesOf(operations, 0.3), [
      { kind: "page", ok: [2, 0, 0], failed: [0, 0, 1], slowest: [79, 0, 10] },
      { kind: "entry", ok: [0, 1, 0], failed: [0, 0, 0], slowest: [0, 10, 0] },
    ]);
  });
});
