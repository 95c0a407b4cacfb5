/** A place of backups that is away, full or damaged: what is told, and what goes on all the same. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { backupDirectory } from "../../../infra/roles.ts";
import { mustRun } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import {
  keeper,
  listed,
  newest,
  reachable,
  restoreSeconds,
  status,
  told,
  well,
} from "../../support/backups.ts";
import { timed } from "../../support/measure.ts";
import { healed, inside, primary, sql } from "../../support/members.ts";
import type { ObjectStore } from "../../support/object-store.ts";
import { command, mustCommand } from "../../support/operation.ts";
import { spoil } from "../../support/spoil.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, patientVisits, postDestination, Traffic } from "../../support/traffic.ts";

const directory = backupDirectory;
const segmentMegabytes = 16;

/** As small as settings allow, so that both are full soon. */
export const smallLimits = {
  backup: { spoolMegabytes: 256, filesEverySeconds: 60 },
  database: { maximumSlotLogMegabytes: 256 },
};
const spoolSegments = smallLimits.backup.spoolMegabytes / segmentMegabytes;
const slotSegments = smallLimits.database.maximumSlotLogMegabytes / segmentMegabytes;

/** Has the primary begin so many new files of its log. */
async function writeLog(stack: TestStack, segments: number): Promise<void> {
  const one = "SELECT pg_logical_emit_message(true, '', 'x'); SELECT pg_switch_wal();";
  const member = await primary(stack);
  for (let done = 0; done < segments; done += 1) await sql(stack, member, one);
}

/** Whether the primary keeps what the keeper has not got; files of its log that are left are used again. */
const slotState = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'keeper'";

const megabytesOf = async (stack: TestStack, member: string, path: string) =>
  Number((await inside(stack, member, `du -sm ${path} | cut -f1`)).trim());

const logMegabytes = async (stack: TestStack) =>
  megabytesOf(stack, await primary(stack), "/var/lib/postgresql/17/hastack/pg_wal");

export function backupsAwaySuite(stack: TestStack, store: () => ObjectStore): void {
  describe("a place of backups", () => {
    before(() => healed(stack));

    it("O3: gets every backup, as each other one does, and the list says what each can give", async () => {
      await timed("full backup", () => mustCommand(stack, ["backup", "--full"], restoreSeconds));
      await reachable(stack, new Date(), "s3");
      const { backups, gaps, repositories } = await listed(stack);
      assert.deepEqual(Object.keys(backups.at(-1)?.repositories ?? {}).sort(), ["local", "s3"]);
      assert.deepEqual(Object.keys(repositories).sort(), ["local", "s3"]);
      assert.deepEqual(gaps, []);
      const text = await mustCommand(stack, ["backup", "--list"]);
      for (const name of ["all", "local", "s3"])
        assert.match(text, new RegExp(`^ +\\d+ +${name} +20\\d\\d-`, "m"));
      console.log(text.replaceAll(/^/gm, "        "));
      console.log(`      the object store holds ${await store().megabytes()} MB`);
      await mustCommand(stack, ["backup", "--check"], restoreSeconds);
      await well(stack);
    });

    it("O3: may be away: the others go on, it is told since when, and what it lacks comes afterwards", async () => {
      await stack.authorization();
      const traffic = new Traffic(stack, patientVisits);
      await store().pause();
      try {
        await told(stack, /the repository s3 takes no log \(s3: [^"]*\), [\w ]+ ago the last/);
        const moment = new Date();
        await sleep(1100);
        await reachable(stack, moment, "local");
        const { code, stdout, stderr } = await timed("a backup meanwhile", () =>
          command(stack, ["backup"], restoreSeconds),
        );
        assert.equal(code, 1, stdout);
        assert.match(stdout + stderr, /backed up: .*\n.*not in every repository: s3: /);
        await reachable(stack, moment);
        await timed("a restore meanwhile", () =>
          mustCommand(stack, ["restore", "--to", moment.toISOString()], restoreSeconds),
        );
        await mustCommand(stack, ["restore", "--discard"]);
        await told(stack, /the repository s3 takes no files/);
      } finally {
        await store().goOn();
      }
      const { acknowledged } = await traffic.stop();
      await timed("until it has all", () => reachable(stack, new Date(), "s3"));
      const { gaps, repositories } = await listed(stack);
      assert.deepEqual([gaps, repositories.s3?.gaps], [[], []]);
      assert.deepEqual(await missingWrites(stack, acknowledged), []);
    });

    it("O3: may be away while more is written than may wait: neither disk fills, and all comes afterwards", async () => {
      await store().pause();
      try {
        await writeLog(stack, spoolSegments + slotSegments / 2);
        await told(stack, /receiving waits: \d+ MB of WAL wait .*spoolMegabytes is 256 \(s3: /);
        await assertBounded(stack);
      } finally {
        await store().goOn();
      }
      await timed("until it has all", () => reachable(stack, new Date(), "s3"));
      const { gaps, repositories } = await listed(stack);
      assert.deepEqual([gaps, repositories.s3?.gaps, repositories.local?.gaps], [[], [], []]);
    });

    it("O3: may be away for longer than the primary keeps log: neither disk fills, and the gap is told between the ranges", async () => {
      const before = await newest(stack);
      const quote = "before the gap";
      const written = { ...(await postDestination(stack, quote)), quote };
      await store().pause();
      try {
        await writeLog(stack, spoolSegments + 3 * slotSegments);
        const member = await primary(stack);
        await until("the primary keeps no more", {
          probe: async () => {
            await sql(stack, member, "CHECKPOINT");
            return sql(stack, member, slotState);
          },
          done: (state) => state === "lost",
          limitSeconds: 120,
          intervalSeconds: 2,
        });
        await assertBounded(stack);
      } finally {
        await store().goOn();
      }
      await told(stack, /moments from 20[\d :-]+ to [^"]*cannot be restored/, 300);
      await mustCommand(stack, ["backup", "--full"], restoreSeconds);
      const moment = new Date();
      await sleep(1100);
      await reachable(stack, moment);
      const { ranges, gaps } = await listed(stack);
      assert.equal(ranges.length, 2, JSON.stringify(ranges));
      assert.equal(ranges[0]?.from, before.from);
      assert.equal(gaps.length, 1, JSON.stringify(gaps));
      const middle = new Date(
        (Date.parse(gaps[0]?.from ?? "") + Date.parse(gaps[0]?.to ?? "")) / 2,
      );
      const refused = await command(stack, ["restore", "--to", middle.toISOString()]);
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /cannot be restored: one can restore .* to .* and .* to /);
      assert.deepEqual(await missingWrites(stack, [written]), []);
      for (const one of [ranges[0]?.to ?? "", moment.toISOString()])
        await mustCommand(stack, ["restore", "--to", one], restoreSeconds);
      await mustCommand(stack, ["restore", "--discard"]);
    });

    it("O3: may be full: it is told, the others go on, and all comes once there is room", async () => {
      // Whatever the log lacks that was written before
      await mustCommand(stack, ["backup", "--full"], restoreSeconds);
      const repository = `${directory}/repository`;
      await onDiskOf(
        `cp -a ${repository} ${repository}.there; mount -t tmpfs -o size=1g,mode=0700 tmpfs ${repository}
         chown postgres:postgres ${repository}; cp -a ${repository}.there/. ${repository}/
         mount -o remount,size=$(($(du -sk ${repository} | cut -f1) + 4096))k ${repository}
         head -c 64M /dev/zero > ${repository}/others || :`,
      );
      try {
        await writeLog(stack, 2);
        await told(stack, /the repository local takes no log \(local: the disk is full\)/);
        await reachable(stack, new Date(), "s3");
      } finally {
        await onDiskOf(`rm ${repository}/others; mount -o remount,size=1g ${repository}`);
      }
      try {
        await reachable(stack, new Date(), "local");
        const { repositories } = await listed(stack);
        assert.equal(repositories.local?.gaps.length, repositories.s3?.gaps.length);
      } finally {
        await onDiskOf(
          `cp -a ${repository}/. ${repository}.there/; umount ${repository}
           cp -a ${repository}.there/. ${repository}/; rm -r ${repository}.there`,
        );
      }
      const { stderr } = await command(stack, ["backup", "--check"], restoreSeconds);
      // A gap from before is everywhere
      const found = (name: string) =>
        [...stderr.matchAll(new RegExp(`^- ${name}: (.*)$`, "gm"))].map(([, what]) => what);
      assert.deepEqual(found("local"), found("s3"), stderr);
    });

    it("O3: whose backup is damaged is named by the check; the other place gives it", async () => {
      const { backups } = await listed(stack);
      const { label = "", lineage = 0 } = backups.findLast(({ type }) => type === "full") ?? {};
      const to = (await newest(stack)).to;
      await spoilAll(stack, `${directory}/repository/backup/hastack-${lineage}/${label}/bundle/*`);
      const check = await command(stack, ["backup", "--check"], restoreSeconds);
      assert.equal(check.code, 1);
      console.log(check.stderr.replaceAll(/^/gm, "        "));
      assert.match(check.stderr, new RegExp(`local: .*${label}`));
      await mustCommand(stack, ["restore", "--to", to], restoreSeconds);
      await mustCommand(stack, ["restore", "--discard"]);
      // Nothing else gives it
      await store().pause();
      try {
        const drill = await command(stack, ["backup", "--drill"], restoreSeconds);
        assert.equal(drill.code, 1);
        assert.match(drill.stderr, new RegExp(`the drill failed.*${label}.*local: it is damaged`));
      } finally {
        await store().goOn();
      }
      const { code, text } = await status(stack);
      assert.equal(code, 1);
      assert.match(text, /the restore drill failed .* ago: .*local: it is damaged/);
      await mustCommand(stack, ["backup", "--full"], restoreSeconds);
      await reachable(stack, new Date());
      await timed("drill", () => mustCommand(stack, ["backup", "--drill"], restoreSeconds));
    });

    it("O3: that lacks a file of the log is named; the other place gives it", async () => {
      const moment = new Date();
      await writeLog(stack, 3);
      await reachable(stack, new Date(), "s3");
      await reachable(stack, new Date(), "local");
      const lost = (
        await inside(
          stack,
          keeper,
          `cd ${directory}/repository/archive/hastack-${(await newest(stack)).lineage}; one=$(ls */*/*.zst | tail -2 | head -1); rm "$one"; basename "$one"`,
        )
      ).slice(0, 24);
      const check = await command(stack, ["backup", "--check"], restoreSeconds);
      assert.equal(check.code, 1);
      assert.match(check.stderr, new RegExp(`local: the WAL segment ${lost} is missing`));
      await told(stack, new RegExp(`cannot be restored from the repository local [^"]*${lost}`));
      const to = (await newest(stack)).to;
      assert.ok(Date.parse(to) > moment.getTime());
      await mustCommand(stack, ["restore", "--to", to], restoreSeconds);
      await mustCommand(stack, ["restore", "--discard"]);
      await mustCommand(stack, ["backup", "--full"], restoreSeconds);
    });
  });

  /** Runs a script with all rights, in the file systems of the keeper's container. */
  async function onDiskOf(script: string): Promise<string> {
    const container = stack.place.container(keeper);
    const pid = (await mustRun(["docker", "inspect", "-f", "{{.State.Pid}}", container])).trim();
    return mustRun(["nsenter", `--target=${pid}`, "--mount", "sh", "-euc", script]);
  }
}

async function assertBounded(stack: TestStack): Promise<void> {
  const spool = await megabytesOf(stack, keeper, `${directory}/spool`);
  const log = await logMegabytes(stack);
  console.log(`      ${spool} MB wait at ${keeper}, ${log} MB at the primary`);
  // What comes until the receiver has ended is a few segments
  assert.ok(spool < 1.5 * smallLimits.backup.spoolMegabytes, `${spool} MB`);
  assert.ok(log < 3 * smallLimits.database.maximumSlotLogMegabytes, `${log} MB`);
}

/** Writes over the middle of files. */
const spoilAll = (stack: TestStack, files: string) =>
  inside(
    stack,
    keeper,
    `for one in ${files}; do ${spoil('"$one"', '$(($(stat -c %s "$one") / 2))')}; done`,
  );
