/** The cache on the running stack: used, lost, hung, changed. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../lib/until.ts";
import { assertNoneFailed, fault } from "../../support/measure.ts";
import {
  fileOf,
  healed,
  instances,
  promisedWithout,
  startMember,
  startTimes,
} from "../../support/members.ts";
import { type Promised, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";

const member = "cache-1";
/** Long enough for every instance to meet the fault, and to use the cache again after it. */
const awaySeconds = 4;

export function cacheSuite(stack: TestStack): void {
  describe("the cache", () => {
    before(() => healed(stack));

    it("A9: repeated reads come from the cache, whichever instance and load balancer is asked", async () => {
      await used(stack, "hit");
      const uses = new Set<string>();
      for (let turn = 0; turn < 40; turn += 1) {
        const base = stack.localUrls[turn % 2] ?? stack.url;
        const { servedBy, headers } = await stack.request(`${base}api/offers`);
        uses.add(`${servedBy} ${headers["x-cache"]}`);
      }
      assert.deepEqual([...uses].sort(), ["storefront-1 hit", "storefront-2 hit"]);
    });
  });
}

export function cacheFaultsSuite(stack: TestStack): void {
  describe("a fault of the cache", () => {
    before(() => healed(stack));

    it("A9: the cache is killed: no request fails, and it is used again once it is back", async () => {
      await lost(
        `lost: ${stack.place.sharing(member).join(", ")}`,
        await promisedWithout(stack, member),
        () => stack.place.lose(member),
        () => startMember(stack, member),
      );
    });

    it("A9: the cache hangs: no request fails, and it is used again once it goes on", async () => {
      await lost(
        "cache hung",
        promises.cacheLost,
        () => stack.place.hang(member),
        () => stack.place.goOn(member),
      );
    });

    it("A9: a changed setting restarts the cache and no instance, and no request fails", async () => {
      const started = await startTimes(stack, instances);
      stack.configure({ "hastack:cache": { megabytes: 32 } });
      try {
        await whole("cache changed", promises.release, () => stack.mustUp());
        assert.match(await fileOf(stack, member, "valkey.conf"), /maxmemory 32mb/);
        assert.equal(await startTimes(stack, instances), started, "instances went on");
      } finally {
        stack.configure({});
        await stack.mustUp();
      }
    });

    async function lost(
      what: string,
      promised: Promised,
      take: () => Promise<unknown>,
      bring: () => Promise<unknown>,
    ) {
      await used(stack, "hit");
      await whole(what, promised, async () => {
        await take();
        try {
          await used(stack, "bypass");
          await sleep(awaySeconds * 1000);
        } finally {
          await bring();
        }
        await used(stack, "hit");
      });
    }

    /** A fault that no request may notice. */
    async function whole(what: string, promised: Promised, act: () => Promise<unknown>) {
      assertNoneFailed(await fault(stack, what, promised, act));
    }
  });
}

/** What the list's answers say of the cache, once all instances agree. */
async function used(stack: TestStack, expected: "hit" | "bypass"): Promise<void> {
  await until(`the storefronts' answers are a ${expected}`, {
    probe: async () => {
      const uses = [];
      for (let turn = 0; turn < 4; turn += 1) {
        uses.push((await stack.request("api/offers")).headers["x-cache"]);
      }
      return uses;
    },
    done: (uses) => uses.every((use) => use === expected),
    limitSeconds: 15,
  });
}
