import assert from "node:assert/strict";
import { until } from "../../../../lib/until.ts";
import { PatroniPair } from "../../../support/unit/patroni-pair.ts";
import { type Description, workloadOf } from "../../../support/unit/stack.ts";

/** Who fetches backups, at the real pair behind its load balancer: the role, its ways, and its slot. */
describe("the database that backups are fetched of", function () {
  this.timeout(180_000);
  const members = ["db-1", "db-2"];
  let pair: PatroniPair;
  let without: Description;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start({ isKept: true });
    without = await PatroniPair.stackWith({});
    await pair.startQuorum("https");
    for (const member of members) {
      await pair.place(member, () => workloadOf(without, member));
      await pair.healthy(member);
      await pair.mustTask(`${member}-principals`, without);
    }
    await pair.mustTask("database-settings", without);
    await pair.place("lb-1");
    const client = pair.on("client");
    await client.run("install -d -m 0700 /tls");
    await client.run("cat > /tls/ca.crt", await pair.issuer.trusted("database"));
    const shown = {
      keeper: await pair.issuer.leaf("backup-1", "keeper"),
      replicator: await pair.issuer.leaf("db-1", "replicator"),
    };
    for (const [name, pem] of Object.entries(shown)) {
      await client.run(`(umask 077; cat > /tls/${name}.pem)`, pem);
    }
  });
  after(() => pair?.remove());

  /** @param certificate that is shown @param more parts of the connection's description */
  const connection = (certificate: string | undefined, host: string, port: number, more = "") =>
    [
      `host=${host} port=${port} user=keeper dbname=hastack connect_timeout=5`,
      "sslmode=verify-full sslrootcert=/tls/ca.crt",
      certificate === undefined
        ? "sslcert=/none sslkey=/none"
        : `sslcert=/tls/${certificate}.pem sslkey=/tls/${certificate}.pem`,
      more,
    ].join(" ");
  const balanced = (certificate: string | undefined, more = "") =>
    connection(certificate, pair.address("lb-1"), 5000, more);
  const ask = (target: string, query: string) =>
    pair.on("client").attempt(`PGPASSWORD=x psql -XAtw '${target}' -c "${query}"`);
  const slots = (member: string) =>
    pair.sql(
      member,
      "SELECT string_agg(slot_name, ',') FROM pg_replication_slots WHERE slot_name = 'keeper'",
    );
  const starts = () =>
    Promise.all(members.map((one) => pair.sql(one, "SELECT pg_postmaster_start_time()")));
  const untilSlots = (wanted: string) =>
    until(`the slot keeper is [${wanted}] on both members`, {
      probe: async () => [...new Set(await Promise.all(members.map(slots)))].join(" and "),
      done: (found) => found === wanted,
      limitSeconds: 30,
    });

  it("O3: has neither role nor slot before", async () => {
    assert.equal(
      await pair.sql("db-1", "SELECT count(*) FROM pg_roles WHERE rolname = 'keeper'"),
      "0",
    );
    assert.equal(await slots("db-1"), "");
    assert.notEqual((await ask(balanced("keeper"), "SELECT 1")).code, 0);
  });

  it("O3, W8: gets slot, role and archive_timeout without a restart", async () => {
    const before = await starts();
    for (const member of members) {
      await pair.place(member);
      await pair.healthy(member);
      await pair.mustTask(`${member}-principals`);
    }
    const said = await pair.mustTask("database-settings");
    assert.doesNotMatch(said, /restarting/);
    await untilSlots("keeper");
    for (const member of members) {
      assert.equal(await pair.sql(member, "SHOW archive_timeout"), "1min");
      assert.equal(
        await pair.sql(member, "SELECT count(*) FROM pg_settings WHERE pending_restart"),
        "0",
      );
    }
    assert.deepEqual(await starts(), before);
  });

  it("O3: lets the certificate in through the load balancer, to read all and the control file", async () => {
    const read = await ask(
      balanced("keeper", "dbname=postgres"),
      "SELECT length(pg_read_binary_file('global/pg_control')), count(rolpassword) > 0 FROM pg_authid",
    );
    assert.equal(read.stdout.trim(), "8192|t", read.stderr);
    const tick = await ask(
      balanced("keeper"),
      "SELECT pg_logical_emit_message(true, 'hastack', 'tick') IS NULL",
    );
    assert.equal(tick.stdout.trim(), "f", tick.stderr);
  });

  it("O3, A5: lets it change nothing, nor read other files of the server", async () => {
    for (const query of [
      "CREATE TABLE t ()",
      "CREATE ROLE somebody",
      "SELECT pg_switch_wal()",
      "SELECT pg_read_file('PG_VERSION')",
      "COPY (SELECT 1) TO '/tmp/t'",
    ]) {
      const { code, stderr } = await ask(balanced("keeper"), query);
      assert.notEqual(code, 0, query);
      assert.match(stderr, /permission denied|must be/, query);
    }
  });

  it("D6, N5: lets nobody in as keeper without that certificate, nor past the load balancer", async () => {
    for (const [target, part] of [
      [balanced(undefined), /certificate/],
      [balanced("replicator"), /certificate authentication failed/],
      [connection("keeper", pair.address("db-1"), 5432), /pg_hba.conf rejects/],
    ] as const) {
      const { code, stderr } = await ask(target, "SELECT 1");
      assert.notEqual(code, 0);
      assert.match(stderr, part);
    }
  });

  it("O3: gives the log out through the load balancer, and keeps for the slot what is not fetched", async () => {
    const receive = pair
      .on("client")
      .attempt(
        `install -d /wal && timeout -s INT 8 /usr/lib/postgresql/17/bin/pg_receivewal -D /wal --slot=keeper --no-password -d '${balanced("keeper")}'`,
      );
    await until("the slot is in use", {
      probe: () =>
        pair.sql("db-1", "SELECT active FROM pg_replication_slots WHERE slot_name = 'keeper'"),
      done: (active) => active === "t",
      limitSeconds: 8,
    });
    await pair.sql("db-1", "SELECT pg_switch_wal(); CHECKPOINT");
    const { stderr } = await receive;
    assert.match(await pair.on("client").run("ls /wal"), /^[0-9A-F]{24}$/m, stderr);
    await until("the standby's slot follows", {
      probe: () =>
        pair.sql(
          "db-2",
          "SELECT restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'keeper'",
        ),
      done: (known) => known === "t",
      limitSeconds: 30,
    });
  });

  it("O3, W8: loses role, session and slot on both members once nobody fetches backups", async () => {
    const before = await starts();
    const session = pair
      .on("client")
      .attempt(
        `timeout 60 /usr/lib/postgresql/17/bin/pg_receivewal -n -D /wal --slot=keeper --no-password -d '${balanced("keeper")}'`,
      );
    for (const member of members) {
      await pair.place(member, () => workloadOf(without, member));
      await pair.healthy(member);
      await pair.mustTask(`${member}-principals`, without);
    }
    assert.notEqual((await session).code, 124, "it was not cut off");
    assert.doesNotMatch(await pair.mustTask("database-settings", without), /restarting/);
    await untilSlots("");
    assert.deepEqual(await starts(), before);
    const { stderr } = await ask(balanced("keeper"), "SELECT 1");
    assert.match(
      stderr,
      /not permitted to log in|no pg_hba.conf entry|pg_hba.conf rejects|authentication failed/,
    );
  });
});
