import assert from "node:assert/strict";
import { describeUndo, readLeft } from "../../../../operate/act/undo.ts";

describe("what an operation would leave", () => {
  const left = {
    what: "restart storefront-1",
    operator: "ann@desk",
    since: "2026-11-27T14:56:16.000Z",
    id: "aabec8ec2c276b",
    undo: [
      { do: "start", members: ["storefront-1"] },
      { do: "undrain", members: ["storefront-1", "db-2"] },
      { do: "resume" },
      { do: "raise" },
    ],
    stays: true,
  };

  it("W6: is read as it was noted, and told", () => {
    const read = readLeft(JSON.stringify(left));
    assert.deepEqual(read, left);
    assert.deepEqual(read.undo.map(describeUndo), [
      "start storefront-1",
      "undrain storefront-1, db-2",
      "resume automatic failover",
      "start the whole stack",
    ]);
  });

  it("W6: of another release is not guessed at", () => {
    const other = { ...left, undo: [{ do: "untwist", members: ["lb-1"] }] };
    assert.throws(() => readLeft(JSON.stringify(other)), /another release .* untwist|untwist/);
    assert.throws(() => readLeft("none"), /another release .* left none/);
  });

  it("W6: names a member once, however often somebody has written it there", () => {
    const again = { ...left, undo: [{ do: "start", members: Array(5000).fill("lb-1") }] };
    const { undo } = readLeft(JSON.stringify(again));
    assert.deepEqual(undo, [{ do: "start", members: ["lb-1"] }]);
  });
});
