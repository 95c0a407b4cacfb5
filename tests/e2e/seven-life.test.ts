/** The whole stack on seven machines, made and taken away in every way. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Outcome } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { timed } from "../support/measure.ts";
import { healed, killMember, startMember } from "../support/members.ts";
import { limits } from "../support/promises.ts";
import { missingWrites, postDestination } from "../support/traffic.ts";
import { badMachinesSuite } from "./suites/bad-machines.ts";
import { machinesSuite } from "./suites/machines.ts";
import { onSevenMachines } from "./suites/seven-machines.ts";
import { siteSuite } from "./suites/site.ts";

const seconds = (start: number) => ((Date.now() - start) / 1000).toFixed(1);

/** What `destroy` leaves where it keeps data: the databases' and the uploads' own directories. */
const keptData = [
  /^db-\d (file|data) \/var\/lib\/postgresql\/17\/hastack$/,
  /^(app|witness)-\d file \/var\/lib\/hastack$/,
  /^(app|witness)-\d (file|gluster) \/var\/lib\/glusterd\//,
];

onSevenMachines("made, destroyed, made again", { bare: true }, (stack, place) => {
  badMachinesSuite(stack, place);

  describe("up", () => {
    it("W6: a machine dies half-way through up, which names it; up again goes on from there", async () => {
      const victim = "storefront-2";
      const start = Date.now();
      let ended: Outcome | undefined;
      const up = stack.up().then((outcome) => {
        ended = outcome;
        return outcome;
      });
      await killOnceStarted(victim, "db-1", () => ended && `up ended before:\n${ended.stdout}`);
      const first = await up;
      assert.notEqual(first.code, 0, first.stdout);
      assert.match(first.stdout, new RegExp(`machine ${place.machine(victim)} .*(lost|reached)`));
      const before = await runningElsewhere(victim);
      assert.ok(before.size > 0, "nothing had been started");
      await startMember(stack, victim);
      await stack.mustUp();
      console.log(`      with a machine that died meanwhile: ${seconds(start)} s`);
      for (const [member, started] of before) {
        assert.equal(await place.started(member), started, `${member} was touched`);
      }
      await healed(stack);
    });

    it("W4: destroy leaves nothing of the stack on the machines", async () => {
      await timed("destroy", () => stack.destroy());
      assert.deepEqual(await place.leftovers(), []);
    });

    it("W1, W2: machines that have the packages come to serve", async () => {
      await timed("from machines with packages to serving", () => stack.mustUp());
      await healed(stack);
    });

    /** Kills a member's machine as soon as another member's processes run. */
    async function killOnceStarted(
      victim: string,
      other: string,
      hopeless: () => string | undefined,
    ): Promise<void> {
      await until(`${other} has been started`, {
        probe: () => place.started(other),
        done: isRunning,
        hopeless,
        limitSeconds: limits.up,
      });
      await killMember(stack, victim);
    }

    /** The members that run, on machines other than this one's, with when they were started. */
    async function runningElsewhere(member: string): Promise<Map<string, string>> {
      const others = ["etcd-1", "etcd-3", "db-1", "db-2", "cache-1", "lb-1", "lb-2"];
      const found = new Map<string, string>();
      for (const one of others.filter((each) => !place.sharing(member).includes(each))) {
        const started = await place.started(one);
        if (isRunning(started)) found.set(one, started);
      }
      return found;
    }

    function isRunning(started: string): boolean {
      return /^MainPID=[1-9]/m.test(started);
    }
  });

  siteSuite(stack);
  machinesSuite(stack, place);

  describe("destroy", () => {
    afterEach(() => stack.configure({}));

    it("W4: destroy with keepData leaves the data and nothing else; up adopts it", async () => {
      stack.configure({ "hastack:keepData": true });
      await stack.mustUp();
      const quote = `kept ${randomUUID()}`;
      const written = { ...(await postDestination(stack, quote)), quote };
      await stack.destroy();
      const left = await place.leftovers();
      assert.deepEqual(
        left.filter((one) => !keptData.some((kept) => kept.test(one))),
        [],
      );
      for (const member of ["db-1", "db-2"]) {
        const data = `${place.machine(member)} data /var/lib/postgresql/17/hastack`;
        assert.ok(left.includes(data), `${data} is not among ${left}`);
      }

      await stack.mustUp();
      assert.deepEqual(await missingWrites(stack, [written]), []);
      await healed(stack);
      await postDestination(stack, `written by new principals ${randomUUID()}`);
    });

    it("W4: destroy with keepData off leaves nothing", async () => {
      await stack.mustUp();
      await stack.destroy();
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
