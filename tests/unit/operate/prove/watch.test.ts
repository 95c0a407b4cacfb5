import assert from "node:assert/strict";
import { notWatched, overlapsOf, readTimes, together } from "../../../../operate/prove/watch.ts";

describe("what a member of the database was seen to do", () => {
  it("is read from the lines of its watch, also where one was cut off", () => {
    const text = "primary 10.0200\nwrite 10.0300\nprimary 10.0400\nwri";
    assert.deepEqual(readTimes("db-1", text, [12_000, 12_100]), {
      member: "db-1",
      primary: [10_020, 10_040],
      write: [10_030],
    });
  });

  it("is told by the clock here, from which the machine's may differ by more than asking takes", () => {
    const seen = (now: string) =>
      readTimes("db-1", `now ${now}\nwrite 10.0000`, [12_000, 12_100]).write;
    assert.deepEqual(seen("12.0500"), [10_000]);
    assert.deepEqual(seen("13.1000"), [9000]);
    assert.deepEqual(seen("11.1000"), [11_000]);
  });
});

describe("members of whom nothing was seen", () => {
  const seen = (member: string, write: number[]) => ({ member, primary: [], write });

  it("are told, since then nobody knows whether two took writes", () => {
    assert.deepEqual(notWatched([seen("db-1", []), seen("db-2", [])]), [
      { rule: "not watched", what: "of db-1 and db-2 nothing was seen on their machines" },
    ]);
    assert.deepEqual(notWatched([seen("db-1", []), seen("db-2", [40])]), []);
  });
});

describe("two members that do what only one may", () => {
  it("did not where one began after the other's last time", () => {
    assert.equal(together([0, 20, 40], [60, 80]), 0);
    assert.equal(together([], [60, 80]), 0);
  });

  it("did for as long as their times lie between each other's", () => {
    assert.equal(together([0, 20, 40, 60], [50, 70]), 10);
    assert.equal(together([0, 100], [50]), 1);
  });

  it("did not where one was the primary again after a while", () => {
    assert.equal(together([0, 20, 5000, 5020], [1000, 4000]), 0);
  });

  it("are told with what it was, and for how long", () => {
    const one = { member: "db-1", primary: [0, 20, 40], write: [0, 20] };
    const other = { member: "db-2", primary: [30, 50], write: [30, 50] };
    assert.deepEqual(overlapsOf([one, other]), [
      { what: "serves reads as the primary", members: ["db-1", "db-2"], milliseconds: 10 },
    ]);
  });
});
