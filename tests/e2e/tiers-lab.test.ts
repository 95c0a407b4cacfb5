/** Tiers of a running stack on three machines that change; for `npm run test:full`. */
import assert from "node:assert/strict";
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { tiersOnMachinesSuite } from "./suites/tiers.ts";

const name = "tiers-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.66", "172.29.67", "172.29.68"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("tiers that change, on three machines", function () {
  this.timeout("20m");

  before("start the machines", async function () {
    onlyInFull(this);
    await stack.create();
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  tiersOnMachinesSuite(stack);

  // mocha runs a suite's own cases before those of suites inside it
  describe("destroy", () => {
    it("W4: destroy leaves nothing of the stack on the machines", async () => {
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
