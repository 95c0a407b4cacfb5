import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { pino } from "pino";
import { Cache } from "../src/data/cache.ts";
import { Database } from "../src/data/database.ts";
import { migrate } from "../src/run/migrate.ts";
import { migrateConfig, secretsFolder, serverConfig } from "./support/app.ts";
import { startCache } from "./support/cache.ts";
import { type Made, makeCertificate } from "./support/certificates.ts";
import { docker } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";

describe("connections by TLS, as the URLs say", function () {
  this.timeout(60_000);
  let folder: string;
  let server: Made;
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
      const files = { "tls.crt": server.certificate, "tls.key": server.key };
      const data = "/var/lib/postgresql/test";
      for (const [file, text] of Object.entries(files)) {
        const put = `umask 077; printf %s "$1" > ${data}/${file}; chown postgres ${data}/${file}`;
        await docker("exec", "--user", "root", postgres.container, "sh", "-c", put, "put", text);
      }
      await postgres.sql("ALTER SYSTEM SET ssl_cert_file = 'tls.crt'");
      await postgres.sql("ALTER SYSTEM SET ssl_key_file = 'tls.key'");
      await postgres.sql("ALTER SYSTEM SET ssl = on");
      await postgres.sql("SELECT pg_reload_conf()");
    });
    after(async () => {
      await postgres.sql("ALTER SYSTEM RESET ssl");
      await postgres.sql("SELECT pg_reload_conf()");
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

    it("A12: the migrations follow them too", async () => {
      const { databaseUrl, ...config } = migrateConfig(name, postgres);
      const by = (file: string) =>
        migrate(
          { ...config, databaseUrl: `${databaseUrl}?sslmode=verify-full&sslrootcert=${file}` },
          () => {},
          200,
        );
      await assert.rejects(by(unknown), /no primary at DATABASE_URL within 0\.2 s: .*certificate/);
      await by(known);
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
