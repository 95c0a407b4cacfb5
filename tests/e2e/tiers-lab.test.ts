/** Tiers of a running stack on three machines that change; for `npm run test:full`. */
import assert from "node:assert/strict";
import { bare, onThreeMachines } from "./suites/full-stack.ts";
import { tiersOnMachinesSuite } from "./suites/tiers.ts";

const networks = ["172.29.66", "172.29.67", "172.29.68"] as const;

onThreeMachines(
  "tiers that change, on three machines",
  "tiers-lab",
  networks,
  bare,
  (stack, place) => {
    tiersOnMachinesSuite(stack);

    // mocha runs a suite's own cases before those of suites inside it
    describe("destroy", () => {
      it("W4: destroy leaves nothing of the stack on the machines", async () => {
        await stack.destroy();
        assert.deepEqual(await place.leftovers(), []);
      });
    });
  },
);
