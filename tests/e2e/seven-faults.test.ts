/** Every fault on seven machines, reboots, and all of them without power. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { healed, startMember } from "../support/members.ts";
import { missingWrites, postDestination } from "../support/traffic.ts";
import { cacheFaultsSuite } from "./suites/cache.ts";
import { failoverSuite, faultsSuite } from "./suites/faults.ts";
import { rebootSuite } from "./suites/reboots.ts";
import { onSevenMachines } from "./suites/seven-machines.ts";
import { storageFaultsSuite } from "./suites/storage-faults.ts";

onSevenMachines("faults", { bare: false }, (stack, place) => {
  cacheFaultsSuite(stack);
  failoverSuite(stack);
  faultsSuite(stack);
  rebootSuite(stack, place);
  storageFaultsSuite(stack, place);

  describe("a power cut", () => {
    it("W7: all machines lose power at once, and everything comes back by itself", async () => {
      const quote = `before the power cut ${randomUUID()}`;
      const written = { ...(await postDestination(stack, quote)), quote };
      const members = ["lb-1", "lb-2", "storefront-1", "storefront-2", "db-1", "db-2", "cache-1"];
      await Promise.all(members.map((member) => place.lose(member)));
      const start = Date.now();
      await Promise.all(members.map((member) => startMember(stack, member)));
      await healed(stack);
      const seconds = ((Date.now() - start) / 1000).toFixed(1);
      console.log(`      whole again: ${seconds} s after the power came back`);
      assert.deepEqual(await missingWrites(stack, [written]), []);
    });
  });
});
