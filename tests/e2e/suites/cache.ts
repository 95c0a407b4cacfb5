/** The cache on the running stack: used, lost, hung, changed. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { mustRun } from "../../../scripts/lib/run.ts";
import { until } from "../../../scripts/lib/until.ts";
import { fault } from "../../support/measure.ts";
import { healed, inside, killMember, startMember } from "../../support/members.ts";
import { type Promised, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { request } from "../../support/traffic.ts";

const member = "cache-1";
/** Long enough for every instance to meet the fault, and to use the cache again after it. */
const awaySeconds = 4;

export function cacheSuite(stack: TestStack): void {
  const list = `${stack.url}api/offers`;

  describe("the cache", () => {
    before(() => healed(stack));

    it("A9: repeated reads come from the cache, whichever instance and load balancer is asked", async () => {
      await used("hit");
      const uses = new Set<string>();
      for (let turn = 0; turn < 40; turn += 1) {
        const base = stack.localUrls[turn % 2] ?? stack.url;
        const { servedBy, headers } = await request(`${base}api/offers`);
        uses.add(`${servedBy} ${headers["x-cache"]}`);
      }
      assert.deepEqual([...uses].sort(), ["storefront-1 hit", "storefront-2 hit"]);
    });

    it("A9: the cache is killed: no request fails, and it is used again once it is back", async () => {
      await lost(
        "cache killed",
        () => killMember(stack, member),
        () => startMember(stack, member),
      );
    });

    it("A9: the cache hangs: no request fails, and it is used again once it goes on", async () => {
      const name = stack.container(member);
      await lost(
        "cache hung",
        () => mustRun(["docker", "pause", name]),
        () => mustRun(["docker", "unpause", name]),
      );
    });

    it("A9: a changed setting restarts the cache and no instance, and no request fails", async () => {
      const started = await startTimes();
      stack.configure({ "hastack:cache": { megabytes: 32 } });
      try {
        await whole("cache changed", promises.release, () => stack.mustUp());
        assert.match(await inside(stack, member, "cat /etc/hastack/valkey.conf"), /maxmemory 32mb/);
        assert.equal(await startTimes(), started, "instances went on");
      } finally {
        stack.configure({});
        await stack.mustUp();
      }
    });

    /** What the list's answers say of the cache, once all instances agree. */
    async function used(expected: "hit" | "bypass"): Promise<void> {
      await until(`the storefronts' answers are a ${expected}`, {
        probe: async () => {
          const uses = [];
          for (let turn = 0; turn < 4; turn += 1) {
            uses.push((await request(list)).headers["x-cache"]);
          }
          return uses;
        },
        done: (uses) => uses.every((use) => use === expected),
        limitSeconds: 15,
      });
    }

    async function lost(what: string, take: () => Promise<unknown>, bring: () => Promise<unknown>) {
      await used("hit");
      await whole(what, promises.cacheLost, async () => {
        await take();
        try {
          await used("bypass");
          await sleep(awaySeconds * 1000);
        } finally {
          await bring();
        }
        await used("hit");
      });
    }

    /** A fault that no request may notice. */
    async function whole(what: string, promised: Promised, act: () => Promise<unknown>) {
      const { reads, writes } = await fault(stack, what, promised, act);
      assert.equal(reads.failed, 0, JSON.stringify(reads.failures));
      assert.equal(writes.failed, 0, JSON.stringify(writes.failures));
    }

    /** When the instances' processes were started. */
    async function startTimes(): Promise<string> {
      const names = ["storefront-1", "storefront-2", "admin-1", "admin-2"];
      const looks = names.map((name) =>
        inside(stack, name, "s6-svstat -o pid,updownsince /etc/hastack/services/*"),
      );
      return (await Promise.all(looks)).join("");
    }
  });
}
