/** What an operator does to a running stack, under load: no request fails, and nothing is lost. */
import assert from "node:assert/strict";
import { lastWords } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { timed } from "../../support/measure.ts";
import { healed, holders, primary, servingInstances, signalTree } from "../../support/members.ts";
import { command, mustCommand, operation } from "../../support/operation.ts";
import { limits, type Promised } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, postDestination } from "../../support/traffic.ts";

// What docs/operate.md says that reads and writes may stand still
const unnoticed: Promised = { reads: 0.5, writes: 0.5 };
export const primaryChanges: Promised = { reads: 0.5, writes: 2.5 };
/** A client whose first packet was not heard sends it again after a second. */
const addressesMove: Promised = { reads: 1.3, writes: 1.3 };

export function operationsSuite(stack: TestStack): void {
  describe("operations under load", () => {
    before(() => healed(stack));

    it("D3: switchover makes the standby the primary", async () => {
      const before = await primary(stack);
      await operation(stack, ["switchover"], primaryChanges);
      assert.notEqual(await primary(stack), before);
    });

    it("W9: restart of an instance", () =>
      operation(stack, ["restart", "storefront-1"], unnoticed));

    it("W9: restart of the primary, which is the standby then", async () => {
      const before = await primary(stack);
      await operation(stack, ["restart", before], primaryChanges);
      assert.notEqual(await primary(stack), before);
    });

    it("W9: restart of the load balancer that holds the addresses", async () => {
      const [before = ""] = await holders(stack);
      await operation(stack, ["restart", before], addressesMove);
      assert.notDeepEqual(await holders(stack), [before]);
    });

    it("W9: restart mends what hangs: an instance, which gets its requests again, and a load balancer", async () => {
      const [holder] = await holders(stack);
      const hung = [
        ["storefront-1", "storefront"],
        [holder === "lb-1" ? "lb-2" : "lb-1", "haproxy"],
      ] as const;
      for (const [member, process] of hung) {
        await signalTree(stack, member, process, "STOP");
        await timed(`restart of ${member}, which hangs`, () =>
          mustCommand(stack, ["restart", member]),
        );
      }
      await healed(stack);
      await mustCommand(stack, ["status"]);
    });

    it("W9: drain keeps requests from an instance, also over an up, until undrain", async () => {
      await operation(stack, ["drain", "storefront-1"], unnoticed);
      assert.deepEqual(await servingStorefronts(), ["storefront-2"]);
      const refused = await command(stack, ["restart", "storefront-2"]);
      assert.equal(refused.code, 1, lastWords(refused));
      assert.match(refused.stderr, /no other instance of storefront that serves/);
      await stack.mustUp();
      assert.deepEqual(await servingStorefronts(), ["storefront-2"]);
      await operation(stack, ["undrain", "storefront-1"], unnoticed);
      assert.deepEqual(await servingStorefronts(), ["storefront-1", "storefront-2"]);
    });

    it("D3: with failover paused the primary is changed by hand", async () => {
      await operation(stack, ["pause"], unnoticed);
      await operation(stack, ["switchover"], primaryChanges);
      await operation(stack, ["resume"], unnoticed);
      await healed(stack);
    });

    it("W6: an operation and an up do not cross, and the journal has them all", async () => {
      const tries = new Set<string>();
      let done = false;
      const ended = stack.up().finally(() => {
        done = true;
      });
      // Whoever comes first has the lock, and this is about an up that has it
      await until("the up has the lock", {
        probe: () => command(stack, ["journal"]),
        done: ({ stdout }) => done || /^locked by .*: up/m.test(stdout),
        limitSeconds: limits.up,
        intervalSeconds: 0.2,
      });
      while (!done) tries.add((await command(stack, ["drain", "storefront-1"])).stderr);
      await command(stack, ["undrain", "storefront-1"]);
      const up = await ended;
      assert.equal(up.code, 0, lastWords(up, 40));
      const told = [...tries].filter((text) => /locked by .*: up/.test(text));
      assert.ok(told.length > 0, `nobody was told of the up: ${[...tries]}`);
      const { stdout } = await command(stack, ["journal"]);
      for (const one of ["switchover", "drain storefront-1", "pause", "resume", "up"]) {
        assert.match(stdout, new RegExp(`  ${one}  done  `), stdout);
      }
    });

    it("W7: stop keeps all data, status says what starts the stack again, and resume does", async () => {
      const quote = "before the stack is stopped";
      const written = { ...(await postDestination(stack, quote)), quote };
      await timed("stop", () => mustCommand(stack, ["stop"]));
      const status = await command(stack, ["status"]);
      await timed("resume", () => mustCommand(stack, ["resume"]));
      await healed(stack);
      assert.equal(status.code, 1, lastWords(status));
      assert.match(status.stdout, /the whole stack is stopped.*to do: npm run resume\n*$/s);
      assert.deepEqual(await missingWrites(stack, [written]), []);
    });

    const servingStorefronts = async () =>
      (await servingInstances(stack)).filter((name) => name.startsWith("storefront"));
  });
}
