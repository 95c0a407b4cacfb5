import assert from "node:assert/strict";
import { positionIn } from "../../../../operate/prove/database.ts";

describe("a position that one member says, for another one to be asked by", () => {
  it("is taken where it is one", () => {
    assert.equal(positionIn(" 1A/2B00F0\n"), "1A/2B00F0");
  });

  it("is not where it is anything else", () => {
    for (const said of ["", "0/0'; COPY (SELECT 1) TO PROGRAM 'id'; --", "0/0\n0/0", "1a/2b"])
      assert.throws(() => positionIn(said), /is no position of a log$/);
  });
});
