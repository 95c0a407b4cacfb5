/** Killing one thing after the other under light load. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/lib/until.ts";
import { noRestartBecause, restartEngine } from "../../support/engine.ts";
import { fault } from "../../support/measure.ts";
import {
  healed,
  holders,
  killMember,
  killPostmaster,
  killProcess,
  primaries,
  primary,
  startMember,
} from "../../support/members.ts";
import { limits, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, postDestination } from "../../support/traffic.ts";

/** Long enough that everything that follows from a lost member has happened. */
const awaySeconds = 5;

export function faultsSuite(stack: TestStack): void {
  describe("a fault under load", () => {
    before(() => healed(stack));

    it("an application's process is killed: no read fails", async () => {
      const report = await fault(
        stack,
        "application process killed",
        promises.appProcessKilled,
        () => killProcess(stack, "storefront-1", "storefront"),
      );
      assert.equal(report.reads.failed, 0, JSON.stringify(report.reads.failures));
    });

    it("an application's container is killed", async () => {
      await fault(stack, "application container killed", promises.appMachineLost, () =>
        away("storefront-2"),
      );
      await fault(stack, "admin container killed", promises.appMachineLost, () => away("admin-1"));
    });

    it("D4: the postmaster of the primary is killed", async () => {
      const member = await primary(stack);
      await fault(stack, "postmaster killed", promises.primaryProcessKilled, async () => {
        await killPostmaster(stack, member);
        await sleep(awaySeconds * 1000);
      });
    });

    it("D2, D4: the container of the primary is killed, and rejoins by itself", async () => {
      const member = await primary(stack);
      await fault(stack, "primary's container killed", promises.primaryMachineLost, async () => {
        await killMember(stack, member);
        await until("the standby is promoted", {
          probe: () => primaries(stack),
          done: (found) => found.length === 1 && found[0] !== member,
          limitSeconds: promises.primaryMachineLost.writes * 3,
        });
        await sleep(awaySeconds * 1000);
        await startMember(stack, member);
      });
    });

    it("the container of the standby is killed", async () => {
      const standby = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
      await fault(stack, "standby's container killed", promises.standbyLost, () => away(standby));
    });

    it("L4: the container of the active load balancer is killed", async () => {
      const [active = ""] = await holders(stack);
      await fault(stack, "active load balancer killed", promises.loadBalancerLost, () =>
        away(active),
      );
    });

    it("L4: HAProxy of the active load balancer is killed", async () => {
      const [active = ""] = await holders(stack);
      await fault(stack, "active HAProxy killed", promises.loadBalancerLost, () =>
        killProcess(stack, active, "haproxy"),
      );
    });

    it("D2: an etcd member is killed", async () => {
      for (const member of ["etcd-1", "etcd-3"]) {
        await fault(stack, `${member} killed`, promises.quorumMemberLost, () => away(member));
      }
    });

    it("W7: the Docker engine restarts, and everything comes back by itself", async function () {
      const reason = noRestartBecause();
      if (reason) {
        console.log(`      skipped: ${reason}`);
        this.skip();
      }
      const { id, image } = await postDestination(stack, "before the engine's restart");
      const start = Date.now();
      await restartEngine();
      const answered = Date.now();
      await until("the site answers with all its members", {
        probe: () => healed(stack),
        done: () => true,
        limitSeconds: limits.engineRestart,
      });
      const after = (since: number) => ((Date.now() - since) / 1000).toFixed(1);
      console.log(
        `      engine restarted in ${((answered - start) / 1000).toFixed(1)} s, whole again ${after(answered)} s later`,
      );
      const kept = { id, image, quote: "before the engine's restart" };
      assert.deepEqual(await missingWrites(stack, [kept]), []);
    });

    /** Takes a member away for a while. */
    async function away(member: string): Promise<void> {
      await killMember(stack, member);
      await sleep(awaySeconds * 1000);
      await startMember(stack, member);
    }
  });
}
