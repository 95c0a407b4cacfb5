/** What runs are worth against what is promised. */
import assert from "node:assert/strict";
import {
  exitStatusOf,
  measuredOf,
  missesOf,
  verdictOfFault,
  verdictOfProof,
  verdictOfRun,
  violationsOf,
} from "../../../../operate/prove/judge.ts";
import type { FaultResult, Promised, Run, Verdict } from "../../../../operate/prove/proof.ts";
import { drawnProof, drawnRun, whole } from "../../../support/unit/proof.ts";

const promised: Promised = { reads: { seconds: 1, failed: 0 }, writes: { seconds: 30 } };

/** @param reads seconds without a success, and how many failed @param writes the same */
const seen = (reads: readonly [number, number], writes: readonly [number, number]): Run =>
  drawnRun({
    reads: { ...whole, gapSeconds: reads[0], failed: reads[1] },
    writes: { ...whole, gapSeconds: writes[0], failed: writes[1] },
  });

const held = seen([0.1, 0], [20, 500]);
const missed = seen([1.1, 0], [20, 500]);
const violated = drawnRun({ violations: [{ rule: "lost write", what: "r-1" }] });
const isVoid = drawnRun({ void: "the clients were late" });

const faultOf = (...runs: Run[]): FaultResult => ({
  name: "fault",
  what: "something fails",
  promised,
  runs,
});

describe("the verdict of a run", () => {
  const cases: readonly [string, Run, Verdict][] = [
    ["held: all is within the limits", held, "held"],
    ["held: limits are met exactly", seen([1, 0], [30, 0]), "held"],
    ["missed: reads stood still for a millisecond more", seen([1.001, 0], [0, 0]), "missed"],
    ["missed: one read failed where none may", seen([0.1, 1], [0, 0]), "missed"],
    ["missed: writes stood still for too long", seen([0.1, 0], [30.5, 0]), "missed"],
    ["violated: something that must never be", violated, "violated"],
    [
      "violated: it is worse than what is missed besides",
      { ...missed, violations: violated.violations },
      "violated",
    ],
    ["violated: also where the clients were late", { ...violated, void: "late" }, "violated"],
    ["void: whatever was missed", { ...missed, void: "late" }, "void"],
    ["void: also where the reason is empty", { ...held, void: "" }, "void"],
  ];
  for (const [title, run, verdict] of cases)
    it(title, () => assert.equal(verdictOfRun(run, promised), verdict));

  const both = (what: Run["overlaps"][number]["what"], milliseconds: number) =>
    drawnRun({ overlaps: [{ what, members: ["db-1", "db-2"], milliseconds }] });

  it("violated: two members accepted writes at once, for however short", () => {
    const run = both("accepts writes", 1);
    assert.equal(verdictOfRun(run, promised), "violated");
    assert.deepEqual(violationsOf(run), [
      { rule: "two primaries", what: "db-1 and db-2 accepted writes at once, for 1 ms" },
    ]);
  });

  it("held: one took over at the very moment at which the other ended, or served old reads", () => {
    assert.equal(verdictOfRun(both("accepts writes", 0), promised), "held");
    assert.equal(verdictOfRun(both("serves reads as the primary", 900), promised), "held");
  });

  it("held: nothing is missed of what is not promised", () => {
    assert.equal(verdictOfRun(seen([500, 900], [500, 900]), { reads: {}, writes: {} }), "held");
  });

  it("names each limit that was not kept", () => {
    assert.deepEqual(missesOf(seen([2, 3], [31, 900]), promised), [
      { of: "reads", limit: "seconds", promised: 1, measured: 2 },
      { of: "reads", limit: "failed", promised: 0, measured: 3 },
      { of: "writes", limit: "seconds", promised: 30, measured: 31 },
    ]);
  });
});

describe("the verdict of a fault", () => {
  const cases: readonly [Verdict, readonly Run[]][] = [
    ["held", [held, held]],
    ["held", [held, isVoid]],
    ["missed", [held, missed, held]],
    ["violated", [missed, violated, held]],
    ["void", [isVoid, isVoid]],
    ["void", []],
  ];
  for (const [verdict, runs] of cases) {
    const each = runs.map((run) => verdictOfRun(run, promised)).join(", ") || "none";
    it(`is ${verdict} of these runs: ${each}`, () =>
      assert.equal(verdictOfFault(faultOf(...runs)), verdict));
  }
});

describe("the verdict of a fault that hit a machine with more on it in one of its runs", () => {
  it("is of each run by what was promised of that one", () => {
    const longer: Promised = { reads: { seconds: 90 }, writes: { seconds: 90 } };
    const joined = { promised: longer, runs: [{ ...missed, promised }] };
    assert.equal(verdictOfFault(joined), "missed");
    assert.equal(verdictOfFault({ promised: longer, runs: [missed] }), "held");
  });
});

describe("the verdict of a proof, and its exit status", () => {
  const faults = {
    held: faultOf(held),
    missed: faultOf(missed),
    violated: faultOf(violated),
    void: faultOf(isVoid),
  };
  const cases: readonly [Verdict, number, readonly (keyof typeof faults)[]][] = [
    ["held", 0, ["held", "held"]],
    ["missed", 1, ["held", "missed", "void"]],
    ["violated", 1, ["missed", "violated", "held"]],
    ["void", 2, ["void", "void"]],
    ["void", 2, ["held", "void"]],
    ["void", 2, []],
  ];
  for (const [verdict, status, names] of cases)
    it(`are ${verdict} and ${status} of these faults: ${names.join(", ") || "none"}`, () => {
      const proof = drawnProof({ faults: names.map((name) => faults[name]) });
      assert.equal(verdictOfProof(proof), verdict);
      assert.equal(exitStatusOf(proof), status);
    });
});

describe("what was measured of a fault", () => {
  it("is the median and the worst of the runs that count", () => {
    const fault = faultOf(
      seen([0.9, 4], [23, 10]),
      seen([0.3, 0], [25, 30]),
      seen([0.5, 1], [24, 20]),
      { ...seen([60, 999], [60, 999]), void: "the clients were late" },
    );
    assert.deepEqual(measuredOf(fault, "reads"), {
      gapSeconds: { median: 0.5, worst: 0.9 },
      failed: { median: 1, worst: 4 },
    });
    assert.deepEqual(measuredOf(fault, "writes"), {
      gapSeconds: { median: 24, worst: 25 },
      failed: { median: 20, worst: 30 },
    });
  });

  it("is in the middle between two where their number is even", () => {
    const fault = faultOf(seen([4, 1], [0, 0]), seen([1, 0], [0, 0]));
    assert.deepEqual(measuredOf(fault, "reads"), {
      gapSeconds: { median: 2.5, worst: 4 },
      failed: { median: 0.5, worst: 1 },
    });
  });

  it("is nothing where no run counts", () => {
    assert.equal(measuredOf(faultOf(isVoid), "reads"), undefined);
    assert.equal(measuredOf(faultOf(), "writes"), undefined);
  });
});
