import assert from "node:assert/strict";
import { rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { Database } from "../src/data/database.ts";
import { forgetExpired } from "../src/data/expired.ts";
import { forgetOldKeys } from "../src/data/idempotency.ts";
import { forgetIdle } from "../src/domain/sessions.ts";
import { startSweeper, sweep } from "../src/run/sweeper.ts";
import { adminClient } from "./support/admin.ts";
import {
  files,
  migrateDatabase,
  serverConfig,
  spawnServer,
  startApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";
import type { Client } from "./support/visitor.ts";

const name = (digit: string, extension = "png") => `${digit.repeat(32)}.${extension}`;

describe("sweeper", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let databaseName: string;
  let uploads: string;
  let database: Database;

  before(async () => {
    postgres = await sharedPostgres();
    databaseName = await createDatabase(postgres);
    await migrateDatabase(databaseName, postgres);
  });
  beforeEach(async () => {
    uploads = await uploadsDirectory();
    database = new Database(config(), () => {});
  });
  afterEach(async () => {
    await database.close();
    await rm(uploads, { recursive: true });
  });

  // Who is logged in can still be read while nothing can be written.
  const config = (writer: { host: string; port: number } = postgres) =>
    serverConfig("admin", { name: databaseName, writer, reader: postgres }, uploads);
  const add = (client: Client, quote: string) =>
    client.send("/admin/content", { method: "POST", body: form({ quote }, { content: png() }) });
  const addRow = (file: string) =>
    postgres.sql(
      `INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
       VALUES ('x', '${file}', 'image/png', 1, 1, 1)`,
      databaseName,
    );

  it("A2: removes old files without a row and old temporary files, and nothing else", async () => {
    const temporary = `.upload-${"a".repeat(32)}.part`;
    const all = [name("1"), name("2"), name("3", "webp"), temporary, "README", ".nfs0001"];
    for (const file of all) await writeFile(join(uploads, file), "x");
    await addRow(name("1"));
    await sleep(60);
    const removed = await sweep(database, { directory: uploads, graceMs: 50 });
    assert.deepEqual(removed.sort(), [temporary, name("2"), name("3", "webp")].sort());
    assert.deepEqual(await files(uploads), [".nfs0001", name("1"), "README"].sort());
  });

  it("A2: leaves young files alone, even with an old date of their own", async () => {
    await writeFile(join(uploads, name("4")), "x");
    // An upload keeps no date, but a copy tool might: the change of the entry is what counts.
    await utimes(join(uploads, name("4")), new Date(0), new Date(0));
    assert.deepEqual(await sweep(database, { directory: uploads }), []);
    assert.deepEqual(await files(uploads), [name("4")]);
  });

  it("A11: keys of both tiers are forgotten after a day, and not before", async () => {
    for (const table of ["idempotency_key", "visitor_idempotency_key"]) {
      await postgres.sql(
        `INSERT INTO ${table} (scope, key, request_hash, created_at) VALUES
           ('x', 'old', '', now() - interval '25 hours'), ('x', 'young', '', now() - interval '23 hours')`,
        databaseName,
      );
    }
    await database.write(forgetOldKeys, { idempotent: true });
    const left = await postgres.sql(
      "SELECT key FROM idempotency_key UNION ALL SELECT key FROM visitor_idempotency_key",
      databaseName,
    );
    assert.deepEqual(left, [{ key: "young" }, { key: "young" }]);
  });

  for (const store of ["fails", "hangs"]) {
    it(`A11: keys are forgotten also while the store ${store}`, async () => {
      const lines: string[] = [];
      const log = pino({}, { write: (line) => lines.push(line) });
      // One that hangs: what asks for the names of its files never comes back.
      const stuck = new Database(config(), () => {});
      const write = stuck.write.bind(stuck);
      stuck.write = async (work, how) =>
        [forgetOldKeys, forgetExpired, forgetIdle].includes(work as never)
          ? await write(work, how)
          : await new Promise(() => {});
      await writeFile(join(uploads, name("6")), "x");
      const directory = store === "fails" ? join(uploads, "gone") : uploads;
      const stop = startSweeper(stuck, { directory, log, graceMs: -1, everyMs: 50 });
      try {
        for (const key of ["first", "second"]) {
          await postgres.sql(
            `INSERT INTO idempotency_key (scope, key, request_hash, created_at)
             VALUES ('x', '${key}', '', now() - interval '25 hours')`,
            databaseName,
          );
          await until(
            `the ${key} key is forgotten`,
            () => postgres.sql("SELECT 1 FROM idempotency_key WHERE key <> 'young'", databaseName),
            (rows) => rows.length === 0,
          );
        }
        const failed = () => lines.some((line) => line.includes("sweep failed; next try"));
        if (store === "fails") await until("the log says so", failed);
      } finally {
        stop();
        await stuck.close();
      }
    });
  }

  it("A2: five sweepers at once do no harm", async () => {
    for (let i = 0; i < 10; i += 1) await writeFile(join(uploads, name(String(i), "gif")), "x");
    await addRow(name("7", "gif"));
    await sleep(60);
    await Promise.all(
      Array.from({ length: 5 }, () => sweep(database, { directory: uploads, graceMs: 50 })),
    );
    assert.deepEqual(await files(uploads), [name("7", "gif")]);
  });

  it("A2: removes nothing while the database cannot be asked", async () => {
    const lost = new Database(config({ host: "127.0.0.1", port: 1 }), () => {}, { writeMs: 300 });
    await writeFile(join(uploads, name("5")), "x");
    await sleep(60);
    await assert.rejects(sweep(lost, { directory: uploads, graceMs: 50 }), { status: 503 });
    assert.deepEqual(await files(uploads), [name("5")]);
    await lost.close();
  });

  it("A2: a process killed between file and row leaves an orphan that is swept", async () => {
    const proxy = await startProxy(postgres);
    const server = await spawnServer(config({ host: "127.0.0.1", port: proxy.port }));
    const client = await adminClient(server.url);
    // The session is looked up first; only the row must not get through.
    proxy.cutAfter = "INSERT INTO content";
    const answer = add(client, "killed").catch(() => "lost");
    await until(
      "the file has its final name",
      () => files(uploads),
      ([file]) => /^\w+\.png$/.test(file ?? ""),
    );
    server.child.kill("SIGKILL");
    assert.equal(await answer, "lost");
    await server.exit;
    await proxy.close();
    await sleep(60);
    assert.equal((await sweep(database, { directory: uploads, graceMs: 50 })).length, 1);
    assert.deepEqual(await files(uploads), []);
  });

  it("A2: an upload that takes its time is not swept from under it", async () => {
    const proxy = await startProxy(postgres);
    const app = await startApp(config({ host: "127.0.0.1", port: proxy.port }));
    const client = await adminClient(app.url);
    proxy.cutAfter = "INSERT INTO content";
    const answer = add(client, "slow");
    await until(
      "the file is there",
      () => files(uploads),
      (found) => found.length === 1,
    );
    assert.deepEqual(await sweep(database, { directory: uploads }), []);
    proxy.cutAfter = undefined;
    assert.equal((await answer).status, 303);
    assert.equal((await files(uploads)).length, 1);
    await app.close();
    await proxy.close();
  });
});
