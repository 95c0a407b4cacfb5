import assert from "node:assert/strict";
import { until } from "../../../../../lib/until.ts";
import { RecordedPair, second, state } from "../../../../support/unit/recorded-pair.ts";

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
  readonly why: string | null;
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
    if (this.currentTest?.state !== "failed") return;
    console.log(await pair.log("keeper"), await pair.log("receive"));
    console.log(await pair.state("receive"), JSON.stringify(await pair.state("backups")));
  });

  const receive = () => pair.state<Receive>("receive");
  const backups = () => pair.state<Backups>("backups");
  const write = (text: string) => pair.sql(`INSERT INTO written VALUES ('${text}')`);
  const written = () => pair.restoredSql("SELECT string_agg(text, ',' ORDER BY text) FROM written");
  const now = () => pair.sql("SELECT clock_timestamp()");
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
      probe: () => pair.run(`ls ${state}/spool/hastack-1`),
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
    for (const path of [`${state}/repository`, second]) {
      const files = await pair.run(`find ${path} -type f | xargs head -c 8 -q | grep -ac Salted__`);
      assert.ok(Number(files) > 0, "files that are encrypted");
      await pair.run(`! find ${path} -type f | xargs grep -l 'a text to be found'`);
    }
    assert.equal(await pair.run(`ls ${state}/copy`), "");
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
    const moment = (await now()).replace(" ", "T");
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
});
