import assert from "node:assert/strict";
import fc from "fast-check";
import { staleVisits } from "../../../../../operate/prove/check/visits.ts";
import type { Operation } from "../../../../../operate/prove/history.ts";

/** Visits of one visitor, a second each, one after the other: `7/7`, and `7/` where there was no answer. */
const visitsOf = (key: string, ...values: readonly string[]): Operation[] =>
  values.map((value, index) => ({
    ...{ kind: "visit", client: key, key, value, due: 0 },
    ...{ began: index * 1000, ended: index * 1000 + 500 },
    outcome: value.endsWith("/") ? "unknown" : "ok",
  }));

describe("visitors", () => {
  it("may read what they wrote, or what is newer", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "1/1", "2/2", "3/4", "5/5")), []);
  });

  it("must not read less than they wrote", () => {
    const visits = visitsOf("v1", "1/1", "2/1", "3/3").map((one) => ({ ...one, from: "db-2" }));
    assert.deepEqual(staleVisits(visits), [
      "v1 read 1 at db-2 (visit that ended at 1.500 s), although it had written 2",
    ]);
  });

  it("must not read less than they read before", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "1/1", "2/", "3/4", "3/3")), [
      "v1 read 3 (visit that ended at 3.500 s), although it had read 4 before",
    ]);
  });

  it("are told of each time, until they read again what they read before", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "1/4", "2/2", "3/3", "4/4")), [
      "v1 read 2 (visit that ended at 1.500 s), although it had read 4 before",
      "v1 read 3 (visit that ended at 2.500 s), although it had read 4 before",
    ]);
  });

  it("must not read less than both, which is told of both", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "7/7", "8/6")), [
      "v1 read 6 (visit that ended at 1.500 s), although it had written 8",
      "v1 read 6 (visit that ended at 1.500 s), although it had read 7 before",
    ]);
  });

  it("may read what a visit without an answer wrote, or not", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "1/1", "9/", "2/2", "3/9", "4/9")), []);
  });

  it("must not lose again what a visit without an answer wrote, once they read it", () => {
    assert.deepEqual(staleVisits(visitsOf("v1", "1/1", "9/", "2/9", "3/3")), [
      "v1 read 3 (visit that ended at 3.500 s), although it had read 9 before",
    ]);
  });

  it("are each on their own, in the order of time", () => {
    const visits = [...visitsOf("v1", "5/5", "6/6"), ...visitsOf("v2", "1/1", "2/1")];
    assert.deepEqual(staleVisits(visits.reverse()), [
      "v2 read 1 (visit that ended at 1.500 s), although it had written 2",
    ]);
  });

  it("are told of by visits only, which have both counters", () => {
    const [visit] = visitsOf("v1", "5/5") as [Operation];
    assert.deepEqual(staleVisits([{ ...visit, kind: "write", value: "5/4" }]), []);
    assert.throws(
      () => staleVisits([{ ...visit, value: "5" }]),
      /^Error: a visit of v1 has no two counters: "5"$/,
    );
  });

  it("of a counter that only grows are never told of, and always where one visit goes back", () => {
    const growing = fc.array(fc.nat(3), { minLength: 2 }).map((steps) => {
      let counter = 0;
      return steps.map((step) => {
        counter += 1 + step;
        return counter;
      });
    });
    fc.assert(
      fc.property(growing, fc.nat(), (counters, place) => {
        const values = counters.map((counter) => `${counter}/${counter}`);
        assert.deepEqual(staleVisits(visitsOf("v1", ...values)), []);
        const at = 1 + (place % (counters.length - 1));
        const stale = values.with(at, `${counters[at]}/${counters[at - 1]}`);
        assert.deepEqual(staleVisits(visitsOf("v1", ...stale)).length, 1);
      }),
    );
  });
});
