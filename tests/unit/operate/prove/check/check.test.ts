import assert from "node:assert/strict";
import { findingsIn } from "../../../../../operate/prove/check/check.ts";
import { type Kept, placesAtFirst, stocks } from "../../../../../operate/prove/database.ts";
import type { Operation } from "../../../../../operate/prove/history.ts";

const nothing: Kept = {
  registers: new Map(),
  entries: [],
  purchases: [],
  stocks: stocks.map((name) => ({ name, places: placesAtFirst })),
  visitors: new Map(),
};
const both = (kept: Partial<Kept>) =>
  new Map(["db-1", "db-2"].map((name) => [name, { ...nothing, ...kept }]));

const done = (kind: Operation["kind"], key: string, value: string): Operation => ({
  ...{ kind, client: "one", due: 0, began: 0, ended: 10, outcome: "ok", key, value },
});

const rulesOf = (operations: readonly Operation[], kept: ReadonlyMap<string, Kept>) =>
  findingsIn(operations, kept).violations.map(({ rule }) => rule);

describe("what is found in a history and what was read back", () => {
  const write = done("write", "register 1", "a");

  it("is nothing where all is there", () => {
    const operations = [write, done("entry", "k", "v"), done("purchase", "p", "stock 1/3")];
    const kept = both({
      registers: new Map([["register 1", "a"]]),
      entries: [{ key: "k", value: "v" }],
      purchases: [{ key: "p", stock: "stock 1", places: 3 }],
      stocks: stocks.map((name) => ({
        name,
        places: placesAtFirst - (name === "stock 1" ? 3 : 0),
      })),
    });
    assert.deepEqual(rulesOf(operations, kept), []);
    assert.deepEqual(findingsIn(operations, kept).checked, { registers: 1, operations: 3 });
  });

  it("is a register that one member has lost in the end", () => {
    const kept = new Map([
      ["db-1", { ...nothing, registers: new Map([["register 1", "a"]]) }],
      ["db-2", nothing],
    ]);
    assert.deepEqual(rulesOf([write], kept), ["not linearizable"]);
  });

  it("is a row that is missing, a stock that does not fit, a visitor who saw what is older, and a lost file", () => {
    assert.deepEqual(rulesOf([done("entry", "k", "v")], both({})), ["lost write"]);
    const fewer = both({ stocks: stocks.map((name) => ({ name, places: placesAtFirst - 1 })) });
    assert.deepEqual([...new Set(rulesOf([], fewer))], ["stock"]);
    assert.deepEqual(rulesOf([done("visit", "v", "2/1")], both({})), ["stale read"]);
    const lost = { ...done("upload", "f", "t"), why: "not there at storefront-2" };
    assert.deepEqual(rulesOf([lost], both({})), ["lost file"]);
  });

  it("is the first ten of what is found by the hundred, and how many more there are", () => {
    const visits = Array.from({ length: 99 }, (_, at) => done("visit", "v", `${at + 2}/1`));
    const found = findingsIn([...visits, done("entry", "k", "v")], both({})).violations;
    const stale = found.filter(({ rule }) => rule === "stale read");
    assert.equal(stale.length, 11);
    assert.match(stale[0]?.what ?? "", /^v read 1 .*although it had written 2$/);
    assert.equal(stale.at(-1)?.what, "and 89 more");
    assert.equal(found.filter(({ rule }) => rule === "lost write").length, 1);
  });
});
