/** The whole stack on Docker sleeps, as with the lid of a laptop closed, and wakes up. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { mustRun } from "../../../lib/run.ts";
import { timed } from "../../support/measure.ts";
import { healed } from "../../support/members.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, postDestination } from "../../support/traffic.ts";

/** @param seconds of sleep; past 40, all leases have ended */
export function sleepSuite(stack: TestStack, seconds: number): void {
  describe("the stack asleep", () => {
    before(() => healed(stack));

    it(`W7: it sleeps for ${seconds} s, and everything is whole by itself`, async () => {
      const quote = "before the sleep";
      const written = { ...(await postDestination(stack, quote)), quote };
      const ofStack = ["--filter", `label=hastack.stack=${stack.name}`];
      const names = (await mustRun(["docker", "ps", "-q", ...ofStack])).trim().split("\n");
      await mustRun(["docker", "pause", ...names]);
      try {
        await sleep(seconds * 1000);
      } finally {
        await mustRun(["docker", "unpause", ...names]);
      }
      await timed("whole again after it woke up", () => healed(stack));
      assert.deepEqual(await missingWrites(stack, [written]), []);
    });
  });
}
