/** Killing one thing after the other under light load. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../lib/until.ts";
import { noRestartBecause, restartEngine } from "../../support/engine.ts";
import { assertNoneFailed, fault } from "../../support/measure.ts";
import {
  healed,
  holders,
  killPostmaster,
  killProcess,
  primaries,
  primary,
  promisedWithout,
  signalTree,
  startMember,
} from "../../support/members.ts";
import { limits, mostSeconds, promises } from "../../support/promises.ts";
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
      assertNoneFailed(report, ["reads", "databaseReads"]);
    });

    it("an application's machine is lost", async () => {
      await lost("storefront-2");
      await lost("admin-1");
    });

    it("D4: the postmaster of the primary is killed", async () => {
      const member = await primary(stack);
      await fault(stack, "postmaster killed", promises.primaryProcessKilled, async () => {
        await killPostmaster(stack, member);
        await sleep(awaySeconds * 1000);
      });
    });

    it("the machine of the standby is lost", async () => {
      await lost((await primary(stack)) === "db-1" ? "db-2" : "db-1");
    });

    it("L4: the machine of the active load balancer is lost", async () => {
      const [active = ""] = await holders(stack);
      await lost(active);
    });

    it("L4: HAProxy of the active load balancer is killed", async () => {
      const [active = ""] = await holders(stack);
      await fault(stack, "active HAProxy killed", promises.loadBalancerLost, () =>
        killProcess(stack, active, "haproxy"),
      );
    });

    it("L4: HAProxy alone hangs at the active load balancer", async () => {
      const [active = ""] = await holders(stack);
      await fault(stack, "active HAProxy hung", promises.loadBalancerHung, async () => {
        await signalTree(stack, active, "haproxy", "STOP");
        await sleep(awaySeconds * 1000);
        await signalTree(stack, active, "haproxy", "CONT");
      });
    });

    it("D2: the machine of an etcd member is lost", async () => {
      for (const member of ["etcd-1", "etcd-3"]) await lost(member);
    });

    /** A member is lost with all that shares its machine, and comes back. */
    async function lost(member: string): Promise<void> {
      const promised = await promisedWithout(stack, member);
      await fault(stack, `lost: ${stack.place.sharing(member).join(", ")}`, promised, async () => {
        await stack.place.lose(member);
        await sleep(awaySeconds * 1000);
        await startMember(stack, member);
      });
    }
  });
}

/** The one failover that every run of the tests sees. */
export function failoverSuite(stack: TestStack): void {
  describe("a failover under load", () => {
    before(() => healed(stack));

    it("D2, D4: the machine of the primary is lost, and rejoins by itself", async () => {
      const member = await primary(stack);
      const promised = await promisedWithout(stack, member);
      await fault(stack, "primary's machine lost", promised, async () => {
        await stack.place.lose(member);
        await until("the standby is promoted", {
          probe: () => primaries(stack),
          done: (found) => found.length === 1 && found[0] !== member,
          limitSeconds: mostSeconds(promises.primaryMachineLost, "writes"),
        });
        await sleep(awaySeconds * 1000);
        await startMember(stack, member);
      });
    });
  });
}

/** The Docker engine's own end. */
export function engineSuite(stack: TestStack): void {
  describe("the Docker engine", () => {
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
  });
}
