/** Tiers of a running stack that change; a long run, for `npm run test:full`. */
import assert from "node:assert/strict";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { TestStack } from "../support/test-stack.ts";
import { tiersSuite } from "./suites/tiers.ts";

const place = new ContainerPlace("tiers");
const stack = new TestStack("tiers", place);

describe("tiers that change", function () {
  this.timeout("20m");

  before("make the stack", async function () {
    onlyInFull(this);
    await stack.create();
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  tiersSuite(stack);

  // mocha runs a suite's own cases before those of suites inside it
  describe("destroy", () => {
    it("W4: destroy leaves nothing of the stack", async () => {
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
