import assert from "node:assert/strict";
import { dirname } from "node:path";
import { dataDirectory } from "../../../../infra/render/patroni.ts";
import { until } from "../../../../lib/until.ts";
import { PatroniPair, passwordOf } from "../../../support/unit/patroni-pair.ts";

type Name = "db-1" | "db-2";
const parent = dirname(dataDirectory);
/** Small, so that the log that a standby needs is soon gone. */
const parameters = { wal_keep_size: "16MB", max_wal_size: "48MB", min_wal_size: "32MB" };
const row = (text: string) =>
  `SET synchronous_commit = local; INSERT INTO written VALUES ('${text}');`;
const rows = "SELECT string_agg(text, ',') FROM written WHERE text <> 'more'";
/** Has a primary go on so far that it keeps nothing of its log until now. */
const goOn = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active;
${`${row("more")} SELECT pg_switch_wal(); CHECKPOINT;\n`.repeat(8)}`;

describe("a database pair keeps and heals its data", function () {
  this.timeout(240_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start({ parameters, dataMegabytes: 1200 });
    await pair.startQuorum("https");
    await pair.placeAll();
    await becomes("db-1");
    await pair.sql("db-1", "CREATE TABLE written (text text)");
    for (const member of ["db-1", "db-2"] as const) atFirst.set(member, await beside(member));
  });
  after(() => pair?.remove());

  const log = (member: Name) => pair.on(member).run("cat /tmp/log");
  const says = (member: Name, text: string) =>
    until(`${member} says why`, {
      probe: () => log(member),
      done: (said) => said.includes(text),
      limitSeconds: 90,
    });
  /** Names of the data directory and of what is kept beside it. */
  const beside = async (member: Name) => (await pair.on(member).run(`ls ${parent}`)).split("\n");
  /** The same once the pair was made: Patroni may have needed a second try, and keeps the first one. */
  const atFirst = new Map<Name, readonly string[]>();
  const patroni = (member: Name, ...words: string[]) =>
    pair.on(member).run(`s6-svc ${words.join(" ")} /etc/hastack/services/patroni`);
  /** Waits until it is the primary, and the other one the standby that may take its place. */
  async function becomes(member: Name): Promise<void> {
    await until(`${member} is the primary of a pair`, {
      probe: () => pair.whole(),
      done: (primary) => primary === member,
      limitSeconds: 120,
    });
    for (const one of ["db-1", "db-2"]) await pair.healthy(one);
  }

  /** Has the other member become the primary while this one goes on as one; it comes back then. */
  async function diverge(member: Name, other: Name, text: string): Promise<void> {
    await patroni(member, "-Ok");
    await until(`${other} is a primary`, {
      probe: () => pair.sql(other, "SELECT pg_is_in_recovery()"),
      done: (standby) => standby === "f",
      limitSeconds: 60,
    });
    await pair.sql(other, row(`by ${other}`));
    await pair.sql(member, text);
    await pair.on(member).run("pkill -QUIT -x postgres");
    await patroni(member, "-u");
    await becomes(other);
  }

  describe("a standby", () => {
    /** Waits until a read by the load balancer reaches this member. */
    const readsFrom = (name: Name) =>
      until(`${name} gets the reads`, {
        probe: () =>
          pair
            .on("client")
            .run(
              `PGPASSWORD=${passwordOf("app_storefront")} psql -XAt "host=${pair.address("lb-1")} port=5001 user=app_storefront dbname=hastack" -c 'SHOW hastack.member'`,
            ),
        done: (member) => member === name,
        limitSeconds: 20,
      });

    it("L5: that does not replay gets no reads while the primary writes, until it has caught up", async () => {
      // Patroni would end a pause of PostgreSQL's own
      const replay = (signal: string) =>
        pair.on("db-2").run(`pkill -${signal} -f 'startup recoverin[g]'`);
      await readsFrom("db-2");
      await replay("STOP");
      await pair.sql(
        "db-1",
        "CREATE TABLE large AS SELECT repeat(md5(n::text), 10) FROM generate_series(1, 10000) n",
      );
      await readsFrom("db-1");
      await replay("CONT");
      await readsFrom("db-2");
    });
  });

  describe("a primary that went on alone", () => {
    const older = `${dataDirectory}.set-aside-2026-01-01T00-00-00Z`;
    let aside = "";

    before(async function () {
      this.timeout(240_000);
      await pair.on("db-1").run(`install -d -o postgres ${older}`);
      await diverge("db-1", "db-2", row("only here") + goOn);
      [aside = ""] = (await beside("db-1")).filter((one) => one.includes(".set-aside-"));
    });

    it("D2: is copied anew where pg_rewind cannot bring it back", async () => {
      const said = await log("db-1");
      assert.match(said, /pg_rewind: error: could not (open|find) /);
      assert.match(said, /^standby-care: copying the primary at \S+:5432$/m);
      assert.equal(await pair.sql("db-1", rows), "by db-2");
    });

    it("D2: has its data set aside, and says where", async () => {
      assert.match(aside, /^hastack\.set-aside-20\d\d-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
      assert.ok((await log("db-1")).includes(`it is set aside at ${parent}/${aside}.`));
    });

    it("D2: keeps no more than one, the newest", async () => {
      assert.deepEqual(await beside("db-1"), [...(atFirst.get("db-1") ?? []), aside]);
      assert.ok((await log("db-1")).includes(`${older}, which was set aside earlier,`));
    });

    it("D2: can be looked into as docs/operate.md says", async () => {
      const options =
        "-c listen_addresses= -c unix_socket_directories=/tmp -c port=5499 -c archive_mode=off -c primary_conninfo= -c recovery_target_timeline=current -c default_transaction_read_only=on";
      await pair
        .on("db-1")
        .run(
          `cd /tmp && { setsid runuser -u postgres -- /usr/lib/postgresql/17/bin/postgres -D ${parent}/${aside} ${options} > /tmp/aside.log 2>&1 & }`,
        );
      await until("what it held is there", {
        probe: () =>
          pair
            .on("db-1")
            .run(
              `runuser -u postgres -- psql -h /tmp -p 5499 -XAtc "${rows}" || { cat /tmp/aside.log >&2; exit 1; }`,
            ),
        done: (text) => text === "only here",
        limitSeconds: 60,
      });
      await pair.on("db-1").run(`pkill -INT -f -- '[-]D ${parent}/${aside}'`);
    });
  });

  describe("a standby whose log is gone", () => {
    before(async () => {
      await patroni("db-1", "-wD", "-d");
      await pair.sql("db-2", goOn);
      await pair.on("db-1").run("fallocate -l 600M /var/lib/postgresql/filler");
      await patroni("db-1", "-u");
    });

    it("D2: is left alone, and says so, while there is no room for a copy", async () => {
      assert.match(
        await says("db-1", "There is no room for a copy: "),
        /^standby-care: the standby stands still: the primary has no more of the log that it needs\. There is no room for a copy: \d+ MB are wanted, \d+ MB are free$/m,
      );
      assert.equal(await pair.sql("db-1", "SELECT pg_is_in_recovery()"), "t");
    });

    it("D2: keeps its data where that cannot be moved out of the copy's way", async () => {
      await pair.on("db-1").run(`chown root ${parent}; rm /var/lib/postgresql/filler`);
      await says("db-1", `${dataDirectory} cannot be moved`);
      await pair.on("db-1").run(`test -e ${dataDirectory}/global/pg_control`);
      await pair.on("db-1").run(`chown postgres ${parent}`);
    });

    it("D2: is copied anew by itself, and what was set aside stays", async () => {
      const before = await beside("db-1");
      await becomes("db-2");
      assert.match(
        await log("db-1"),
        /^standby-care: the standby is copied anew: the primary has no more of the log that it needs \(.*requested WAL segment \w+ has already been removed\)$/m,
      );
      assert.deepEqual(await beside("db-1"), before);
      const count = "SELECT count(*) FROM written";
      assert.equal(await pair.sql("db-1", count), await pair.sql("db-2", count));
    });
  });

  describe("a primary that went on alone for a moment", () => {
    before(async function () {
      this.timeout(240_000);
      await diverge("db-2", "db-1", row("lost"));
    });

    it("D2: comes back by pg_rewind where that can do it, and nothing is set aside", async () => {
      assert.match(await log("db-2"), /pg_rewind exit code=0/);
      assert.deepEqual(await beside("db-2"), atFirst.get("db-2"));
    });

    it("D2: was never touched while it was the primary", async () => {
      const said = (await log("db-2"))
        .split("\n")
        .filter((line) => line.startsWith("standby-care"));
      assert.deepEqual(said, [`standby-care: copying the primary at ${pair.address("db-1")}:5432`]);
    });
  });
});
