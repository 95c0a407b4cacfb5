/** Numbers, limits and sentences of a report. */
import assert from "node:assert/strict";
import { fold } from "../../../../../operate/prove/report/fold.ts";
import {
  exactSeconds,
  limits,
  milliseconds,
  missed,
  reasons,
  seconds,
  sentence,
} from "../../../../../operate/prove/report/words.ts";
import {
  cacheLost,
  drawnProof,
  drawnRun,
  primaryLost,
  whole,
} from "../../../../support/unit/proof.ts";

describe("words of a report", () => {
  it("round times up, and up alone", () => {
    const times = [0, 0.07, 0.29, 0.9, 1.001, 9.99, 9.991, 10, 23.01, 23.1];
    assert.deepEqual(times.map(seconds), [
      "0.00 s",
      "0.07 s",
      "0.29 s",
      "0.90 s",
      "1.01 s",
      "9.99 s",
      "10.00 s",
      "10.0 s",
      "23.1 s",
      "23.1 s",
    ]);
  });

  it("tell what is compared with a promise to the millisecond", () => {
    assert.deepEqual([1, 2.5, 30.004].map(exactSeconds), ["1 s", "2.5 s", "30.004 s"]);
    assert.deepEqual([0.4, 31, 999, 1000, 23_040].map(milliseconds), [
      "0 ms",
      "31 ms",
      "999 ms",
      "1.00 s",
      "23.1 s",
    ]);
  });

  it("tell limits", () => {
    assert.equal(limits({ seconds: 1 }), "1 s");
    assert.equal(limits({ failed: 0 }), "0 failed");
    assert.equal(limits({ seconds: 2.5, failed: 0 }), "2.5 s, 0 failed");
    assert.equal(limits({}), "no limit");
  });

  it("tell the most frequent reasons, and how often there were others", () => {
    assert.equal(reasons({}), "");
    assert.equal(reasons({ "connection reset": 3 }), "connection reset");
    assert.equal(
      reasons({ late: 2, reset: 1200, refused: 30, "503": 7, "500": 1 }),
      "reset (1,200), refused (30), 503 (7), 2 other reasons (3)",
    );
  });

  it("tell what was missed, and why operations failed", () => {
    const promised = { reads: { seconds: 1, failed: 2 }, writes: { seconds: 15, failed: 0 } };
    const run = drawnRun({
      reads: { ...whole, gapSeconds: 1.004, failed: 2, reasons: { reset: 2 } },
      writes: { ...whole, gapSeconds: 15, failed: 3, reasons: { reset: 1, late: 2 } },
    });
    assert.deepEqual(missed(run, promised), [
      "reads: 1.004 s without a success (promised: 1 s); 2 of 5,000 failed: reset",
      "writes: 3 of 5,000 failed (promised: 0): late (2), reset (1)",
    ]);
    assert.deepEqual(missed(drawnRun(), promised), []);
  });

  it("tell a proof in a sentence", () => {
    assert.equal(
      sentence(drawnProof({ faults: [cacheLost(), primaryLost()], skipped: [] })),
      "All promises were kept: 2 faults in 5 runs.",
    );
    const lost = { ...cacheLost(), runs: [drawnRun({ void: "late" })] };
    assert.equal(
      sentence({ faults: [...drawnProof().faults, lost], skipped: [] }),
      "6 faults in 8 runs: promises kept for 2, missed for 2, what must never happen was seen for 1, no run counts for 1.",
    );
    assert.equal(
      sentence({ faults: [], skipped: [{ name: "a", why: "b" }] }),
      "No fault was tried. 1 fault was not tried.",
    );
  });
});

describe("lines of text", () => {
  it("end between words, and cut only a word that fits on none", () => {
    assert.deepEqual(fold("one two three", 8, "  "), ["one two", "  three"]);
    assert.deepEqual(fold("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
    assert.deepEqual(fold("a abcdefgh", 5, " "), ["a", " abcd", " efgh"]);
    assert.deepEqual(fold("", 5), [""]);
  });
});
