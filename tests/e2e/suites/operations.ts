/** What an operator does to a running stack, under load: no request fails, and nothing is lost. */
import assert from "node:assert/strict";
import { lastWords, type Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { show, underLoad } from "../../support/measure.ts";
import { healed, holders, primary, servingInstances } from "../../support/members.ts";
import { limits, slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, patientVisits } from "../../support/traffic.ts";

/** Seconds that reads and writes may stand still, from docs/operate.md. */
interface Costs {
  readonly reads: number;
  readonly writes: number;
}

const unnoticed: Costs = { reads: 0.5, writes: 0.5 };
const primaryChanges: Costs = { reads: 0.5, writes: 2.5 };
/** A client whose first packet was not heard sends it again after a second. */
const addressesMove: Costs = { reads: 1.3, writes: 1.3 };

/** What a machine that is busy with the tests makes of no time at all, seconds. */
const busySeconds = 3;

/** Most that a single operation takes. */
const limitSeconds = 240;

export function operationsSuite(stack: TestStack): void {
  describe("operations under load", () => {
    before(() => healed(stack));

    it("D3: switchover makes the standby the primary", async () => {
      const before = await primary(stack);
      await operation(["switchover"], primaryChanges);
      assert.notEqual(await primary(stack), before);
    });

    it("W9: restart of an instance", () => operation(["restart", "storefront-1"], unnoticed));

    it("W9: restart of the primary, which is the standby then", async () => {
      const before = await primary(stack);
      await operation(["restart", before], primaryChanges);
      assert.notEqual(await primary(stack), before);
    });

    it("W9: restart of the load balancer that holds the addresses", async () => {
      const [before = ""] = await holders(stack);
      await operation(["restart", before], addressesMove);
      assert.notDeepEqual(await holders(stack), [before]);
    });

    it("W9: drain keeps requests from an instance, also over an up, until undrain", async () => {
      await operation(["drain", "storefront-1"], unnoticed);
      assert.deepEqual(await servingStorefronts(), ["storefront-2"]);
      const refused = await command(["restart", "storefront-2"]);
      assert.equal(refused.code, 1, lastWords(refused));
      assert.match(refused.stderr, /no other instance of storefront that serves/);
      await stack.mustUp();
      assert.deepEqual(await servingStorefronts(), ["storefront-2"]);
      await operation(["undrain", "storefront-1"], unnoticed);
      assert.deepEqual(await servingStorefronts(), ["storefront-1", "storefront-2"]);
    });

    it("D3: with failover paused the primary is changed by hand", async () => {
      await operation(["pause"], unnoticed);
      await operation(["switchover"], primaryChanges);
      await operation(["resume"], unnoticed);
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
        probe: () => command([], "journal"),
        done: ({ stdout }) => done || /^locked by .*: up/m.test(stdout),
        limitSeconds: limits.up,
        intervalSeconds: 0.2,
      });
      while (!done) tries.add((await command(["drain", "storefront-1"])).stderr);
      await command(["undrain", "storefront-1"]);
      const up = await ended;
      assert.equal(up.code, 0, lastWords(up, 40));
      const told = [...tries].filter((text) => /locked by .*: up/.test(text));
      assert.ok(told.length > 0, `nobody was told of the up: ${[...tries]}`);
      const { stdout } = await command([], "journal");
      for (const one of ["switchover", "drain storefront-1", "pause", "resume", "up"]) {
        assert.match(stdout, new RegExp(`  ${one}  done  `), stdout);
      }
    });

    /** By npm, as an operator types it. */
    function command([name = "", ...args]: readonly string[], script = name): Promise<Outcome> {
      const options = ["--stack", stack.name, ...(script === "journal" ? [] : ["--yes"])];
      return stack.npm(["run", "--silent", script, "--", ...args, ...options], limitSeconds);
    }

    async function operation(words: readonly string[], costs: Costs): Promise<void> {
      const report = await underLoad(
        stack,
        async () => {
          const outcome = await command(words);
          assert.equal(outcome.code, 0, lastWords(outcome, 40));
          console.log(`      ${outcome.stdout.trim()}`);
        },
        1,
        patientVisits,
      );
      show(words.join(" "), report, costs);
      assert.equal(report.reads.failed, 0, JSON.stringify(report.reads.failures));
      assert.equal(report.writes.failed, 0, JSON.stringify(report.writes.failures));
      assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
      for (const kind of ["reads", "writes"] as const) {
        const most = Math.max(costs[kind] * slack, busySeconds);
        assert.ok(report[kind].gapSeconds <= most, `${kind} stood still for longer than ${most} s`);
      }
    }

    const servingStorefronts = async () =>
      (await servingInstances(stack)).filter((name) => name.startsWith("storefront"));
  });
}
