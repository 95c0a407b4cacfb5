import assert from "node:assert/strict";
import { describeEntry } from "../../../../operate/act/journal.ts";

describe("the journal", () => {
  const started = {
    operator: "ann@desk",
    what: "drain storefront-1",
    since: "2026-11-27T14:47:35.949Z",
  };

  it("O1: says when, who, what, how it ended, how long it took, and what it did", () => {
    const until = "2026-11-27T14:47:38.449Z";
    const line = describeEntry({ ...started, until, outcome: "done", result: "no requests\nmore" });
    const words = "2026-11-27 14:47:35  ann@desk  drain storefront-1  done  2.5 s  no requests";
    assert.equal(line, words);
  });

  it("O1: one that has not ended, or was cut off, says so", () => {
    assert.match(describeEntry(started), / drain storefront-1 {2}not ended$/);
  });
});
