import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Arrivals } from "../../../../../operate/prove/load/arrivals.ts";
import { type Client, Crew } from "../../../../../operate/prove/load/crew.ts";

describe("arrivals", () => {
  it("are due at their rate, whatever else goes on", async () => {
    const due: number[] = [];
    const arrivals = new Arrivals(100, (at) => due.push(at));
    await sleep(500);
    arrivals.stop();
    const all = due.length;
    await sleep(50);
    assert.equal(due.length, all, "it has ended");
    const gaps = due.slice(1).map((at, index) => Math.round(at - (due[index] ?? 0)));
    assert.deepEqual([...new Set(gaps)], [10]);
    assert.ok(all >= 40 && all <= 60, `${all}`);
  });

  it("are void once the generator itself is late", async () => {
    const arrivals = new Arrivals(100, () => {});
    // While clients connect it does not count
    await sleep(2100);
    assert.equal(arrivals.whyVoid, undefined);
    const end = performance.now() + 600;
    while (performance.now() < end);
    await sleep(50);
    arrivals.stop();
    assert.match(
      arrivals.whyVoid ?? "",
      /^the load generator could not keep up: \d\d\.\d % of \d+ arrivals were more than 200 ms late$/,
    );
  });
});

/** A client that takes a while for each. @param served gets when that was due */
const slow = (served: number[]): Client => ({
  name: "a",
  async serve(due) {
    served.push(due);
    await sleep(20);
  },
  async end() {},
});

describe("a crew", () => {
  it("does what is due one after the other where all are busy, and counts from when it was due", async () => {
    const now = performance.now();
    const served: string[] = [];
    const client = (name: string): Client => ({
      name,
      async serve(due) {
        await sleep(20);
        served.push(`${name} ${Math.round(due - now)}`);
      },
      async end() {
        served.push(`${name} ended`);
      },
    });
    const crew = new Crew([client("a"), client("b")], () => assert.fail("it is not late"));
    for (const later of [1, 2, 3, 4]) crew.arrive(now + later);
    await crew.end();
    assert.deepEqual(served, ["a 1", "b 2", "a 3", "b 4", "a ended", "b ended"]);
  });

  it("gives up what was due for too long, so that it ends soon after a stack that was slow", async () => {
    const given: number[] = [];
    const served: number[] = [];
    const client = slow(served);
    const crew = new Crew([client], (due) => given.push(due));
    const now = performance.now();
    crew.arrive(now);
    for (const ago of [90_000, 60_000, 1000]) crew.arrive(now - ago);
    await crew.end();
    assert.deepEqual(served, [now, now - 1000]);
    assert.deepEqual(given, [now - 90_000, now - 60_000]);
  });

  it("begins nothing more where it is cut off", async () => {
    const served: number[] = [];
    const client = slow(served);
    const crew = new Crew([client], () => assert.fail("it is not late"));
    const now = performance.now();
    for (const due of [now, now + 1, now + 2]) crew.arrive(due);
    await crew.end({ now: true });
    assert.deepEqual(served, [now]);
  });
});
