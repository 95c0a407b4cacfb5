/** The example in Python on Docker, from nothing to nothing. */
import assert from "node:assert/strict";
import { ContainerPlace } from "../support/container-place.ts";
import { notes } from "../support/notes.ts";
import { TestStack } from "../support/test-stack.ts";
import { otherApplicationSuite } from "./suites/other-application.ts";

const name = "e2e-notes";
const place = new ContainerPlace(name, notes);
const stack = new TestStack(name, place);

describe("the example on Docker", function () {
  this.timeout("20m");

  before("make the stack", () => stack.create());
  after("leave nothing, whatever failed", () => stack.destroyAll());

  otherApplicationSuite(stack);

  // mocha runs a suite's own cases before those of suites inside it
  describe("destroy", () => {
    it("W4: destroy leaves nothing of the stack", async () => {
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
