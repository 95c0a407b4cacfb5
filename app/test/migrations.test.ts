import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { migrate, sqlDirectory } from "../src/run/migrate.ts";
import {
  files,
  migrateConfig,
  migrateDatabase,
  migrateEnvironment,
  secretsFolder,
  spawnEntry,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres, passwords, startStandby } from "./support/postgres.ts";
import { startProxy } from "./support/proxy.ts";

describe("migrations", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let secrets: string;

  before(async () => {
    postgres = await sharedPostgres();
  });
  beforeEach(async () => {
    database = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    secrets = await secretsFolder();
  });
  afterEach(async () => {
    await rm(uploads, { recursive: true });
    await rm(secrets, { recursive: true });
  });

  const as = async (user: "storefront" | "admin", text: string) => {
    const { port } = postgres;
    const client = new pg.Client({
      host: "127.0.0.1",
      port,
      database,
      user: `app_${user}`,
      password: passwords[user],
    });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };

  it("A12: run once, in order; a second run does nothing", async () => {
    const first = await migrateDatabase(database, postgres);
    const second = await migrateDatabase(database, postgres);
    assert.ok(first.includes("applied 0001_content"), first.join("\n"));
    assert.ok(second.includes("schema is up to date"), second.join("\n"));
    const names = await postgres.sql("SELECT name FROM migration ORDER BY id", database);
    assert.deepEqual(
      names.map(({ name }) => name),
      [
        "0001_content",
        "0002_travel",
        "0003_names_as_seen",
        "0004_administrators_apart",
        "0005_upload_budget",
        "0006_trash",
      ],
    );
  });

  it("A12: four runs at once do the work once", async () => {
    const options = { sampleData: true, uploadsDirectory: uploads };
    const runs = await Promise.all(
      Array.from({ length: 4 }, () => migrateDatabase(database, postgres, options)),
    );
    const said = runs.flat();
    assert.equal(said.filter((line) => line === "applied 0001_content").length, 1);
    assert.equal(said.filter((line) => line.endsWith("destinations added")).length, 1);
    assert.equal(said.filter((line) => line.endsWith("offers added")).length, 1);
    assert.equal((await postgres.sql("SELECT 1 FROM offer", database)).length, 14);
  });

  it("A12: a primary that does not answer yet is waited for", async () => {
    const way = await startProxy(postgres);
    try {
      way.mode = "refuse";
      const migrated = migrateDatabase(database, { host: "127.0.0.1", port: way.port });
      await sleep(300);
      way.mode = "pass";
      const said = await migrated;
      assert.match(said[0] ?? "", new RegExp(`^waiting for the primary: 127.0.0.1:${way.port} .`));
      assert.equal(said[1], `primary is 127.0.0.1:${way.port}`);
    } finally {
      await way.close();
    }
  });

  it("A12: a primary that never answers ends it with what was seen last, and the fix", async () => {
    const config = migrateConfig(database, { host: "127.0.0.1", port: 1 });
    await assert.rejects(
      migrate(config, () => {}, 200),
      /no primary at DATABASE_URL within 0\.2 s: 127\.0\.0\.1:1 .*ECONNREFUSED.*correct DATABASE_URL/,
    );
  });

  it("A12: a standby is refused", async () => {
    const standby = await startStandby(postgres, { synchronous: false });
    try {
      const config = migrateConfig(database, standby);
      await assert.rejects(
        migrate(config, () => {}, 200),
        /no primary .*: 127\.0\.0\.1:\d+ is a standby\./,
      );
    } finally {
      await standby.remove();
    }
  });

  it("A12: as a process it says what it did, and ends with 0", async () => {
    const config = {
      ...migrateConfig(database, postgres),
      ...{ uploadsDirectory: uploads, sampleData: true },
    };
    const run = await spawnEntry("run/migrate.ts", await migrateEnvironment(config, secrets));
    assert.equal(await run.exit, 0, run.output());
    assert.match(
      run.output(),
      /applied 0001_content\napplied 0002_travel\napplied 0003_names_as_seen\napplied 0004_administrators_apart\napplied 0005_upload_budget\n[\s\S]*\nsample data: 14 offers added\nsample data: 8 destinations added\n$/,
    );
  });

  it("A12: a failure is told, with another exit code", async () => {
    await postgres.sql(`ALTER DATABASE ${database} OWNER TO postgres`);
    const config = { ...migrateConfig(database, postgres), uploadsDirectory: uploads };
    const run = await spawnEntry("run/migrate.ts", await migrateEnvironment(config, secrets));
    assert.equal(await run.exit, 1);
    assert.match(run.output(), /\nmigrations failed: .*permission denied for schema public\n$/);
  });

  it("A12: roles of the release before keep their rights, since its instances still run", async () => {
    await migrateDatabase(database, postgres);
    await postgres.sql("CREATE ROLE storefront");
    try {
      await postgres.sql("GRANT SELECT ON offer TO storefront", database);
      const before = await postgres.sql(
        "SELECT relacl::text FROM pg_class WHERE relname = 'offer'",
        database,
      );
      await migrateDatabase(database, postgres);
      const after = await postgres.sql(
        "SELECT relacl::text FROM pg_class WHERE relname = 'offer'",
        database,
      );
      assert.match(JSON.stringify(after), /[{,]storefront=r\//);
      assert.equal(JSON.stringify(after).length, JSON.stringify(before).length);
    } finally {
      await postgres.sql("DROP OWNED BY storefront", database);
      await postgres.sql("DROP ROLE storefront");
    }
  });

  it("A12, S4: pictures of a running stack count, and its release before goes on beside the new one", async () => {
    const { port } = postgres;
    const owner = new pg.Client({
      ...{ host: "127.0.0.1", port, database, user: "migrator", password: passwords.migrator },
    });
    await owner.connect();
    await runner({
      ...{ dbClient: owner, dir: join(sqlDirectory, "migrations"), direction: "up", count: 4 },
      ...{ migrationsTable: "migration", log: () => {} },
    });
    await owner.end();
    const picture = (digit: string) => `'${digit.repeat(32)}.png'`;
    await postgres.sql(
      `INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
         VALUES ('x', ${picture("1")}, 'image/png', 1234, 1, 1);
       INSERT INTO account (email, name, password_hash) VALUES ('a@example.com', 'A', '-');
       INSERT INTO offer (kind, name, place, starts_on, ends_on, price_cents, quantity)
         VALUES ('bus', 'x', 'x', now(), now(), 1, 1);
       INSERT INTO booking (account_id, offer_id, quantity, price_cents) VALUES (1, 1, 1, 1);
       INSERT INTO trip_item (booking_id, text, image_file, image_width, image_height)
         VALUES (1, 'x', ${picture("2")}, 1, 1)`,
      database,
    );
    await migrateDatabase(database, postgres);
    // As that release's grants, which come back where it does
    await postgres.sql(
      `REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM app_storefront, app_admin;
       REVOKE ALL ON upload, upload_budget FROM app_storefront, app_admin`,
      database,
    );
    await as(
      "storefront",
      `INSERT INTO trip_item (booking_id, text, image_file, image_width, image_height)
         VALUES (1, 'x', ${picture("3")}, 1, 1)`,
    );
    await as("storefront", `DELETE FROM trip_item WHERE image_file = ${picture("2")}`);
    await as(
      "admin",
      `INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
         VALUES ('x', ${picture("4")}, 'image/png', 66, 1, 1)`,
    );
    const found = await postgres.sql(
      `SELECT left(name, 1) AS name, account_id AS account, bytes, until IS NULL AS kept
       FROM upload ORDER BY name`,
      database,
    );
    assert.deepEqual(found, [
      { name: "1", account: null, bytes: "1234", kept: true },
      { name: "2", account: 1, bytes: null, kept: false },
      { name: "3", account: 1, bytes: null, kept: true },
      { name: "4", account: null, bytes: "66", kept: true },
    ]);
    const [used] = await postgres.sql("SELECT used_bytes FROM upload_budget", database);
    assert.equal(used?.used_bytes, "1300");
  });

  it("A5: the storefront's principal may read destinations and change nothing", async () => {
    await migrateDatabase(database, postgres);
    assert.deepEqual(await as("storefront", "SELECT * FROM content"), []);
    const denied = [
      "INSERT INTO content (quote) VALUES ('x')",
      "UPDATE content SET quote = 'x'",
      "DELETE FROM content",
      "TRUNCATE content",
      "SELECT * FROM idempotency_key",
      "SELECT * FROM migration",
      "CREATE TABLE mine (x int)",
    ];
    for (const text of denied) {
      await assert.rejects(as("storefront", text), { code: "42501" }, text);
    }
  });

  it("A5: the admin's principal may not change destinations in place, nor the schema", async () => {
    await migrateDatabase(database, postgres);
    assert.deepEqual(await as("admin", "SELECT * FROM idempotency_key"), []);
    for (const text of [
      "UPDATE content SET quote = 'x'",
      "TRUNCATE content",
      "DROP TABLE content",
      "CREATE TABLE mine (x int)",
      "SELECT * FROM migration",
    ]) {
      await assert.rejects(as("admin", text), { code: "42501" }, text);
    }
  });

  it("A5: a right that somebody added by hand is taken back by the next run", async () => {
    await migrateDatabase(database, postgres);
    await postgres.sql("GRANT ALL ON content TO app_storefront", database);
    await migrateDatabase(database, postgres);
    await assert.rejects(as("storefront", "DELETE FROM content"), { code: "42501" });
  });

  it("A13: sample data fills an empty gallery, and only an empty one", async () => {
    const options = { sampleData: true, uploadsDirectory: uploads };
    await migrateDatabase(database, postgres, options);
    const rows = await postgres.sql<{ image_file: string; title: string }>(
      "SELECT image_file, title FROM content ORDER BY id DESC",
      database,
    );
    assert.equal(rows.length, 8);
    assert.equal(rows[0]?.title, "Cappadocia, Türkiye");
    assert.deepEqual(await files(uploads), rows.map((row) => row.image_file).sort());
    await postgres.sql("DELETE FROM content WHERE title <> 'Lofoten, Norway'", database);
    await migrateDatabase(database, postgres, options);
    assert.equal((await postgres.sql("SELECT 1 FROM content", database)).length, 1);
  });

  it("A13: sample offers of every kind have days to come, and are added to none that is there", async () => {
    const options = { sampleData: true, uploadsDirectory: uploads };
    await migrateDatabase(database, postgres, options);
    const rows = await postgres.sql<{ kind: string; soon: boolean; many: boolean }>(
      "SELECT kind, starts_on > current_date AS soon, quantity > 0 AS many FROM offer",
      database,
    );
    assert.equal(rows.length, 14);
    assert.deepEqual(new Set(rows.map(({ kind }) => kind)), new Set(["flight", "bus", "hotel"]));
    assert.ok(rows.every(({ soon, many }) => soon && many));
    await postgres.sql("DELETE FROM offer WHERE kind <> 'bus'", database);
    await migrateDatabase(database, postgres, options);
    assert.ok((await postgres.sql("SELECT 1 FROM offer", database)).length < 14);
  });

  it("A13: sample data that cannot be stored leaves no row", async () => {
    const options = { sampleData: true, uploadsDirectory: "/nonexistent" };
    await assert.rejects(migrateDatabase(database, postgres, options), { code: "ENOENT" });
    assert.equal((await postgres.sql("SELECT 1 FROM content", database)).length, 0);
  });
});
