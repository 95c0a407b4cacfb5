import assert from "node:assert/strict";
import { parse } from "yaml";
import { renderMemberTls } from "../../../../infra/render/plaintext-bridge.ts";
import { until } from "../../../../lib/until.ts";
import { asBefore } from "../../../support/unit/earlier-release.ts";
import { PatroniPair, passwordOf } from "../../../support/unit/patroni-pair.ts";

/**
 * Writes a row every 20 ms through the load balancer, by one connection as long as it holds or by a
 * new one each time, and notes failures and the longest time without a row.
 */
const writer = `
import json, os, psycopg2, sys, time
name, host, fresh, tls = sys.argv[1], sys.argv[2], sys.argv[3] == "fresh", sys.argv[4] == "tls"
how = {"sslmode": "verify-full", "sslrootcert": "/tmp/ca.crt"} if tls else {"sslmode": "disable"}
report = {"rows": 0, "failures": [], "gap": 0}
connection, last = None, time.time()
while True:
    try:
        if connection is None:
            connection = psycopg2.connect(host=host, port=5000, dbname="hastack", user="app_storefront",
                password="${passwordOf("app_storefront")}", connect_timeout=2, **how)
            connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("INSERT INTO written (who) VALUES (%s)", (name,))
        report["rows"] += 1
        report["gap"], last = max(report["gap"], time.time() - last), time.time()
    except psycopg2.Error as error:
        report["failures"].append(str(error).strip())
    if connection and (fresh or connection.closed):
        connection.close()
        connection = None
    with open("/tmp/" + name + ".new", "w") as file: json.dump(report, file)
    os.rename("/tmp/" + name + ".new", "/tmp/" + name + ".json")
    time.sleep(0.02)
`;

interface Report {
  readonly rows: number;
  readonly failures: readonly string[];
  /** Seconds. */
  readonly gap: number;
}

describe("what a member without TLS lacks", () => {
  it("O6: is what its new file has, in a folder that its task finds", () => {
    const { ctl, etcd3, postgresql } = parse(renderMemberTls());
    assert.deepEqual(ctl, {
      cacert: "FOLDER/tls/patroni-api-ca.crt",
      certfile: "FOLDER/tls/patroni-api.pem",
    });
    assert.deepEqual(Object.keys(etcd3), ["protocol", "cacert", "cert"]);
    assert.equal(postgresql.parameters.ssl, true);
    assert.equal(postgresql.parameters.ssl_key_file, "FOLDER/tls/postgres.pem");
  });
});

/** The steps of `up`, on the database of a release without certificates. */
describe("a database pair without TLS", function () {
  this.timeout(300_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start();
    await pair.startQuorum("http", "https");
    for (const member of ["db-1", "db-2"]) {
      await pair.place(member, asBefore);
      await until(`${member} is there`, {
        probe: () => pair.plainState(member),
        done: (state) => /"role": "primary"|"sync_standby": true/.test(state),
        limitSeconds: 90,
      });
      await pair.mustTask(`${member}-principals`);
    }
    await pair.place("lb-1", asBefore);
    const knock = `python3 -c 'import socket; socket.create_connection(("${pair.address("lb-1")}", 5000), 1)'`;
    await until("HAProxy listens", {
      probe: () => pair.on("client").attempt(knock),
      done: ({ code }) => code === 0,
      limitSeconds: 30,
    });
    await pair.sql(
      await pair.whole(),
      "CREATE TABLE written (who text, at timestamptz DEFAULT now()); GRANT INSERT ON written TO app_storefront;",
      "hastack",
    );
    const { certificate } = await pair.issuer.authority("database");
    await pair.on("client").run("cat > /tmp/ca.crt", certificate);
    await pair.on("client").run("cat > /tmp/writer.py", writer);
  });
  after(() => pair?.remove());

  const write = (name: string, ...how: readonly string[]) =>
    pair
      .on("client")
      .run(
        `python3 /tmp/writer.py ${name} ${pair.address("lb-1")} ${how.join(" ")} > /dev/null 2>&1 & echo $! > /tmp/${name}.pid`,
      );
  const report = async (name: string): Promise<Report> =>
    JSON.parse(await pair.on("client").run(`cat /tmp/${name}.json`));
  const stop = (name: string) => pair.on("client").run(`kill $(cat /tmp/${name}.pid)`);
  const writes = (name: string, rows = 20) =>
    until(`${name} writes`, {
      probe: () => report(name),
      done: (now) => now.rows >= rows,
      limitSeconds: 30,
    });
  const clients = () =>
    pair.sql(
      "db-1",
      "SELECT string_agg(DISTINCT usename || ' ' || ssl, ', ') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL;",
    );

  it("O6, N5: goes over to TLS while clients without it write", async () => {
    await write("kept", "kept", "plain");
    await write("fresh", "fresh", "plain");
    await writes("kept");
    for (const member of ["lb-1", "db-1", "db-2"]) {
      assert.match(await pair.mustTask(`${member}-bridge`), / TLS/);
    }
    assert.equal(await pair.whole(), "db-1");
    for (const member of ["db-1", "db-2"]) {
      await pair.place(member);
      await pair.healthy(member);
      await pair.mustTask(`${member}-principals`);
      assert.equal(await pair.whole(), "db-1", "nobody was promoted");
    }
    await pair.place("lb-1");
    const before = await report("kept");
    await writes("kept", before.rows + 50);
    const [kept, fresh] = [await report("kept"), await report("fresh")];
    console.log(
      `      ${kept.rows} rows by one connection: ${kept.failures.length} failed, longest gap ${kept.gap.toFixed(2)} s; ${fresh.rows} by new ones: ${fresh.failures.length} failed, ${fresh.gap.toFixed(2)} s`,
    );
    assert.deepEqual(kept.failures, []);
    // This load balancer alone is asked, and its HAProxy is started anew once: in a stack the other one has
    // the addresses meanwhile
    assert.ok(fresh.failures.length < 30, fresh.failures.join("\n"));
    for (const { gap } of [kept, fresh]) assert.ok(gap < 3, `${gap} s without a row`);
  });

  it("O6: has nothing left to prepare", async () => {
    for (const member of ["lb-1", "db-1", "db-2"]) {
      const started = await pair.on(member).run("pgrep -o 'patroni|haproxy'");
      await pair.mustTask(`${member}-bridge`);
      assert.equal(await pair.on(member).run("pgrep -o 'patroni|haproxy'"), started);
    }
  });

  it("N5: ends those who still come without TLS, and lets none in any more", async () => {
    await write("tls", "kept", "tls");
    await writes("tls");
    assert.match(await clients(), /app_storefront false/);
    for (const member of ["db-1", "db-2"]) {
      assert.match(await pair.mustTask(`${member}-plaintext-end`), /without TLS were ended/);
    }
    await until("plain clients fail", {
      probe: () => report("kept"),
      done: ({ failures }) => failures.some((why) => /no encryption/.test(why)),
      limitSeconds: 20,
    });
    for (const name of ["kept", "fresh"]) await stop(name);
    assert.equal(await clients(), "app_storefront true, replicator true");
    assert.deepEqual((await report("tls")).failures, []);
  });

  it("N5, D2: stays whole while etcd closes its plain port, which the members left", async () => {
    await pair.startQuorum("https");
    const { rows } = await report("tls");
    await writes("tls", rows + 200);
    assert.equal(await pair.whole(), "db-1");
    const { failures } = await report("tls");
    await stop("tls");
    assert.deepEqual(failures, []);
  });
});
