import assert from "node:assert/strict";
import { issueAuthority, issueLeaf } from "../../../../infra/certificates/issue.ts";
import { planCertificates } from "../../../../infra/certificates/plan.ts";
import { patroniHealth } from "../../../../infra/render/patroni.ts";
import { until } from "../../../../lib/until.ts";
import { PatroniPair, passwordOf } from "../../../support/unit/patroni-pair.ts";

const hour = 3_600_000;

/** The pair, its load balancer and its REST API with certificates, in the real programs. */
describe("the database with certificates", function () {
  this.timeout(180_000);
  let pair: PatroniPair;

  before(async function () {
    this.timeout(900_000);
    pair = await PatroniPair.start();
    await pair.startQuorum("https");
    await pair.placeAll();
    const { certificate } = await pair.issuer.authority("database");
    for (const place of ["client", "lb-1"]) {
      await pair.on(place).run("install -d -m 0700 /stolen && cat > /stolen/ca.crt", certificate);
    }
  });
  after(() => pair?.remove());

  /** A certificate of an authority that nobody trusts, for all that the real one is for. */
  async function forged(member: string, leaf: "patroni-api" | "replicator"): Promise<string> {
    const plan = planCertificates(pair.stack.topology, true)
      .find((one) => one.member.name === member)
      ?.leaves.find((one) => one.leaf === leaf);
    if (!plan) throw new Error(`${member} has no ${leaf}`);
    const authority = await issueAuthority("somebody else");
    const { certificate, key } = await issueLeaf(plan, authority, new Date(Date.now() + hour));
    return certificate + key;
  }

  describe("Patroni's REST API", () => {
    const password = `-u patroni:${passwordOf("patroni_api")}`;
    const body = "-H 'Content-Type: application/json' --data '{}'";
    const url = (path: string) => `https://${pair.address("db-1")}:8008${path}`;
    const curl = "curl -s -o /dev/null -w '%{http_code}' --max-time 5 --cacert /stolen/api-ca.crt";

    before(async () => {
      const client = pair.on("client");
      const { certificate } = await pair.issuer.authority("patroni-api");
      await client.run("cat > /stolen/api-ca.crt", certificate);
      const stolen = {
        "patroni-api": await pair.issuer.leaf("db-2", "patroni-api"),
        replicator: await pair.issuer.leaf("db-2", "replicator"),
        "load-balancer": await pair.issuer.leaf("lb-1", "load-balancer"),
        forged: await forged("db-2", "patroni-api"),
      };
      for (const [name, pem] of Object.entries(stolen)) {
        await client.run(`cat > /stolen/${name}.pem`, pem);
      }
    });

    it("N5, D7: answers readers without a certificate, and is verified by them", async () => {
      const client = pair.on("client");
      assert.equal(await client.run(`${curl} ${url("/primary")}`), "200");
      const wrong = curl.replace("api-ca.crt", "ca.crt");
      const { code } = await client.attempt(`${wrong} ${url("/primary")}`);
      assert.equal(code, 60, "curl: the certificate is not trusted");
    });

    /** What an attacker has, and what comes of it: a status, or none where TLS ends the connection. */
    const attacks: readonly [string, string, string][] = [
      ["the password without a certificate", password, "403"],
      ["a certificate without the password", "--cert /stolen/patroni-api.pem", "401"],
      ["a certificate and a wrong password", "--cert /stolen/patroni-api.pem -u patroni:x", "401"],
      ["replication's certificate", `--cert /stolen/replicator.pem ${password}`, "000"],
      ["a load balancer's certificate", `--cert /stolen/load-balancer.pem ${password}`, "000"],
      ["a certificate of another authority", `--cert /stolen/forged.pem ${password}`, "000"],
    ];
    for (const [who, how, status] of attacks) {
      it(`N5, D7: changes nothing for ${who}`, async () => {
        for (const request of [`-X PATCH ${body} ${url("/config")}`, `-X POST ${url("/reload")}`]) {
          const { stdout } = await pair.on("client").attempt(`${curl} ${how} ${request}`);
          assert.equal(stdout, status, request);
        }
      });
    }

    it("D7: changes what the task with both asks for", async () => {
      assert.match(await pair.mustTask("database-settings"), /the settings are in force/);
    });

    it("N5: speaks no plain HTTP", async () => {
      const plain = `curl -s -o /dev/null --max-time 5 ${url("/primary").replace("https", "http")}`;
      assert.notEqual((await pair.on("client").attempt(plain)).code, 0);
    });

    it("O2: is asked by patronictl on a member, in any folder", async () => {
      const list = "cd / && patronictl -c /etc/hastack/patroni.yml list";
      assert.match(await pair.on("db-2").run(list), /db-1 .*Leader .*running/);
      const change = "cd / && patronictl -c /etc/hastack/patroni.yml reload hastack db-1 --force";
      assert.match(await pair.on("db-2").run(change), /Reload request received/);
    });
  });

  describe("PostgreSQL", () => {
    const psql = (host: string, user: string, how: string, database = "hastack") =>
      `PGPASSWORD=${passwordOf(user)} PGCONNECT_TIMEOUT=5 psql -XAtc 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()' 'host=${host} user=${user} dbname=${database} ${how}' 2>&1`;
    const verified = "sslmode=verify-full sslrootcert=/stolen/ca.crt";

    it("N5, A5: is reached by the application through the load balancer, and verified by its address", async () => {
      const through = `port=5000 ${verified}`;
      const client = pair.on("client");
      assert.equal(await client.run(psql(pair.address("lb-1"), "app_storefront", through)), "t");
    });

    it("N5: lets nobody in without TLS", async () => {
      const { stdout } = await pair
        .on("client")
        .attempt(psql(pair.address("lb-1"), "app_storefront", "port=5000 sslmode=disable"));
      assert.match(stdout, /pg_hba.conf rejects connection .* no encryption/);
    });

    it("N5: is not taken for itself under another authority", async () => {
      await pair
        .on("client")
        .run("cat > /stolen/other.crt", (await issueAuthority("x")).certificate);
      const { stdout } = await pair
        .on("client")
        .attempt(
          psql(
            pair.address("lb-1"),
            "app_storefront",
            "port=5000 sslmode=verify-full sslrootcert=/stolen/other.crt",
          ),
        );
      assert.match(stdout, /certificate verify failed/);
    });

    describe("replication", () => {
      const replicate = (pem: string, user = "replicator", password = passwordOf(user)) => {
        const certificate = pem === "" ? "" : `sslcert=${pem} sslkey=${pem}`;
        return `PGPASSWORD=${password} psql -XAtc IDENTIFY_SYSTEM 'host=${pair.address("db-1")} user=${user} replication=true sslmode=verify-full sslrootcert=/etc/hastack/tls/database-ca.crt ${certificate}' 2>&1`;
      };
      const tls = "/etc/hastack/tls";

      it("D6: comes with its own certificate and password", async () => {
        const { stdout } = await pair.on("db-2").attempt(replicate(`${tls}/replicator.pem`));
        assert.match(stdout, /^\d+\|\d+\|/);
      });

      it("N5, D6: is refused without a certificate, with another role's, a server's, or a forged one", async () => {
        const db = pair.on("db-2");
        await db.run(
          "cat > /tmp/forged.pem && chmod 0400 /tmp/forged.pem",
          await forged("db-2", "replicator"),
        );
        const cases: readonly [string, RegExp][] = [
          ["", /valid client certificate/],
          [`${tls}/rewinder.pem`, /authentication failed/],
          [`${tls}/postgres.pem`, /unsupported certificate/],
          ["/tmp/forged.pem", /unknown ca/],
        ];
        for (const [pem, refusal] of cases) {
          const { code, stdout } = await db.attempt(replicate(pem));
          assert.notEqual(code, 0, pem);
          assert.match(stdout, refusal, pem);
        }
      });

      it("N5, D6: is refused with the certificate alone, and from elsewhere with both", async () => {
        const pem = await pair.issuer.leaf("db-2", "replicator");
        const alone = await pair
          .on("db-2")
          .attempt(replicate(`${tls}/replicator.pem`, "replicator", "wrong"));
        assert.match(alone.stdout, /password authentication failed/);
        await pair.on("client").run("cat > /stolen/r.pem && chmod 0400 /stolen/r.pem", pem);
        const elsewhere = replicate("/stolen/r.pem").replace(
          `${tls}/database-ca.crt`,
          "/stolen/ca.crt",
        );
        assert.match((await pair.on("client").attempt(elsewhere)).stdout, /no pg_hba.conf entry/);
      });

      it("D6: is no way in for the superuser, from the other member neither", async () => {
        const { stdout } = await pair
          .on("db-2")
          .attempt(psql(pair.address("db-1"), "postgres", "sslmode=require", "postgres"));
        assert.match(stdout, /pg_hba.conf rejects connection/);
      });
    });
  });

  describe("certificates that change", () => {
    it("N5: are served after a reload by both programs, and not before, for the gate", async () => {
      const pid = await pair.sql("db-2", "SELECT pg_postmaster_start_time();");
      await pair.renew("db-2");
      const still = await pair.place("db-2", (workload) => ({
        ...workload,
        files: workload.files.map(({ reloads: _, ...file }) => file),
      }));
      assert.match(still, /changed tls\/postgres.pem/);
      const { code, stdout } = await pair.health("db-2");
      assert.deepEqual([code, stdout], [1, "tls/patroni-api.pem is not what is served\n"]);
      await pair.on("db-2").run("s6-svc -h /etc/hastack/services/patroni");
      await pair.healthy("db-2");
      assert.equal(await pair.sql("db-2", "SELECT pg_postmaster_start_time();"), pid);
    });

    it("N5: are not asked for by a signal while Patroni starts: that would end it", async () => {
      const db = pair.on("db-2");
      // As Patroni is for its first second: nothing is served yet, and no signal is handled
      await db.run("echo 'import time; time.sleep(60)' > /tmp/patroni");
      await db.run(
        "cd /tmp && { python3 /tmp/patroni patroni.yml > /dev/null 2>&1 & echo $! > pid; }",
      );
      const starting = { name: "db-2", role: "database", machine: "db-2", backend: "127.0.0.1" };
      const { code, stdout } = await db.attempt(
        `cd /etc/hastack && {\n${patroniHealth(starting)}\n}`,
      );
      assert.deepEqual(
        [code, stdout],
        [1, "tls/patroni-api.pem is not what is served: nothing is\n"],
      );
      await db.run("kill $(cat /tmp/pid)");
    });

    it("N5: are served also where a setting of Patroni changes with them", async () => {
      await pair.renew("db-2");
      await pair.place("db-2", (one) => ({
        ...one,
        files: one.files.map((file) =>
          file.path === "patroni.yml"
            ? { ...file, content: file.content.replace("tags:", "tags:\n  clonefrom: true") }
            : file,
        ),
      }));
      await pair.healthy("db-2");
      await pair.place("db-2");
      await pair.healthy("db-2");
    });

    it("N5: are of another authority step by step, by reloads alone", async function () {
      this.timeout(300_000);
      const started = await pair.sql("db-1", "SELECT pg_postmaster_start_time();");
      const patroni = await pair.on("db-1").run("pgrep -o patroni");
      for (const numbers of [[1, 2], [2, 1], [2]]) {
        pair.issuer.useAuthorities(numbers);
        await pair.startQuorum("https");
        // The test's etcd has one member: its restart is an outage
        await pair.seeQuorum();
        for (const member of ["db-1", "db-2"]) {
          await pair.renew(member);
          await pair.place(member);
          await pair.healthy(member);
        }
        await pair.renew("lb-1");
        await pair.place("lb-1");
        assert.equal(await pair.whole(), "db-1");
        const reached = `curl -s -o /dev/null -w '%{http_code}' --cacert /etc/hastack/tls/patroni-api-ca.crt --cert /etc/hastack/tls/patroni-api.pem -u patroni:${passwordOf("patroni_api")} -X POST https://${pair.address("db-1")}:8008/reload`;
        assert.equal(await pair.on("db-2").run(reached), "202");
      }
      assert.equal(await pair.sql("db-1", "SELECT pg_postmaster_start_time();"), started);
      assert.equal(await pair.on("db-1").run("pgrep -o patroni"), patroni);
    });
  });

  describe("failures", () => {
    it("N5, D3: a lost primary is replaced, rewound by certificate, and follows", async function () {
      // Where the standby's answer is late, on a busy machine, Patroni starts the primary again in its place
      this.retries(2);
      const lost = await pair.whole();
      const other = lost === "db-1" ? "db-2" : "db-1";
      const since = await pair.on(lost).run("wc -c < /tmp/log");
      // A row that the standby never gets: the lost primary's end differs from its successor's
      await pair.sql(
        lost,
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int); INSERT INTO kept VALUES (1);",
      );
      await pair.on(lost).run(`pkill -STOP -f '[w]alsender'
        runuser -u postgres -- psql -h /run/postgresql -qc 'SET synchronous_commit = local; INSERT INTO kept VALUES (2)'
        kill -KILL $(head -1 /var/lib/postgresql/17/hastack/postmaster.pid)
        pkill -KILL -f '[w]alsender'`);
      const begun = Date.now();
      await until(`${other} is the primary`, {
        probe: () => pair.sql(other, "SELECT pg_is_in_recovery();"),
        done: (recovers) => recovers === "f",
        limitSeconds: 40,
      });
      console.log(`      promoted after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
      assert.equal(await pair.whole(), other);
      const log = await pair.on(lost).run(`tail -c +${since} /tmp/log`);
      assert.match(log, /running pg_rewind from .*rewinder/);
      assert.match(log, /pg_rewind exit code=0/);
      assert.equal(await pair.sql(lost, "SELECT string_agg(n::text, ',') FROM kept;"), "1");
      const streams =
        "SELECT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_replication USING (pid);";
      assert.equal(await pair.sql(other, streams), "t|/O=hastack/CN=replicator");
      const servers =
        "echo 'show servers state primary' | socat - UNIX-CONNECT:/run/haproxy/admin.sock | awk '$6 == 2 { print $4 }'";
      await until("the load balancer follows", {
        probe: () => pair.on("lb-1").run(servers),
        done: (up) => up === other,
        limitSeconds: 10,
      });
    });

    it("D5: the primary stays while etcd is away, as the members vouch for each other", async () => {
      const primary = await pair.whole();
      await pair.on("etcd-1").run("pkill -STOP etcd");
      try {
        await until("failsafe mode", {
          probe: () => pair.on(primary).run("tail -n 20 /tmp/log"),
          done: (log) => /failsafe mode/.test(log),
          limitSeconds: 40,
        });
        await new Promise((resolve) => setTimeout(resolve, 25_000));
        assert.equal(await pair.primary(), primary);
      } finally {
        await pair.on("etcd-1").run("pkill -CONT etcd");
      }
      assert.equal(await pair.whole(), primary);
    });

    it("N5: a member that shows another one's certificate is none to the load balancer", async () => {
      const primary = await pair.whole();
      const other = primary === "db-1" ? "db-2" : "db-1";
      await pair
        .on(primary)
        .run(
          "cat > /etc/hastack/tls/patroni-api.pem",
          await pair.issuer.leaf(other, "patroni-api"),
        );
      await pair.on(primary).run("s6-svc -h /etc/hastack/services/patroni");
      const state =
        "echo 'show servers state primary' | socat - UNIX-CONNECT:/run/haproxy/admin.sock | awk '$6 == 2' | wc -l";
      await until("no primary is left", {
        probe: () => pair.on("lb-1").run(state),
        done: (up) => up === "0",
        limitSeconds: 20,
      });
    });
  });
});
