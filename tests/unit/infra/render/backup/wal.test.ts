import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import {
  state as directory,
  RecordedPair,
  second,
} from "../../../../support/unit/recorded-pair.ts";

interface Receive {
  readonly connected: boolean;
  readonly why: string | null;
  readonly received: string;
  readonly receivedUpTo: string;
  readonly spoolBytes: number;
  readonly timeline: number;
  readonly lineage: number;
  readonly repositories: Readonly<Record<string, { pushed: string | null; why: string | null }>>;
}
interface Backups {
  readonly backups: readonly {
    readonly label: string;
    readonly type: string;
    readonly walStart: string;
    readonly lineage: number;
    readonly labels: Readonly<Record<string, string>>;
  }[];
  readonly ranges: readonly { lineage: number; from: string; to: string }[];
  readonly gaps: readonly { from: string; to: string | null; why: string }[];
  readonly repositories: Readonly<Record<string, { gaps: readonly { why: string }[] }>>;
  readonly why: string | null;
  readonly at: string;
}

describe("the database is recorded", function () {
  this.timeout(240_000);
  let pair: RecordedPair;

  before(async function () {
    this.timeout(900_000);
    pair = await RecordedPair.start();
    await pair.sql("CREATE TABLE written (text text); CREATE TABLE filling (text text)");
    await pair.begin("keeper");
    await pair.begin("receive");
  });
  after(() => pair?.remove());
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await pair.explain();
  });

  const receive = () => pair.state<Receive>("receive");
  const backups = () => pair.state<Backups>("backups");
  /** The same, once it was looked for anew. */
  async function survey(): Promise<Backups> {
    const moment = new Date().toISOString();
    await until("backups are looked through", {
      probe: async () => (await backups()).at ?? "",
      // One that is under way may have begun before
      done: (at) => Date.parse(at) > Date.parse(moment) + 2000,
      limitSeconds: 80,
    });
    return (await backups()) as Backups;
  }
  const write = (text: string) => pair.sql(`INSERT INTO written VALUES ('${text}')`);
  const written = () => pair.restoredSql("SELECT string_agg(text, ',' ORDER BY text) FROM written");
  const now = async () => {
    const seconds = await pair.sql("SELECT extract(epoch FROM clock_timestamp())");
    return new Date(Number(seconds) * 1000).toISOString();
  };
  /** Whole segments of some rows. */
  const fill = (segments: number) =>
    pair.sql(
      "INSERT INTO filling SELECT repeat('x', 100) FROM generate_series(1, 1000); SELECT pg_switch_wal();\n".repeat(
        segments,
      ),
    );
  const receiving = (why: string, done: (state: Partial<Receive>) => boolean, limitSeconds = 60) =>
    until(why, { probe: receive, done, limitSeconds });
  /** Waits until all that was written until now has been received. */
  async function allReceived(): Promise<void> {
    const lsn = await pair.sql("SELECT pg_current_wal_flush_lsn()");
    await until(`${lsn} is received`, {
      probe: async () => {
        const { received } = await receive();
        return received && (await pair.sql(`SELECT '${received}'::pg_lsn >= '${lsn}'`));
      },
      done: (whether) => whether === "t",
      limitSeconds: 60,
    });
  }
  const allPushed = () =>
    until("the spool has no whole segment", {
      probe: () => pair.run(`ls ${directory}/spool/hastack-*`),
      done: (names) => !/^[0-9A-F]{24}$/m.test(names),
      limitSeconds: 60,
    });

  it("by a full backup at once, encrypted, in every repository", async () => {
    await until("there is a backup and a range", {
      probe: backups,
      done: ({ backups: found = [], ranges = [] }) => found.length > 0 && ranges.length > 0,
      limitSeconds: 120,
    });
    const { backups: [first] = [] } = await backups();
    assert.equal(first?.type, "full");
    assert.deepEqual(Object.keys(first?.labels ?? {}), ["local", "second"]);
    await pair.sql("INSERT INTO written VALUES ('a text to be found'); SELECT pg_switch_wal()");
    await allReceived();
    await allPushed();
    for (const path of [`${directory}/repository`, second]) {
      const files = await pair.run(`find ${path} -type f | xargs head -c 8 -q | grep -ac Salted__`);
      assert.ok(Number(files) > 0, "files that are encrypted");
      await pair.run(`! find ${path} -type f | xargs grep -l 'a text to be found'`);
    }
    assert.equal(await pair.run(`ls ${directory}/copy`), "");
  });

  it("so that a moment can be restored by a differential backup and WAL", async () => {
    await write("b before");
    const { phase, why, result } = await pair.request("one", { do: "backup", type: "diff" });
    assert.equal(phase, "done", String(why));
    assert.equal(result.type, "diff");
    await write("c after");
    const moment = await now();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await write("d too late");
    await allReceived();
    await pair.restore(1, 2, moment);
    assert.equal(await written(), "a text to be found,b before,c after");
  });

  it("and a range ends at a moment that can be restored", async () => {
    await write("e in the range");
    const moment = await now();
    await until("the range holds it", {
      probe: async () => (await backups()).ranges?.at(-1)?.to ?? "",
      done: (to) => Date.parse(to) > Date.parse(moment),
      limitSeconds: 100,
    });
    const to = (await backups()).ranges?.at(-1)?.to ?? "";
    await pair.restore(1, 1, to);
    assert.match(await written(), /e in the range/);
  });

  it("on through a failover without the loss of what was acknowledged", async () => {
    await fill(2);
    await write("f before the failover");
    await pair.sql("SELECT pg_switch_wal()");
    await until("the standby has all", {
      probe: () =>
        pair.sql(
          "SELECT bool_and(replay_lsn = pg_current_wal_flush_lsn()) FROM pg_stat_replication WHERE application_name = 'walreceiver'",
        ),
      done: (all) => all === "t",
      limitSeconds: 30,
    });
    await pair.failOver();
    await write("g after the failover");
    await receiving(
      "it receives the new timeline",
      ({ timeline, connected }) => timeline === 2 && connected === true,
    );
    await write("h on the new timeline");
    const moment = await now();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await write("i too late");
    await fill(2);
    await allReceived();
    await allPushed();
    await pair.restore(1, 1, moment);
    assert.match(
      await written(),
      /f before the failover,g after the failover,h on the new timeline$/,
    );
  });

  it("on from where it was after a kill at any moment", async () => {
    for (const pause of [0, 50, 300, 900]) {
      const filling = fill(1);
      await new Promise((resolve) => setTimeout(resolve, pause));
      await pair.kill("receive");
      await filling;
    }
    await write("j through kills");
    const moment = await now();
    await allReceived();
    await allPushed();
    await until("it can be restored", {
      probe: backups,
      done: ({ ranges: found = [] }) => found.some(({ to }) => to >= moment),
      limitSeconds: 90,
    });
    const { gaps, ranges } = await survey();
    assert.deepEqual(gaps, []);
    assert.equal(ranges.length, 1);
    await pair.restore(1, 1, ranges[0]?.to ?? "");
    assert.match(await written(), /j through kills/);
  });

  it("within the spool's limit while a repository is away, which gets all once it is back", async () => {
    await pair.place({ spoolMegabytes: 64 });
    await pair.kill("receive", "TERM");
    await receiving("it receives again", ({ connected }) => connected === true);
    await pair.run(`mv ${second} ${second}.away; touch ${second}`);
    await fill(24);
    await receiving(
      "receiving waits",
      ({ connected, why }) => connected === false && !!why?.includes("spoolMegabytes is 64"),
    );
    const { repositories, spoolBytes = 0, why } = await receive();
    assert.match(String(why), /second: /);
    assert.equal(repositories?.local?.why, null);
    // What comes until it has ended; without a limit it were 384
    assert.ok(spoolBytes < 160 << 20, `${spoolBytes}`);
    const held = await pair.sql(
      "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'keeper'",
    );
    assert.ok(Number(held) > 16 << 20, `the primary keeps ${held} bytes`);
    await pair.run(`rm ${second}; mv ${second}.away ${second}`);
    await receiving("it receives again", ({ connected }) => connected === true);
    await allReceived();
    await allPushed();
    assert.deepEqual((await survey()).gaps, []);
    await pair.place();
    await pair.kill("receive", "TERM");
    await receiving("it receives with its usual limit", ({ connected }) => connected === true);
  });

  it("and a WAL file that is missing is told as a gap, until a backup begins anew after it", async () => {
    await fill(3);
    await allReceived();
    await allPushed();
    const folder = "archive/hastack-1/17-1";
    const files = (await pair.run(`cd ${second}/${folder}; ls */*.zst`)).split("\n");
    const lost = files.at(-2) ?? "";
    await pair.run(`rm ${second}/${folder}/${lost}`);
    const name = lost.split("/")[1]?.slice(0, 24) ?? "";
    const one = await survey();
    assert.deepEqual(one.gaps, [], "the other repository has it");
    assert.match(one.repositories.second?.gaps[0]?.why ?? "", new RegExp(name));
    const { result } = await pair.request("check", { do: "check" });
    assert.equal(result.ok, false);
    assert.match(String(result.problems), new RegExp(`second: .*${name}`));
    await pair.run(`rm ${directory}/repository/${folder}/*/${name}*`);
    assert.match((await survey()).gaps[0]?.why ?? "", new RegExp(name));
    const { why } = await pair.request("two", { do: "backup", type: "full" });
    assert.equal(why, null);
    await fill(1);
    await until("there is a range after the gap", {
      probe: backups,
      done: ({ ranges = [] }) => ranges.length === 2,
      limitSeconds: 60,
    });
  });

  it("and WAL from before the oldest backup goes, and none that it needs", async () => {
    const { backups: known = [] } = await backups();
    // As time would have it
    for (const [name, number] of [
      ["local", 1],
      ["second", 2],
    ] as const) {
      await pair.run(
        `runuser -u postgres -- pgbackrest --config=/etc/hastack/pgbackrest.conf --lock-path=/tmp/lock --stanza=hastack-1 --repo=${number} --set=${known[0]?.labels[name]} expire`,
      );
    }
    const { why } = await pair.request("expire", { do: "expire" });
    assert.equal(why, null);
    const after = await survey();
    assert.equal(after.backups.length, 1);
    const first = await pair.run(
      `ls ${second}/archive/hastack-1/17-1/*/ | grep -o '^[0-9A-F]*-' | sort | head -1`,
    );
    assert.equal(first, `${after.backups[0]?.walStart}-`);
    assert.equal(after.ranges.length, 1);
    assert.deepEqual(after.gaps, []);
  });

  it("on, with a gap, after the slot was lost, also while a repository is away", async () => {
    await pair.run(`mv ${second} ${second}.away; touch ${second}`);
    await fill(2);
    await allReceived();
    const slot = (what: string) =>
      pair.sql(`SELECT ${what} FROM pg_replication_slots WHERE slot_name = 'keeper'`);
    const processes =
      "-f '^python3 keeper/receive.p[y]|^/usr/lib/postgresql/17/bin/pg_receivewa[l]'";
    await pair.run(`pkill -STOP ${processes}`);
    await pair.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
    await pair.sql("SELECT pg_reload_conf()");
    await until("the server has given the connection up", {
      probe: () => slot("active"),
      done: (active) => active === "f",
      limitSeconds: 20,
    });
    await until("the slot is lost", {
      probe: async () => {
        await fill(3);
        await pair.sql("CHECKPOINT");
        return slot("wal_status");
      },
      done: (status) => status === "lost",
      limitSeconds: 60,
    });
    await pair.run(`pkill -CONT ${processes}`);
    await until("receiving begins again", {
      probe: () => pair.log("receive"),
      done: (text) => text.includes("receiving begins again where the slot is"),
      limitSeconds: 60,
    });
    // As the database's members do
    await until("the slot is dropped", {
      probe: async () => {
        await slot("pg_terminate_backend(active_pid)");
        await slot("pg_drop_replication_slot(slot_name)").catch(() => {});
        return slot("count(*)");
      },
      done: (count) => count === "0",
      limitSeconds: 30,
    });
    // The slot would be lost again with the next two files
    await pair.sql("ALTER SYSTEM RESET max_slot_wal_keep_size");
    await pair.sql("SELECT pg_reload_conf()");
    await pair.sql("SELECT pg_create_physical_replication_slot('keeper', true)");
    await receiving("it receives again", ({ connected }) => connected === true);
    await fill(2);
    await allReceived();
    const waits = await pair.run(`ls ${directory}/spool/hastack-1/passed`);
    assert.match(waits, /^[0-9A-F]{24}$/m, "what was whole waits for the one that is away");
    await pair.run(`rm ${second}; mv ${second}.away ${second}`);
    await allPushed();
    assert.equal(await pair.run(`ls ${directory}/spool/hastack-1/passed`), "");
    await until("the gap is told", {
      probe: backups,
      done: ({ gaps = [] }) => gaps.length === 1,
      limitSeconds: 90,
    });
  });

  it("anew as another history once that is asked for", async () => {
    const { result } = await pair.request("lineage", { do: "lineage" });
    assert.equal(result.lineage, 2);
    await receiving("it receives", ({ connected, lineage }) => connected === true && lineage === 2);
    await until("there is a full backup of it", {
      probe: backups,
      done: ({ backups: found = [] }) => found.some((one) => one.lineage === 2),
      limitSeconds: 90,
    });
    await until("the spool of before is empty", {
      probe: () => pair.run(`ls ${directory}/spool`),
      done: (names) => !/^hastack-1$/m.test(names),
      limitSeconds: 60,
    });
  });

  it("with times in the repositories, for a machine that has nothing else", async () => {
    const ranges = async () => (await survey()).ranges.filter(({ lineage }) => lineage === 1);
    const known = await ranges();
    assert.ok(known.length > 0);
    await pair.run(`rm ${directory}/ticks/hastack-1*`);
    for (const [index, { from, to }] of (await ranges()).entries()) {
      assert.equal(from, known[index]?.from);
      const lost = Date.parse(known[index]?.to ?? "") - Date.parse(to);
      // Ticks come every 10 s
      assert.ok(lost <= 15_000, `${lost} ms`);
    }
  });

  describe("with another key", () => {
    const another = (from: string, to: string) =>
      pair.run(`sed -i 's/cipher-pass=${from}$/cipher-pass=${to}/' /etc/hastack/pgbackrest.conf`);
    const own = "a key=of #2";
    const stored = () =>
      pair.run(
        `cd ${second}; find . -type f ! -path './ticks/*' ! -name '*.lock' -exec sha256sum {} + | sort | sha256sum`,
      );
    /** Replaces the key, also for what was on its way with the one before. @returns what is stored then */
    async function replaceKey(): Promise<string> {
      await until("no backup is to be made, nor under way", {
        probe: async () => ({
          why: (await backups()).why,
          running: JSON.parse(await pair.run(`cat ${directory}/state/running.json`)).what,
        }),
        done: ({ why, running }) => why === null && running === null,
        limitSeconds: 240,
      });
      await another(own, "another");
      await fill(1);
      await receiving(
        "it is told",
        ({ repositories }) =>
          repositories?.second?.why === "second: what is in it is encrypted with another key",
      );
      return stored();
    }
    /** What it waits for, once the processes have begun anew. */
    const waits = () =>
      until("it is told why nothing is recorded", {
        probe: async () => (await receive()).why ?? "",
        done: (why) => why.includes("another key"),
        limitSeconds: 90,
      });

    before(() =>
      until("each repository has a backup by its own key", {
        probe: backups,
        done: ({ backups: found = [] }) => Object.keys(found[0]?.labels ?? {}).length === 2,
        limitSeconds: 240,
      }),
    );
    afterEach(() => another("another", own));

    it("nothing is written to a repository, and it is told", async () => {
      const before = await replaceKey();
      await fill(1);
      const { result } = await pair.request("other-key", { do: "backup", type: "full" });
      assert.deepEqual(result.failed, {
        second: "second: what is in it is encrypted with another key",
      });
      const checked = await pair.request("other-key-check", { do: "check" });
      assert.match(String(checked.result.problems), /second: .*another key/);
      assert.equal(await stored(), before);
      await another("another", own);
      await allPushed();
      assert.deepEqual(Object.keys((await survey()).repositories).sort(), ["local", "second"]);
    });

    it("a machine that is new begins no history in it, and says where the key is", async () => {
      const before = await replaceKey();
      const { lineage: last = 0 } = await receive();
      await pair.run(`mv ${directory}/state/lineage.json /tmp`);
      await pair.kill("keeper", "TERM");
      await pair.kill("receive", "TERM");
      await waits();
      const { connected, why } = await receive();
      assert.equal(connected, false);
      assert.match(
        String(why),
        /^second: what is in it is encrypted with another key: set hastack:backupRepositoryKey to that of the recovery kit/,
      );
      assert.equal(await stored(), before);
      await another("another", own);
      await receiving(
        "it is recorded as the next history",
        ({ connected: is, lineage }) => is === true && lineage === last + 1,
        120,
      );
    });
  });
});
