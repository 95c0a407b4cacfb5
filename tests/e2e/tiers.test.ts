/** Tiers of a running stack that change; a long run, for `npm run test:full`. */
import assert from "node:assert/strict";
import { bare, onDocker } from "./suites/full-stack.ts";
import { tiersSuite } from "./suites/tiers.ts";

onDocker("tiers that change", "tiers", bare, (stack, place) => {
  tiersSuite(stack);

  // mocha runs a suite's own cases before those of suites inside it
  describe("destroy", () => {
    it("W4: destroy leaves nothing of the stack", async () => {
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
