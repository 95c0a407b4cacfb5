/** A proof on a terminal. */
import assert from "node:assert/strict";
import { columns, progressOf, tableText } from "../../../../../operate/prove/report/table.ts";
import {
  balancerLost,
  cacheLost,
  drawnProof,
  drawnRun,
  networkSplit,
  primaryLost,
  standbyFrozen,
} from "../../../../support/unit/proof.ts";

const ESC = "\u001b";
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
const withoutColour = (text: string) => text.replaceAll(/\u001b\[\d+m/g, "");

const tooWide = (text: string) => text.split("\n").filter((line) => line.length > columns);

describe("the table of a proof", () => {
  it("says what was promised, what was measured, what did not hold, and why", () => {
    assert.equal(
      tableText(drawnProof(), false),
      `dev on docker, shop, 2026-11-28 14:02:11 UTC, in 1 h 12 min
violated: 5 faults in 8 runs: promises kept for 2, missed for 2, what must never happen was seen for 1. 1
fault was not tried.

                                                       longest gap          failed
what fails                             promised             median   worst  median  worst    runs  verdict
the primary's machine is lost  reads   1 s                  0.40 s  0.90 s       0     12       3  held
                               writes  30 s                 23.1 s  23.4 s     553    570
the load balancer with the     reads   1 s, 5 failed        0.90 s  0.90 s      27     27  1 of 2  missed
addresses is lost              writes  1 s, 5 failed        0.90 s  0.90 s      10     10
the standby's machine stands   reads   1 s                  0.10 s  0.10 s       0      0       1  missed
still, and goes on             writes  15 s, 0 failed       16.3 s  16.3 s     380    380
the primary's machine sees no  reads   1 s                  0.10 s  0.10 s       0      0       1  violated
other machine                  writes  30 s                 24.9 s  24.9 s     572    572
the cache is lost              reads   1 s, 0 failed        0.10 s  0.10 s       0      0       2  held
                               writes  1 s, 0 failed        0.10 s  0.10 s       0      0

What did not hold
  the load balancer with the addresses is lost (load-balancer-lost)
    run 1 of 2 (lb-1): missed: reads: 27 of 19,975 failed (promised: 5): connection reset
    run 1 of 2 (lb-1): missed: writes: 10 of 11,500 failed (promised: 5): connection reset
  the standby's machine stands still, and goes on (standby-frozen)
    run 1 of 1 (db-2): missed: writes: 16.204 s without a success (promised: 15 s); 380 of 8,930 failed
      (promised: 0): canceling statement due to statement timeout
  the primary's machine sees no other machine (primary-split)
    run 1 of 1 (db-1): violated: lost write: register r-17: 4711 was acknowledged at 10.213 s by db-1, and
      every read since 24.9 s at db-2 gives 4698
    run 1 of 1 (db-1): violated: two primaries: db-1 and db-2 accepted writes at once, for 340 ms

Outages: seconds since the fault
                                     noticed  decided  promoted  rerouted  first success
  primary-lost, run 1 of 3 (db-1)       20.1     20.6      21.9      22.6           23.1
  primary-lost, run 2 of 3 (db-2)       20.1     20.6      21.9      22.6           22.7
  primary-lost, run 3 of 3 (db-1)       20.1     20.6      21.9      22.6           23.4
  standby-frozen, run 1 of 1 (db-2)     15.2     15.4      15.6      15.7           16.3
  primary-split, run 1 of 1 (db-1)      20.4     20.9      22.1      23.2           24.9

Runs that do not count
  load-balancer-lost, run 2 of 2 (lb-1): the load generator was up to 3.2 s late: 2 cores are too few

Not tried
  backup-lost: this stack has no machine of backups
`,
    );
  });

  it("is short where all held", () => {
    const proof = drawnProof({
      faults: [{ ...cacheLost(), promised: { reads: { seconds: 1 }, writes: {} } }],
      skipped: [],
    });
    assert.equal(
      tableText(proof, false),
      `dev on docker, shop, 2026-11-28 14:02:11 UTC, in 1 h 12 min
held: All promises were kept: 1 fault in 2 runs.

                                     longest gap          failed
what fails                 promised       median   worst  median  worst  runs  verdict
the cache is lost  reads   1 s            0.10 s  0.10 s       0      0     2  held
                   writes  no limit       0.10 s  0.10 s       0      0
`,
    );
  });

  it("says so where no run counts, and where no fault was tried", () => {
    const fault = { ...cacheLost(), runs: [drawnRun({ void: "the clients were late" })] };
    const text = tableText(drawnProof({ faults: [fault], skipped: [] }), false);
    assert.match(text, /^void: 1 fault in 0 runs: promises kept for 0, no run counts for 1\.$/m);
    assert.match(text, /^the cache is lost +reads +1 s, 0 failed +- +- +- +- +0 of 1 +void$/m);
    assert.match(
      text,
      /^Runs that do not count\n {2}cache-lost, run 1 of 1 \(db-1\): the clients were late$/m,
    );
    assert.match(tableText(drawnProof({ faults: [] }), false), /^void: No fault was tried\./m);
  });

  it("hides nothing that must never be, also where the run does not count", () => {
    const [run = drawnRun()] = networkSplit().runs;
    const fault = { ...networkSplit(), runs: [{ ...run, void: "late", overlaps: [] }] };
    assert.match(
      tableText(drawnProof({ faults: [fault] }), false),
      /^ {2}primary-split, run 1 of 1 \(db-1\): late\n {4}seen all the same: lost write: register r-17: /m,
    );
  });

  it("has colours on a terminal alone, and the same letters with them", () => {
    const plain = tableText(drawnProof(), false);
    const painted = tableText(drawnProof(), true);
    assert.ok(!plain.includes(ESC));
    assert.equal(withoutColour(painted), plain);
    for (const word of ["[32mheld", "[33mmissed", "[31mviolated"])
      assert.ok(painted.includes(ESC + word), word);
  });

  it("is no wider than promised, whatever is told, and shows nothing that a terminal would obey", () => {
    const long = `${ESC}[2J${"x".repeat(300)} ${"long words ".repeat(30)}`;
    const fault = {
      ...networkSplit(),
      name: long,
      what: long,
      promised: { reads: { seconds: 123.456, failed: 12_345 }, writes: {} },
    };
    const [run = drawnRun()] = fault.runs;
    const reads = { ...run.reads, failed: 234_567, gapSeconds: 456.7, reasons: { [long]: 9 } };
    const text = tableText(
      drawnProof({
        stack: long,
        application: long,
        faults: [
          {
            ...fault,
            runs: [
              { ...run, reads, members: [long], violations: [{ rule: long, what: long }] },
              drawnRun({ void: long }),
            ],
          },
        ],
        skipped: [{ name: long, why: long }],
      }),
      false,
    );
    assert.deepEqual(tooWide(text), []);
    assert.ok(!text.includes(ESC));
    assert.ok(text.includes("\\x1b[2J"));
    assert.deepEqual(tooWide(progressOf(fault, 5, false)), []);
  });
});

describe("the line of a run that has just ended", () => {
  it("tells the last run of a fault", () => {
    const fault = primaryLost();
    assert.equal(
      progressOf({ ...fault, runs: fault.runs.slice(0, 2) }, 3, false),
      "primary-lost, run 2 of 3 (db-2): held; reads: gap 0.40 s, 0 failed; writes: gap 22.7 s, 524 failed",
    );
  });

  it("tells first why it does not count, or what must never be", () => {
    assert.match(
      progressOf(balancerLost(), 2, false),
      /^load-balancer-lost, run 2 of 2 \(lb-1\): void; the load generator was up to 3\.2 s late/,
    );
    assert.match(
      progressOf(networkSplit(), 1, false),
      /^primary-split, run 1 of 1 \(db-1\): violated; lost write: register r-17: /,
    );
  });

  it("counts a run that is tried again once", () => {
    const fault = primaryLost();
    const [first, second] = fault.runs;
    assert.ok(first && second);
    const runs = [{ ...first, void: "clients were late" }, second];
    assert.match(
      progressOf({ ...fault, runs: runs.slice(0, 1) }, 1, false),
      /, run 1 of 1 .*: void;/,
    );
    assert.match(progressOf({ ...fault, runs }, 1, false), /, run 1 of 1 .*: held;/);
  });

  it("has the verdict in colour", () => {
    const line = progressOf(standbyFrozen(), 1, true);
    assert.ok(line.includes(`: ${ESC}[33mmissed${ESC}[0m; reads`), line);
    assert.equal(withoutColour(line), progressOf(standbyFrozen(), 1, false));
  });
});
