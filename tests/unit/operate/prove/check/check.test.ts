import assert from "node:assert/strict";
import { fewOfEach, findingsIn } from "../../../../../operate/prove/check/check.ts";
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
    assert.deepEqual(rulesOf([write], kept), ["not linearizable", "members differ"]);
  });

  it("is a row that is missing, a stock that does not fit, a visitor who saw what is older, and a lost file", () => {
    assert.deepEqual(rulesOf([done("entry", "k", "v")], both({})), ["lost write"]);
    const fewer = both({ stocks: stocks.map((name) => ({ name, places: placesAtFirst - 1 })) });
    assert.deepEqual([...new Set(rulesOf([], fewer))], ["stock"]);
    const visitors = new Map([["v", 2]]);
    assert.deepEqual(rulesOf([done("visit", "v", "2/1")], both({ visitors })), ["stale read"]);
    const lost = { ...done("upload", "f", "t"), why: "not there at storefront-2" };
    assert.deepEqual(rulesOf([lost], both({})), ["lost file"]);
  });

  it("is the first ten of what is found by the hundred, and how many more there are", () => {
    const stale = Array.from({ length: 99 }, (_, at) => ({ rule: "stale read", what: `${at}` }));
    const found = fewOfEach([...stale, { rule: "lost write", what: "k" }]);
    assert.deepEqual(
      found.map(({ what }) => what),
      [..."0123456789", "and 89 more", "k"],
    );
  });

  it("is a visitor of whom a member has less than what was acknowledged last", () => {
    const visits = [done("visit", "v", "6/6"), done("visit", "v", "7/7")];
    const has = (counter: number) => both({ visitors: new Map([["v", counter]]) });
    assert.deepEqual(findingsIn(visits, has(6)).violations, [
      { rule: "lost write", what: "v wrote 7, and db-1 has 6" },
      { rule: "lost write", what: "v wrote 7, and db-2 has 6" },
    ]);
    // One that nobody acknowledged may be there
    assert.deepEqual(rulesOf(visits, has(8)), []);
  });

  it("is what one member has and the other one has not, also where nobody acknowledged it", () => {
    const unknown: Operation = { ...done("entry", "k", "v"), outcome: "unknown" };
    const more = { ...nothing, entries: [{ key: "k", value: "v" }] };
    const kept = new Map([
      ["db-1", more],
      ["db-2", nothing],
    ]);
    assert.deepEqual(findingsIn([unknown], kept).violations, [
      { rule: "members differ", what: "db-1 and db-2 have not the same entries" },
    ]);
    assert.deepEqual(rulesOf([unknown], new Map([["db-1", more]])), []);
  });
});
