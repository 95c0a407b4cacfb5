import assert from "node:assert/strict";
import fc from "fast-check";
import { wrongEntries, wrongPurchases } from "../../../../../operate/prove/check/entries.ts";
import type { Operation, Outcome } from "../../../../../operate/prove/history.ts";

const written = (
  kind: "entry" | "purchase",
  key: string,
  value: string,
  outcome: Outcome = "ok",
): Operation => ({
  ...{ kind, client: "c1", key, value, outcome },
  ...{ due: 0, began: 1000, ended: 1500 },
});

const entry = (key: string, outcome?: Outcome) => written("entry", key, "a", outcome);
const row = (key: string, value = "a") => ({ key, value });
type Row = ReturnType<typeof row>;

const at = (...rows: readonly Row[]) => new Map([["db-1", { entries: rows }]]);

describe("rows under keys", () => {
  it("are right where each that was acknowledged is there once, at every member", () => {
    const kept = new Map([
      ...at(row("k1"), row("k2")),
      ["db-2", { entries: [row("k2"), row("k1")] }],
    ]);
    assert.deepEqual(wrongEntries([entry("k1"), entry("k2")], kept), []);
  });

  it("are lost where one that was acknowledged is missing, which names the members", () => {
    const kept = new Map([
      ["db-1", { entries: [] }],
      ["db-2", { entries: [row("k1")] }],
      ["db-3", { entries: [] }],
    ]);
    assert.deepEqual(wrongEntries([entry("k1")], kept), [
      {
        rule: "lost write",
        what: `"k1" is missing; c1's write of "a" was acknowledged at 1.500 s; at db-1, db-3`,
      },
    ]);
  });

  it("are lost where one has another value", () => {
    assert.deepEqual(wrongEntries([entry("k1")], at(row("k1", "b"))), [
      {
        rule: "lost write",
        what: `"k1" has "b"; c1's write of "a" was acknowledged at 1.500 s; at db-1`,
      },
    ]);
  });

  it("are duplicates where one is there more than once, whether it was acknowledged or not", () => {
    assert.deepEqual(wrongEntries([entry("k1")], at(row("k1"), row("k1"), row("k1"))), [
      {
        rule: "duplicate",
        what: `"k1" is there 3 times; c1's write of "a" was acknowledged at 1.500 s; at db-1`,
      },
    ]);
    assert.deepEqual(wrongEntries([entry("k1", "unknown")], at(row("k1"), row("k1"))), [
      {
        rule: "duplicate",
        what: `"k1" is there 2 times; c1's write of "a" had no answer at 1.500 s; at db-1`,
      },
    ]);
  });

  it("must not be there where they were refused", () => {
    assert.deepEqual(wrongEntries([entry("k1", "refused")], at()), []);
    assert.deepEqual(wrongEntries([entry("k1", "refused")], at(row("k1"))), [
      {
        rule: "refused write is there",
        what: `"k1" is there; c1's write of "a" was refused at 1.500 s; at db-1`,
      },
    ]);
  });

  it("may be there or not where there was no answer, but with no other value", () => {
    const doubtful = entry("k1", "unknown");
    assert.deepEqual(wrongEntries([doubtful], at()), []);
    assert.deepEqual(wrongEntries([doubtful], at(row("k1"))), []);
    assert.deepEqual(wrongEntries([doubtful], at(row("k1", "b"))), [
      {
        rule: "nobody wrote this",
        what: `"k1" has "b"; c1's write of "a" had no answer at 1.500 s; at db-1`,
      },
    ]);
  });

  it("must have been written by somebody", () => {
    assert.deepEqual(wrongEntries([], at(row("k1"))), [
      { rule: "nobody wrote this", what: `"k1" is there, with "a"; at db-1` },
    ]);
  });

  it("are of any of the writes under their key, unless that was refused", () => {
    const both = [entry("k1", "refused"), entry("k1", "unknown")];
    assert.deepEqual(wrongEntries(both, at(row("k1"))), []);
    assert.deepEqual(wrongEntries([entry("k1", "unknown"), entry("k1")], at(row("k1"))), []);
  });

  it("are entries only", () => {
    assert.deepEqual(wrongEntries([written("purchase", "k1", "stock 1/2")], at()), []);
  });

  it("are right wherever a database did as it said, and wrong once something is done to them", () => {
    const harms: [string, (rows: readonly Row[], hit: number) => Row[]][] = [
      ["lost write", (rows, hit) => rows.toSpliced(hit, 1)],
      ["lost write", (rows, hit) => rows.with(hit, row(rows[hit]?.key ?? "", "b"))],
      ["duplicate", (rows, hit) => [...rows, ...rows.slice(hit, hit + 1)]],
      ["nobody wrote this", (rows) => [...rows, row("k")]],
    ];
    const outcomes = fc.array(fc.constantFrom<Outcome>("ok", "refused", "unknown"));
    fc.assert(
      fc.property(outcomes, fc.nat(), (all, place) => {
        const entries = all.map((outcome, index) => entry(`k${index}`, outcome));
        const done = entries.filter(({ outcome }) => outcome === "ok");
        const rows = done.map(({ key = "" }) => row(key));
        assert.deepEqual(wrongEntries(entries, at(...rows)), []);
        fc.pre(rows.length > 0);
        for (const [rule, harm] of harms) {
          const wrong = wrongEntries(entries, at(...harm(rows, place % rows.length)));
          assert.deepEqual(
            wrong.map((one) => one.rule),
            [rule],
          );
        }
      }),
    );
  });
});

describe("purchases", () => {
  const atFirst = new Map([
    ["stock 1", 100],
    ["stock 2", 50],
  ]);
  const bought = (key: string, outcome?: Outcome) => written("purchase", key, "stock 1/3", outcome);
  const purchase = (key: string, places = 3, stock = "stock 1") => ({ key, stock, places });
  const left = (first: number, second = 50) => [
    { name: "stock 1", places: first },
    { name: "stock 2", places: second },
  ];
  const kept = (purchases: ReturnType<typeof purchase>[], stocks: ReturnType<typeof left>) =>
    new Map([["db-1", { purchases, stocks }]]);

  it("are right where each that was acknowledged is there once, and its places are taken", () => {
    const purchases = [purchase("p1"), purchase("p2"), purchase("p3", 5, "stock 2")];
    const operations = [
      ...[bought("p1"), bought("p2", "unknown"), bought("p4", "refused")],
      ...[bought("p5", "unknown"), written("purchase", "p3", "stock 2/5")],
    ];
    assert.deepEqual(wrongPurchases(operations, atFirst, kept(purchases, left(94, 45))), []);
  });

  it("are lost where one is missing, or is of other places", () => {
    assert.deepEqual(wrongPurchases([bought("p1")], atFirst, kept([], left(100))), [
      {
        rule: "lost write",
        what: `"p1" is missing; c1's write of "stock 1/3" was acknowledged at 1.500 s; at db-1`,
      },
    ]);
    assert.deepEqual(wrongPurchases([bought("p1")], atFirst, kept([purchase("p1", 2)], left(98))), [
      {
        rule: "lost write",
        what: `"p1" has "stock 1/2"; c1's write of "stock 1/3" was acknowledged at 1.500 s; at db-1`,
      },
    ]);
  });

  it("must not be there twice, or although they were refused", () => {
    const twice = kept([purchase("p1"), purchase("p1")], left(94));
    assert.deepEqual(
      wrongPurchases([bought("p1")], atFirst, twice).map(({ rule }) => rule),
      ["duplicate"],
    );
    assert.deepEqual(
      wrongPurchases([bought("p1", "refused")], atFirst, kept([purchase("p1")], left(97))).map(
        ({ rule }) => rule,
      ),
      ["refused write is there"],
    );
  });

  it("and the places that are left are as many as there were at first", () => {
    assert.deepEqual(wrongPurchases([bought("p1")], atFirst, kept([purchase("p1")], left(94))), [
      { rule: "stock", what: "stock 1 had 100 places, 3 were bought, and 94 are left; at db-1" },
    ]);
    assert.deepEqual(wrongPurchases([bought("p1", "unknown")], atFirst, kept([], left(97))), [
      { rule: "stock", what: "stock 1 had 100 places, 0 were bought, and 97 are left; at db-1" },
    ]);
    assert.deepEqual(wrongPurchases([], atFirst, kept([], left(100).slice(0, 1))), [
      { rule: "stock", what: "stock 2 had 50 places, 0 were bought, and it is gone; at db-1" },
    ]);
  });
});
