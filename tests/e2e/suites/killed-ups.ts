/** `up`, killed at drawn moments with all that it started, can simply be run again. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { drawnFrom, seedOfRun } from "../../support/drawn.ts";
import { assertNoneFailed, timed, underLoad } from "../../support/measure.ts";
import { healed, inside, instances } from "../../support/members.ts";
import { mustCommand } from "../../support/operation.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";

/** How many `up`s are killed while they make the stack, and how many while they change it. */
const killed = { making: 4, changing: 6 };

const others = ["lb-1", "lb-2", "etcd-1", "etcd-2", "etcd-3", "db-1", "db-2", "cache-1"];

export function killedUpsSuite(stack: TestStack): void {
  describe("up, killed at drawn moments", () => {
    const seed = seedOfRun();
    const draw = drawnFrom(seed);
    before(() => console.log(`      the moments are drawn from HASTACK_TEST_SEED=${seed}`));

    it("W6: while it makes the stack: the last one ends whole", async () => {
      let ended: "killed" | "ended" = "killed";
      for (let turn = 0; turn < killed.making && ended === "killed"; turn += 1) {
        ended = await killedUp(5 + draw() * 40);
        assert.ok(turn > 0 || ended === "killed", "the first one was not killed");
      }
      await timed("up, to the end", () => stack.mustUp());
      await healed(stack);
      await isWhole();
    });

    for (let turn = 1; turn <= killed.changing; turn += 1) {
      it(`W6: while it changes everything, ${turn}: the next one ends it, and nothing is lost`, async () => {
        stack.edit("app/src/http/views.ts", (text) => `${text}// release ${turn}\n`);
        stack.configure({
          "hastack:database": { parameters: { work_mem: `${4 + turn}MB` } },
          "hastack:loadBalancer": { timeouts: { queueSeconds: 5 + turn } },
          "hastack:certificates": { renewal: turn },
        });
        const moment = 2 + draw() * 50;
        const report = await underLoad(stack, async () => {
          await killedUp(moment);
          await timed("up, to the end", () => stack.mustUp());
        });
        await healed(stack);
        assertNoneFailed(report);
        assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
        await isWhole();
      });
    }

    /** The whole process group: launcher, CLI, language host, plugins, and what they run. */
    async function killedUp(seconds: number): Promise<"killed" | "ended"> {
      const [program = "", ...args] = stack.command(["up", "--yes", "--skip-preview"]);
      const options = {
        cwd: stack.folder,
        env: stack.env,
        detached: true,
        stdio: "ignore",
      } as const;
      const child = spawn(program, args, options);
      const ended = once(child, "close");
      await Promise.race([sleep(seconds * 1000), ended]);
      const wasDone = child.exitCode !== null;
      if (!wasDone) process.kill(-(child.pid ?? 0), "SIGKILL");
      await ended;
      if (wasDone) assert.equal(child.exitCode, 0, "up failed by itself");
      const told = wasDone ? `had ended with ${child.exitCode} before` : "killed after";
      console.log(`      up ${told} ${seconds.toFixed(1)} s`);
      return wasDone ? "ended" : "killed";
    }

    /** Nothing is left to do, nothing was changed by hand, nothing is there twice, nobody has the lock. */
    async function isWhole(): Promise<void> {
      const { code, stdout, stderr } = await stack.previewNoChanges();
      assert.equal(code, 0, stdout + stderr);
      await mustCommand(stack, ["drift"]);
      const { latest } = JSON.parse(stack.storedState()).checkpoint;
      assert.deepEqual(latest.pending_operations ?? [], []);
      const urns = latest.resources.map(({ urn }: { urn: string }) => urn);
      assert.deepEqual(urns, [...new Set(urns)], "a resource is in the state twice");
      assert.doesNotMatch(
        await mustCommand(stack, ["journal"]),
        /^locked by|was cut off; the next/m,
      );
      for (const member of [...others, ...instances]) {
        const look = "find /etc/hastack /opt/hastack -name '*.new' -o -name '*.before'";
        const left = await inside(stack, member, `${look} 2> /dev/null || :`);
        assert.equal(left, "", `${member} has what an up left half-way`);
      }
    }
  });
}
