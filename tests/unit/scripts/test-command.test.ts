import assert from "node:assert/strict";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot, root } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { become } from "../../../scripts/bootstrap.mjs";
import { beginning, ending, failureList } from "../../../scripts/test/failures.ts";
import { parts, readChoice, waves } from "../../../scripts/test/parts.ts";
import {
  lastResult,
  note,
  readRecord,
  tested,
  whatIsLeft,
  whyPassed,
} from "../../../scripts/test/record.ts";
import { Told } from "../../../scripts/test/side-by-side.ts";
import {
  duration,
  nothing,
  slowest,
  suiteOutcome,
  summaryTable,
  totalLine,
} from "../../../scripts/test/summary.ts";

const namesOf = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);

describe("npm test: which parts", () => {
  const chosen = (...args: string[]) => namesOf(readChoice(args).parts);

  it("all of them by default", () => {
    assert.deepEqual(chosen(), namesOf(parts));
  });

  it("those chosen, in the usual order, with set-up where they need it", () => {
    assert.deepEqual(chosen("--part", "types,lint"), ["lint", "types"]);
    assert.deepEqual(chosen("--part", "keep-data", "--only", "lint"), [
      ...["set-up", "lint", "keep-data"],
    ]);
  });

  it("several by the beginning of their names", () => {
    assert.deepEqual(chosen("--part", "e2e"), ["set-up", "e2e-dev", "e2e-lab"]);
  });

  it("refuses an unknown one with the known", () => {
    assert.throws(
      () => readChoice(["--part", "units"]),
      /--part units: there is no such part; use one of set-up, lint/,
    );
  });

  it("hands --grep to mocha, and sees the other options", () => {
    const { full, mocha, again, list } = readChoice(["--full", "--grep", "W6", "--again"]);
    assert.deepEqual([full, mocha, again, list], [true, ["--grep", "W6"], true, false]);
    assert.equal(readChoice(["--list"]).list, true);
  });

  it("have every test file of the project in one part, and no other", () => {
    const files = parts.flatMap((part) => part.files?.() ?? []);
    const pattern = "{app/test,tests,examples}/**/*.test.ts";
    assert.deepEqual(files.sort(), globSync(pattern, { cwd: root }).sort());
  });

  it("run side by side with their neighbours where they say so", () => {
    const part = (name: string, sideBySide = false) => {
      return { name, about: "", minutes: 1, limitMinutes: 1, sideBySide };
    };
    const beside = (name: string) => part(name, true);
    const list = [part("a"), part("b"), beside("c"), beside("d"), part("e"), beside("f")];
    assert.deepEqual(waves(list).map(namesOf), [["a"], ["b"], ["c", "d"], ["e"], ["f"]]);
  });
});

describe("npm run test:full: what has passed already", () => {
  const now = { commit: "abc", clean: true };
  const result = { step: "unit", passed: 3, failed: 0, skipped: 1, seconds: 65 };
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-unit-"));
    file = join(folder, "tests/full.json");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const entry = () => readRecord(file).unit;

  it("is nothing at first", () => {
    assert.equal(whyPassed(entry(), now), undefined);
    assert.equal(lastResult(entry()), "never run");
  });

  it("is written down part by part", () => {
    note(result, now, now, file);
    note({ ...result, step: "app", failed: 2 }, now, now, file);
    assert.match(whyPassed(entry(), now) ?? "", /^it passed on this commit, \d{4}-.* UTC; --again/);
    assert.match(
      lastResult(entry()),
      /^3 passed, 0 failed, 1 skipped on abc, .* UTC, in 1 min 05 s$/,
    );
    assert.equal(whyPassed(readRecord(file).app, now), undefined, "it failed");
  });

  it("counts on its own commit alone, and without changes then and now", () => {
    note(result, now, now, file);
    assert.equal(whyPassed(entry(), { ...now, commit: "def" }), undefined);
    assert.equal(whyPassed(entry(), { ...now, clean: false }), undefined);
    assert.equal(whyPassed(entry(), undefined), undefined);
    const others = [
      [{ ...now, clean: false }, now],
      [now, { ...now, clean: false }],
      [now, { ...now, commit: "def" }],
    ] as const;
    for (const [before, after] of others) {
      note(result, before, after, file);
      assert.equal(whyPassed(entry(), now), undefined);
      assert.match(lastResult(entry()), /on abc with changes/);
    }
  });

  it("is void once the part has failed on the same commit", () => {
    note(result, now, now, file);
    note({ ...result, failed: 1 }, now, now, file);
    assert.equal(whyPassed(entry(), now), undefined);
  });

  it("tells what is left to do on this commit", () => {
    const names = ["unit", "app"];
    const left = (tree?: typeof now) => whatIsLeft(names, readRecord(file), tree);
    note(result, now, now, file);
    assert.equal(left(now), "Not passed yet on abc: app.");
    note({ ...result, step: "app" }, now, now, file);
    assert.equal(left(now), "All parts have passed on abc.");
    assert.match(left({ ...now, clean: false }), /^There are changes since abc: /);
    assert.match(left(), /^This is no git checkout: /);
  });

  it("knows commit and changes from git, and nothing without it", async () => {
    const git = (...args: string[]) =>
      mustRun(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x", ...args]);
    assert.equal(await tested(folder), undefined);
    await git("init", "--quiet");
    writeFileSync(join(folder, "a"), "");
    await git("add", "a");
    await git("commit", "--quiet", "--message=a");
    const commit = (await git("rev-parse", "HEAD")).trim();
    assert.deepEqual(await tested(folder), { commit, clean: true });
    writeFileSync(join(folder, "b"), "");
    assert.deepEqual(await tested(folder), { commit, clean: false });
  });
});

describe("npm test: parts side by side", () => {
  it("are told one after the other, the first at once", () => {
    let shown = "";
    const told = new Told(["a", "b", "c"], (text) => {
      shown += text;
    });
    told.tell("b", "b1 ");
    told.tell("a", "a1 ");
    told.tell("c", "c1 ");
    assert.equal(shown, "a1 ");
    told.end("c");
    told.tell("a", "a2 ");
    told.end("a");
    assert.equal(shown, "a1 a2 b1 ");
    told.tell("b", "b2 ");
    told.end("b");
    assert.equal(shown, "a1 a2 b1 b2 c1 ");
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
    const error = "mocha failed with exit code 130 (its time limit is 9 minutes). See above";
    const failures = [{ title: "the run was interrupted", error }];
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

  it("shows the slowest cases of all parts", () => {
    const cases = [1, 30, 7].map((seconds) => ({ title: `takes ${seconds}`, seconds }));
    const results = [
      { ...row, ...nothing, cases },
      { ...row, ...nothing, step: "e2e", cases: [{ title: "takes 90", seconds: 90 }] },
      { ...row, ...nothing },
    ];
    assert.equal(
      slowest(results, 3),
      "The slowest 3:\n  1 min 30 s  e2e   takes 90\n" +
        "        30 s  unit  takes 30\n       7.0 s  unit  takes 7\n",
    );
    assert.equal(slowest([{ ...row, ...nothing }]), "");
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
      { title: "tsc failed with exit code 2", error: "a.ts(1,1): wrong" },
    ];
    assert.equal(
      failureList([{ step: "lint" }, { step: "unit", failures }]),
      "FAILED  unit: until keeps to its limit\n" +
        "  tests/unit/a.test.ts\n" +
        "    Error: no\n\n        at x\n\n" +
        "FAILED  unit: tsc failed with exit code 2\n" +
        "    a.ts(1,1): wrong\n\n" +
        "FAILED  unit: until keeps to its limit\n" +
        "FAILED  unit: tsc failed with exit code 2\n\n",
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
      const outcome = suiteOutcome(readFileSync(report, "utf8"), code, 9);
      const { passed, failed, failures, cases } = outcome;
      assert.deepEqual([code, passed, failed], [7, 1, 3]);
      const told = (failures ?? []).map((one) => [one.title, one.file?.split("/").at(-1)]);
      assert.deepEqual(told, [
        ["a suite fails", "odd.test.mjs"],
        [`a suite "after all" hook for "fails"`, "odd.test.mjs"],
        ["the run was interrupted", undefined],
      ]);
      assert.deepEqual(
        (cases ?? []).map(({ title }) => title),
        ["a suite is fine", "a suite fails"],
      );
      assert.match(failures?.[0]?.error ?? "", /^Error: first\nsecond\n +at .*odd\.test\.mjs:4/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
