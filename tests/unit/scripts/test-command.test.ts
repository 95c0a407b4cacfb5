import assert from "node:assert/strict";
import { readChoice } from "../../../scripts/test/steps.ts";
import { duration, suiteCounts, summaryTable, totalLine } from "../../../scripts/test/summary.ts";

describe("npm test: which steps", () => {
  it("all of them by default", () => {
    assert.deepEqual(readChoice([]).steps, ["set-up", "lint", "types", "unit", "app", "e2e"]);
  });

  it("those chosen, in the usual order, with set-up where they need it", () => {
    assert.deepEqual(readChoice(["--only", "types,lint"]).steps, ["lint", "types"]);
    assert.deepEqual(readChoice(["--only", "e2e", "--only", "unit"]).steps, [
      "set-up",
      "unit",
      "e2e",
    ]);
  });

  it("refuses an unknown one with the known", () => {
    assert.throws(
      () => readChoice(["--only", "units"]),
      /--only units: no such step; there are set-up, lint/,
    );
  });

  it("hands --grep to mocha, and sees --full", () => {
    const { full, mocha } = readChoice(["--full", "--grep", "W6"]);
    assert.deepEqual([full, mocha], [true, ["--grep", "W6"]]);
  });
});

describe("npm test: counting", () => {
  const row = { step: "unit", seconds: 1 };

  it("ends with the sum of all steps", () => {
    const results = [
      { ...row, passed: 3, failed: 1, skipped: 0 },
      { ...row, passed: 2, failed: 0, skipped: 0 },
    ];
    assert.equal(totalLine(results), "5 passed, 1 failed");
  });

  it("names skipped tests only where there are any", () => {
    assert.equal(
      totalLine([{ ...row, passed: 1, failed: 0, skipped: 2 }]),
      "1 passed, 0 failed, 2 skipped",
    );
  });

  it("a suite that broke off, or left no report, counts as one failure", () => {
    assert.deepEqual(suiteCounts(undefined, 1), { passed: 0, failed: 1, skipped: 0 });
    assert.deepEqual(suiteCounts('{"passed":4,"failed":0,"skipped":0}', 130), {
      passed: 4,
      failed: 1,
      skipped: 0,
    });
  });

  it("failures that mocha counted are counted once", () => {
    const report = '{"passed":4,"failed":2,"skipped":1}';
    assert.deepEqual(suiteCounts(report, 2), { passed: 4, failed: 2, skipped: 1 });
  });

  it("shows durations for people", () => {
    assert.deepEqual([0.42, 12.4, 65, 3600].map(duration), [
      "0.4 s",
      "12 s",
      "1 min 05 s",
      "60 min 00 s",
    ]);
  });

  it("shows a row for each step", () => {
    const table = summaryTable([
      { step: "lint", passed: 1, failed: 0, skipped: 0, seconds: 0.4 },
      { step: "e2e", passed: 0, failed: 1, skipped: 0, seconds: 61, note: "no engine" },
    ]);
    assert.equal(
      table,
      "ok      lint  1 passed, 0 failed  0.4 s\n" +
        "FAILED  e2e   0 passed, 1 failed  1 min 01 s  no engine\n",
    );
  });
});
