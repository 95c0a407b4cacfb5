import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { pino } from "pino";
import { Cache } from "../src/data/cache.ts";
import { Database } from "../src/data/database.ts";
import type { HealthReport } from "../src/http/health.ts";
import { migrate } from "../src/run/migrate.ts";
import { migrateConfig, secretsFolder, serverConfig, spawnServer } from "./support/app.ts";
import { startCache } from "./support/cache.ts";
import { type Made, makeCertificate } from "./support/certificates.ts";
import { docker } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres, passwords } from "./support/postgres.ts";
import { until } from "./support/until.ts";

describe("connections by TLS, as the URLs say", function () {
  this.timeout(60_000);
  let folder: string;
  let server: Made;
  /** Of the unknown authority, and of the known one for another address. */
  let renewed: Made;
  let misnamed: Made;
  /** Files of the authority that vouches for the server, and of one that does not. */
  let known: string;
  let unknown: string;

  before(async () => {
    folder = await secretsFolder();
    const [authority, other] = await Promise.all([
      makeCertificate({ authority: true }),
      makeCertificate({ authority: true }),
    ]);
    server = await makeCertificate({ names: ["IP:127.0.0.1"], issuer: authority });
    renewed = await makeCertificate({ names: ["IP:127.0.0.1"], issuer: other });
    misnamed = await makeCertificate({ names: ["IP:127.0.0.2", "DNS:primary"], issuer: authority });
    known = join(folder, "known.pem");
    unknown = join(folder, "unknown.pem");
    await writeFile(known, authority.certificate);
    await writeFile(unknown, other.certificate);
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  describe("to the database", () => {
    let postgres: Postgres;
    let name: string;

    before(async () => {
      postgres = await sharedPostgres();
      name = await createDatabase(postgres);
      await postgres.sql("ALTER SYSTEM SET ssl_cert_file = 'tls.pem'");
      await postgres.sql("ALTER SYSTEM SET ssl_key_file = 'tls.pem'");
      await postgres.sql("ALTER SYSTEM SET ssl = on");
      await serve(server);
    });
    beforeEach(() => serve(server));
    after(async () => {
      await postgres.sql("ALTER SYSTEM RESET ssl");
      await postgres.sql("SELECT pg_reload_conf()");
    });

    const put = (file: string, text: string) =>
      docker(
        ...["exec", "--user", "root", postgres.container, "sh", "-c"],
        `umask 077; printf %s "$1" > ${file}; chown postgres ${file}`,
        ...["put", text],
      );
    /** Has the server show another certificate. */
    const serve = async ({ certificate, key }: Made) => {
      const before = await shown();
      await put("/var/lib/postgresql/test/tls.pem", certificate + key);
      await postgres.sql("SELECT pg_reload_conf()");
      if (before?.equals(new X509Certificate(certificate).raw)) return;
      await until("the server shows it", shown, (now) => now !== undefined && !before?.equals(now));
    };
    /** The certificate that the server shows; nothing while it speaks no TLS. */
    const shown = () =>
      new Promise<Buffer | undefined>((resolve) => {
        const plain = connect(postgres.port, postgres.host, () => {
          plain.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
          plain.once("data", (answer) => {
            if (String(answer) !== "S") return resolve(undefined);
            const secured = tls.connect({ socket: plain, rejectUnauthorized: false }, () => {
              resolve(secured.getPeerCertificate().raw);
              secured.destroy();
            });
          });
        });
      });

    const isSecured = async (parameters: string): Promise<unknown> => {
      const config = serverConfig("storefront", { name, writer: postgres }, "/nowhere");
      const { writer, reader, poolSize } = config.database;
      const ways = { writer: writer + parameters, reader: reader + parameters, poolSize };
      const database = new Database({ ...config, database: ways }, () => {}, { readMs: 1500 });
      try {
        return await database.read(async (query) => {
          const text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
          return (await query<{ ssl: boolean }>(text))[0]?.ssl;
        });
      } finally {
        await database.close();
      }
    };

    it("A11: sslmode and sslrootcert are followed", async () => {
      assert.equal(await isSecured(""), false);
      assert.equal(await isSecured(`?sslmode=verify-full&sslrootcert=${known}`), true);
    });

    it("A11: a server that another authority vouches for is refused", async () => {
      await assert.rejects(isSecured(`?sslmode=verify-full&sslrootcert=${unknown}`), {
        code: "unavailable",
      });
    });

    /** Parameters of the URLs, and what a machine gives besides, which must not be in their way. */
    const by = (file: string) => `?sslmode=verify-full&sslrootcert=${file}`;
    const alsoGiven = (file: string) => ({ PGSSLMODE: "verify-full", PGSSLROOTCERT: file });

    /** A whole instance with these parameters. */
    const startWith = async (file: string) => {
      const config = serverConfig("admin", { name, writer: postgres }, folder);
      const { writer, reader, poolSize } = config.database;
      const database = { writer: writer + by(file), reader: reader + by(file), poolSize };
      const server = await spawnServer({ ...config, database }, { environment: alsoGiven(file) });
      const health = async () =>
        (await (await fetch(`${server.url}/api/health`)).json()) as HealthReport;
      const stop = async () => {
        server.child.kill("SIGTERM");
        await server.exit;
      };
      return { output: server.output, health, stop };
    };

    it("A11, A12: a whole instance goes by TLS alone: its pages, its health, its sweeper", async () => {
      const { databaseUrl, ...config } = migrateConfig(name, postgres);
      await migrate({ ...config, databaseUrl: databaseUrl + by(known) }, () => {});
      const { health, output, stop } = await startWith(known);
      try {
        assert.equal((await health()).status, "ok");
        const rows = await postgres.sql(
          `SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
           WHERE usename = 'app_admin' AND datname = '${name}'`,
        );
        assert.deepEqual(rows, [{ ssl: true }]);
        assert.doesNotMatch(output(), /no connection/);
      } finally {
        await stop();
      }
    });

    for (const [what, certificate, reason] of [
      [
        "for another address",
        () => misnamed,
        /Hostname\/IP does not match certificate's altnames: IP: 127\.0\.0\.1 is not in/,
      ],
      ["of another authority", () => renewed, /unable to verify the first certificate/],
    ] as const) {
      it(`A11, A15: a certificate ${what} is refused, and the log and the health say why, not without end`, async () => {
        await serve(certificate());
        const { health, output, stop } = await startWith(known);
        try {
          const { status, database } = await health();
          assert.equal(status, "degraded");
          assert.match(
            JSON.stringify(database),
            /ERR_TLS_CERT_ALTNAME_INVALID|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
          );
          await sleep(3000);
          const lines = output()
            .split("\n")
            .filter((line) => line.includes("no connection to the database"));
          assert.match(lines[0] ?? "", reason);
          // One for each of the two ways, however often they are tried
          assert.equal(lines.length, 2, lines.join("\n"));
          assert.ok(!output().includes(passwords.admin));
        } finally {
          await stop();
        }
      });
    }

    it("A11: another authority in the file counts without a restart, and two at once do", async () => {
      const file = join(folder, "changing.pem");
      const [first, second] = await Promise.all(
        [known, unknown].map((one) => readFile(one, "utf8")),
      );
      await writeFile(file, first ?? "");
      const { health, stop } = await startWith(file);
      const isWell = async () => (await health()).status === "ok";
      try {
        assert.ok(await isWell());
        await writeFile(file, `${first}${second}`);
        await serve(renewed);
        await dropConnections();
        await until("it is well with both", isWell, Boolean);
        await writeFile(file, second ?? "");
        await dropConnections();
        await until("it is well with the new one", isWell, Boolean);
        await serve(server);
        await dropConnections();
        await until("the old one is refused", async () => !(await isWell()), Boolean);
      } finally {
        await stop();
      }
    });

    /** Ends the application's connections, as their age does within a minute. */
    const dropConnections = () =>
      postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app_admin'",
      );

    it("O6: psql follows PGSSLMODE and PGSSLROOTCERT, as jobs use it: by address", async () => {
      const authority = "/tmp/ca.crt";
      await put(authority, await readFile(known, "utf8"));
      const ask = (host: string) =>
        docker(
          ...["exec", "--user", "postgres"],
          ...Object.entries({ ...alsoGiven(authority), PGHOST: host, PGUSER: "postgres" }).flatMap(
            ([variable, value]) => ["--env", `${variable}=${value}`],
          ),
          ...[postgres.container, "psql", "-XAtc"],
          "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        );
      assert.equal(await ask("127.0.0.1"), "t");
      await assert.rejects(ask("127.0.0.2"), /does not match host name "127\.0\.0\.2"/);
      await put(authority, await readFile(unknown, "utf8"));
      await assert.rejects(ask("127.0.0.1"), /certificate verify failed/);
    });

    it("A12: the migrations follow them too", async () => {
      const { databaseUrl, ...config } = migrateConfig(name, postgres);
      const run = (file: string) =>
        migrate({ ...config, databaseUrl: databaseUrl + by(file) }, () => {}, 200);
      await assert.rejects(run(unknown), /no primary at DATABASE_URL within 0\.2 s: .*certificate/);
      await serve(misnamed);
      await assert.rejects(run(known), /within 0\.2 s: .*does not match certificate's altnames/);
      await serve(server);
      await run(known);
    });
  });

  it("A9: to the cache: rediss:// with ssl_ca_certs, and no server that another vouches for", async () => {
    const cache = await startCache();
    const front = tls.createServer({ cert: server.certificate, key: server.key }, (client) => {
      const way = connect(cache.at);
      client.pipe(way).pipe(client);
      for (const socket of [client, way]) socket.on("error", () => client.destroy());
    });
    front.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    const plain = cache.config((front.address() as AddressInfo).port).url;
    const stateWith = async (file: string) => {
      const url = `${plain.replace("redis:", "rediss:")}?ssl_ca_certs=${file}`;
      const client = new Cache({ url }, pino({ level: "silent" }));
      await client.start();
      const { state } = client;
      await client.stop();
      return state;
    };
    try {
      assert.equal(await stateWith(known), "ok");
      assert.equal(await stateWith(unknown), "down");
    } finally {
      front.close();
      await cache.remove();
    }
  });
});
