/** The example in Python on three machines, from bare to bare. */
import assert from "node:assert/strict";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { notes } from "../support/notes.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { otherApplicationSuite } from "./suites/other-application.ts";

const name = "e2e-notes-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.60", "172.29.61", "172.29.62"],
  project: stackFolder(name),
  served: notes,
});
const stack = new TestStack(name, place);

describe("the example on three machines", function () {
  this.timeout("20m");

  before("start the machines", async () => {
    await timed("machines started", () => stack.create());
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  otherApplicationSuite(stack);

  // mocha runs a suite's own cases before those of suites inside it
  describe("destroy", () => {
    it("W4: destroy leaves nothing of the stack on the machines", async () => {
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
