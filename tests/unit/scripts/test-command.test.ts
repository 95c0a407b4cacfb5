import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "../../../lib/paths.ts";
import { become } from "../../../scripts/bootstrap.mjs";
import { beginning, ending, failureList } from "../../../scripts/test/failures.ts";
import { readChoice } from "../../../scripts/test/steps.ts";
import {
  duration,
  nothing,
  suiteOutcome,
  summaryTable,
  totalLine,
} from "../../../scripts/test/summary.ts";

describe("npm test: which steps", () => {
  it("all of them by default", () => {
    const all = ["set-up", "lint", "types", "unit", "app", "fuzz", "toolchain", "e2e"];
    assert.deepEqual(readChoice([]).steps, all);
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

  it("a suite that broke off, or left no report, counts as one failure and says so", () => {
    const error = "mocha ended with 130; at the latest after 9 minutes it is ended. See above";
    const failures = [{ title: "the run broke off", error }];
    assert.deepEqual(suiteOutcome(undefined, 130, 9), { ...nothing, failed: 1, failures });
    for (const ended of [true, false]) {
      const counted = { passed: 4, failed: 0, skipped: 0 };
      const report = JSON.stringify({ ended, ...counted });
      assert.deepEqual(suiteOutcome(report, 130, 9), { ...counted, failed: 1, failures });
    }
  });

  it("one that was ended after a failure counts both", () => {
    const report = { ended: false, passed: 4, failed: 1, skipped: 0, failures: [] };
    const { failed, failures = [] } = suiteOutcome(JSON.stringify(report), 143, 9);
    assert.deepEqual([failed, failures.length], [2, 1]);
  });

  it("a program that hangs is ended after its limit", async () => {
    const hang = ["-e", "setInterval(() => {}, 1000)"];
    assert.equal(await become(process.execPath, hang, process.env, () => {}, 300), 128 + 15);
  });

  it("failures that mocha counted are counted once", () => {
    const failures = [{ title: "a", error: "b" }];
    const report = { passed: 4, failed: 2, skipped: 1, failures };
    assert.deepEqual(suiteOutcome(JSON.stringify({ ended: true, ...report }), 2, 9), report);
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

const lines = (count: number) =>
  Array.from({ length: count }, (_, at) => `line ${at + 1}`).join("\n");

describe("npm test: what failed, told again at the end", () => {
  it("is nothing where nothing failed", () => {
    assert.equal(failureList([{ step: "unit" }, { step: "app", failures: [] }]), "");
  });

  it("is each failure with its step, title, file and error", () => {
    const failures = [
      {
        title: "until keeps to its limit",
        file: "tests/unit/a.test.ts",
        error: "Error: no\n\n    at x",
      },
      { title: "tsc ended with 2", error: "a.ts(1,1): wrong" },
    ];
    assert.equal(
      failureList([{ step: "lint" }, { step: "unit", failures }]),
      "FAILED  unit: until keeps to its limit\n" +
        "  tests/unit/a.test.ts\n" +
        "    Error: no\n\n        at x\n\n" +
        "FAILED  unit: tsc ended with 2\n" +
        "    a.ts(1,1): wrong\n\n",
    );
  });

  it("shows the beginning of a long error, and the end of a long output", () => {
    assert.equal(beginning(lines(20)), `${lines(15)}\n… 5 more lines above`);
    assert.equal(beginning(`${lines(15)}\n`), lines(15));
    assert.equal(ending(`${lines(40)}\n`), lines(40).slice(lines(10).length + 1));
  });

  it("comes from mocha, a hook's too, and also of a run that was ended before its end", async function () {
    this.timeout(30_000);
    const folder = mkdtempSync(join(tmpdir(), "hastack-unit-"));
    const [file, report] = [join(folder, "odd.test.mjs"), join(folder, "report.json")];
    writeFileSync(
      file,
      `describe("a suite", () => {
        after(() => { throw new Error("cannot tidy up"); });
        it("is fine", () => {});
        it("fails", () => { throw new Error("first\\nsecond"); });
      });
      describe("another", () => it("ends everything", () => process.exit(7)));`,
    );
    try {
      const args = ["--no-config", "--reporter", inRoot("scripts/test/reporter.mjs"), file];
      const env = { ...process.env, HASTACK_TEST_REPORT: report };
      const code = await become(inRoot("node_modules/.bin/mocha"), args, env, () => {});
      const { passed, failed, failures } = suiteOutcome(readFileSync(report, "utf8"), code, 9);
      assert.deepEqual([code, passed, failed], [7, 1, 3]);
      const told = (failures ?? []).map((one) => [one.title, one.file?.split("/").at(-1)]);
      assert.deepEqual(told, [
        ["a suite fails", "odd.test.mjs"],
        [`a suite "after all" hook for "fails"`, "odd.test.mjs"],
        ["the run broke off", undefined],
      ]);
      assert.match(failures?.[0]?.error ?? "", /^Error: first\nsecond\n +at .*odd\.test\.mjs:4/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
