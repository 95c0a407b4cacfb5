/** Backups are made, and a wrong change is taken back from them, on a running stack. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { lastWords } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { scanFrom } from "../../support/attacks/scan.ts";
import {
  countOf,
  keeper,
  listed,
  newest,
  reachable,
  restoreSeconds,
} from "../../support/backups.ts";
import { assertWithin, show, timed } from "../../support/measure.ts";
import { attempt, healed, inside, must, primary, sql } from "../../support/members.ts";
import { command, mustCommand } from "../../support/operation.ts";
import type { Promised } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import {
  type Acknowledged,
  missingWrites,
  patientVisits,
  postDestination,
  Traffic,
} from "../../support/traffic.ts";

/** What docs/backups.md says of a restore in the stack's place. */
const standsStill: Promised = { reads: 30, writes: 30 };

export function backupsSuite(stack: TestStack): void {
  describe("backups", () => {
    before(() => healed(stack));

    it("O3: are made when they are asked for, and listed with what can be restored", async () => {
      await timed("full backup", () => mustCommand(stack, ["backup", "--full"], restoreSeconds));
      await timed("differential backup", () => mustCommand(stack, ["backup"], restoreSeconds));
      const { backups, ranges, gaps } = await listed(stack);
      assert.ok(backups.some(({ type }) => type === "full"));
      assert.ok(backups.some(({ type }) => type === "diff"));
      assert.deepEqual(gaps, []);
      await until("the range reaches the present", {
        probe: async () => Date.now() - Date.parse((await newest(stack)).to),
        done: (age) => age < 60_000,
        limitSeconds: 120,
      });
      assert.ok(ranges.length > 0);
      await mustCommand(stack, ["backup", "--check"], restoreSeconds);
    });

    it("O3: a wrong DELETE under load is taken back to the second before it, and nothing else of then is lost", async () => {
      // The first write asks for it, and that takes seconds
      await stack.authorization();
      const traffic = new Traffic(stack, patientVisits);
      await sleep(10_000);
      const moment = new Date();
      await sleep(1100);
      await sql(stack, await primary(stack), "DELETE FROM content");
      const deleted = Date.now();
      await sleep(10_000);
      const { acknowledged } = await traffic.stop();
      const earlier = acknowledged.filter(({ at = 0 }) => at < moment.getTime());
      const later = acknowledged.filter(({ at = 0 }) => at > deleted + 1000);
      assert.ok(earlier.length > 1 && later.length > 1, `${earlier.length}, ${later.length}`);
      await reachable(stack, moment);

      const to = ["restore", "--to", moment.toISOString()];
      const shown = await timed("restored beside", () => mustCommand(stack, to, restoreSeconds));
      console.log(shown.replaceAll(/^/gm, "        "));
      assert.match(shown, /content/, "the table that differs is named");
      // It was only looked at
      assert.deepEqual(await missingWrites(stack, later), []);

      const during = new Traffic(stack, patientVisits);
      const told = await timed("restored in place", () =>
        mustCommand(stack, [...to, "--in-place"], restoreSeconds),
      );
      const seen = await during.stop();
      show("restored in place", seen, standsStill);
      console.log(told.replaceAll(/^/gm, "        "));
      assertWithin(seen, standsStill);
      await healed(stack);
      assert.deepEqual(await missingWrites(stack, earlier), []);
      assert.equal(await countOf(stack, later), 0, "what came later is not there");

      await timed("undone", () => mustCommand(stack, ["restore", "--undo"], restoreSeconds));
      await healed(stack);
      assert.deepEqual(await missingWrites(stack, later), []);
      assert.equal(await countOf(stack, earlier), 0, "what was deleted is gone again");

      await mustCommand(stack, [...to, "--in-place"], restoreSeconds);
      await healed(stack);
      assert.deepEqual(await missingWrites(stack, earlier), []);
      await mustCommand(stack, ["restore", "--accept"], restoreSeconds);
      const after = { ...(await postDestination(stack, "after the restore")) };
      assert.deepEqual(await missingWrites(stack, [{ ...after, quote: "after the restore" }]), []);
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
      await mustCommand(stack, ["status"]);
    });

    it("O3: the file of a row that is taken back is served again, though it was removed", async () => {
      const quote = "with its picture";
      const { id, image } = await postDestination(stack, quote);
      await sleep(1100);
      const moment = new Date();
      await sleep(1100);
      const { status } = await stack.request(`/api/content/${id}`, {
        method: "DELETE",
        headers: { Authorization: await stack.authorization() },
      });
      assert.ok(status < 300, `DELETE answers ${status}`);
      await until("the picture is not served any more", {
        probe: async () => (await stack.request(image)).status,
        done: (code) => code === 404,
        limitSeconds: 180,
      });
      await reachable(stack, moment);
      const to = ["restore", "--to", moment.toISOString(), "--in-place"];
      await mustCommand(stack, to, restoreSeconds);
      await healed(stack);
      assert.deepEqual(await missingWrites(stack, [{ id, quote, image }]), []);
      await mustCommand(stack, ["restore", "--accept"], restoreSeconds);
    });

    it("O3: a moment before a failover, and one after it, can be restored", async () => {
      const quotes: Acknowledged[] = [];
      const moments: Date[] = [];
      const write = async (quote: string) => {
        quotes.push({ ...(await postDestination(stack, quote)), quote });
        await sleep(1100);
        moments.push(new Date());
        await sleep(1100);
      };
      await write("before the failover");
      await mustCommand(stack, ["switchover"]);
      await healed(stack);
      await write("after the failover");
      for (const [index, moment] of moments.entries()) {
        await reachable(stack, moment);
        const to = ["restore", "--to", moment.toISOString()];
        await mustCommand(stack, to, restoreSeconds);
        const found = await restoredQuotes(stack);
        assert.equal(found.includes("before the failover"), true);
        assert.equal(found.includes("after the failover"), index === 1);
      }
      await mustCommand(stack, ["restore", "--discard"], restoreSeconds);
      assert.deepEqual(await missingWrites(stack, quotes), []);
    });

    it("O3: bad moments are refused with what can be restored", async () => {
      for (const [to, why] of [
        ["yesterday", /--to yesterday/],
        ["2001-01-01T00:00:00Z", /2001-01-01/],
        ["2999-01-01T00:00:00Z", /2999-01-01/],
      ] as const) {
        const { code, stdout, stderr } = await command(stack, ["restore", "--to", to]);
        assert.notEqual(code, 0);
        assert.match(stdout + stderr, why);
      }
    });

    it("O3: a drill passes, and status tells its result", async () => {
      await timed("drill", () => mustCommand(stack, ["backup", "--drill"], restoreSeconds));
      const { stdout } = await command(stack, ["status", "--json"]);
      const { subjects } = JSON.parse(stdout) as { subjects: { name: string; is: string }[] };
      assert.match(subjects.find(({ name }) => name === "backup")?.is ?? "", /drill passed/);
    });

    it("O3, N6: root on the database machines cannot reach or destroy the backups", async () => {
      const before = await listed(stack);
      for (const member of ["db-1", "db-2"]) {
        assert.deepEqual(await openPorts(stack, member), [], `${keeper} listens`);
        const { code, stdout } = await attempt(stack, member, [
          "sh",
          "-c",
          "grep -rlsE 'repo[0-9]-cipher-pass|RESTIC_PASSWORD' /etc/hastack /var/lib/postgresql /root 2>/dev/null",
        ]);
        assert.notEqual(code, 0, `keys of the repository at ${member}: ${stdout}`);
      }
      const after = await listed(stack);
      assert.deepEqual(after.backups.slice(0, before.backups.length), before.backups);
    });
  });
}

/** Ports at which the keeper's own processes answer a database member. */
async function openPorts(stack: TestStack, member: string): Promise<number[]> {
  const to = stack.place.address(keeper);
  const run = (script: string, input: string) =>
    must(stack, member, ["sh", "-euc", script], { input, limitSeconds: 120 });
  const firsts = Array.from({ length: 20 }, (_, index) => 1 + index * 500);
  const scans = firsts.map((first) =>
    scanFrom(
      run,
      Array.from({ length: 500 }, (_, index) => ({ to, port: first + index })),
    ),
  );
  const open = (await Promise.all(scans))
    .flat()
    .flatMap((line) => (line.endsWith(" open") ? [Number(line.split(" ")[1])] : []));
  if (stack.place.sharing(keeper).length === 1) return open;
  // Others that share its machine listen, too
  const own = await Promise.all(open.map((port) => isOwn(stack, port)));
  return open.filter((_, index) => own[index]);
}

/** Whether a process of the keeper's units listens there. */
async function isOwn(stack: TestStack, port: number): Promise<boolean> {
  const script = `for pid in $(ss -Hltnp "sport = :${port}" | grep -o 'pid=[0-9]*' | cut -d= -f2); do
  cat "/proc/$pid/cgroup"
done`;
  return /hastack-(keeper|receive)/.test(await inside(stack, keeper, script));
}

/** Of the instance that was restored beside the stack. */
export async function restoredQuotes(stack: TestStack): Promise<string[]> {
  const outcome = await stack.npm(
    [
      ...["run", "--silent", "sql", "--", "SELECT quote FROM content", "--restored"],
      ...["--stack", stack.name],
    ],
    60,
  );
  assert.equal(outcome.code, 0, lastWords(outcome));
  return outcome.stdout.split("\n").map((line) => line.trim());
}
