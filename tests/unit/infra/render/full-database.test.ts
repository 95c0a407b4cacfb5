import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../../lib/until.ts";
import { makeTable, writeInto } from "../../../support/unit/pair-writer.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";

type Name = "db-1" | "db-2";
const disk = "/var/lib/postgresql";
const filler = `${disk}/filler`;
/** Small, so that a disk's last room is soon used up. */
const parameters = { wal_keep_size: "16MB", max_wal_size: "48MB", min_wal_size: "32MB" };
/** The least that the setting takes. */
const maximumSlotLogMegabytes = 256;
/** Has a primary begin a new file of its log, of 16 MB. */
const nextSegment = "SELECT pg_logical_emit_message(false, '', 'x'); SELECT pg_switch_wal();";
/** Long enough for what a disk without room leads to. */
const awaySeconds = 5;

describe("a database whose disk is full", function () {
  this.timeout(240_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start({
      parameters,
      settings: { maximumSlotLogMegabytes },
      dataMegabytes: 1200,
    });
    await pair.startQuorum("https");
    await pair.placeAll();
    await pair.whole();
    await makeTable(pair);
  });
  after(() => pair?.remove());

  const log = (member: Name) => pair.on(member).run("cat /tmp/log");
  const other = (member: string): Name => (member === "db-1" ? "db-2" : "db-1");
  const primary = async () => (await pair.whole()) as Name;
  /** Leaves a disk so many megabytes. */
  const fill = (member: Name, megabytes: number) =>
    pair.on(member).run(
      `there=$(stat -c %s ${filler} 2> /dev/null || echo 0)
fallocate -l $((there / 1048576 + $(df --output=avail -B1M ${disk} | tail -1) - ${megabytes}))M ${filler}`,
    );
  /** Takes all room, and whatever is given back, as a program that writes without end does. */
  const fillOnAndOn = (member: Name) =>
    pair.on(member).run(`touch /tmp/filling
{ while [ -e /tmp/filling ]; do cat /dev/zero >> ${filler} || :; sleep 0.05; done
  rm ${filler}; } > /dev/null 2>&1 &`);
  const stopFilling = (member: Name) =>
    pair.on(member).run(`rm /tmp/filling; while [ -e ${filler} ]; do sleep 0.1; done`);
  const makeRoom = (member: Name) => pair.on(member).run(`rm ${filler}`);

  const write = (name: string) => writeInto(pair, name);

  describe("a standby that is away", () => {
    let standby: Name;

    before(async () => {
      standby = other(await primary());
      await pair.on(standby).run("s6-svc -wD -d /etc/hastack/services/patroni");
    });

    /** Has the primary go on. @returns megabytes of log that it has then */
    async function logAfter(megabytes: number): Promise<number> {
      await pair.sql(other(standby), `${nextSegment} CHECKPOINT;`.repeat(megabytes / 16));
      const size = "SELECT sum(size)::bigint >> 20 FROM pg_ls_waldir()";
      return Number(await pair.sql(other(standby), size));
    }

    it("D4: leaves the primary its disk: no more log is kept for it than the setting says", async () => {
      const within = await logAfter(maximumSlotLogMegabytes - 48);
      assert.ok(within >= maximumSlotLogMegabytes - 64, `kept: ${within} MB`);
      const beyond = await logAfter(160);
      assert.ok(beyond <= 96, `kept: ${beyond} MB`);
    });

    it("D2: is copied anew when it comes back, and gets its slot again", async () => {
      await until("the slot is dropped", {
        probe: () => log(other(standby)),
        done: (said) => /^standby-care: the slot db_\d is dropped/m.test(said),
        describe: () => "",
        limitSeconds: 30,
      });
      await pair.on(standby).run("s6-svc -u /etc/hastack/services/patroni");
      await until("the standby streams", {
        probe: () =>
          pair.sql(
            other(standby),
            "SELECT sync_state, wal_status FROM pg_stat_replication JOIN pg_replication_slots ON pid = active_pid",
          ),
        done: (state) => state === "sync|reserved",
        limitSeconds: 120,
      });
      const copies = (await log(standby)).match(/^standby-care: copying the primary/gm);
      assert.equal(copies?.length, 2);
    });
  });

  describe("a standby's", () => {
    it("D4: writes go on without it, and it comes back by itself once there is room", async () => {
      const standby = other(await primary());
      await fill(standby, 4);
      const stop = await write("standby");
      await pair.sql(other(standby), nextSegment.repeat(6));
      await until("its disk is full", {
        probe: () => log(standby),
        done: (said) => said.includes("No space left on device"),
        describe: () => "",
        limitSeconds: 60,
      });
      await sleep(awaySeconds * 1000);
      const { longest, lost } = await stop();
      console.log(`      standby full: writes paused for ${longest.toFixed(1)} s`);
      assert.equal(lost, "");
      assert.ok(longest < 10, `${longest} s`);
      await makeRoom(standby);
      assert.equal(other(await primary()), standby);
    });
  });

  describe("a primary's", () => {
    const large =
      "INSERT INTO written SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n";
    const started = (member: Name) => pair.sql(member, "SELECT pg_postmaster_start_time()");

    it("D4: refuses what finds no room, serves on, and wants nothing but room", async () => {
      const full = await primary();
      const before = await started(full);
      await fill(full, 4);
      await assert.rejects(pair.sql(full, large, "hastack"), /No space left on device/);
      assert.equal(await pair.sql(full, "SELECT count(*) >= 0 FROM written", "hastack"), "t");
      await makeRoom(full);
      await pair.sql(full, large, "hastack");
      assert.deepEqual([await primary(), await started(full)], [full, before]);
    });

    it("D4: has no room for its log: the standby takes over, nothing acknowledged is lost, and the former primary comes back by itself once there is room", async () => {
      const full = await primary();
      const stop = await write("primary");
      await fillOnAndOn(full);
      // It may be up again before Patroni looks, and goes on until it needs the next file
      await until("the standby is promoted", {
        probe: async () => {
          await pair.sql(full, nextSegment.repeat(12)).catch(() => {});
          return pair.sql(other(full), "SELECT pg_is_in_recovery()");
        },
        done: (standby) => standby === "f",
        limitSeconds: 180,
      });
      await sleep(awaySeconds * 1000);
      const { longest, lost } = await stop();
      console.log(`      primary full: writes paused for ${longest.toFixed(1)} s`);
      assert.equal(lost, "");
      assert.ok(longest < 25, `${longest} s`);
      await stopFilling(full);
      const start = Date.now();
      assert.equal(await primary(), other(full));
      console.log(
        `      whole again ${((Date.now() - start) / 1000).toFixed(1)} s after there was room`,
      );
      assert.doesNotMatch(await log(full), /it is set aside at/);
    });
  });
});
