import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Database,
  type DatabaseLimits,
  type Query,
  unknownPosition,
} from "../src/data/database.ts";
import { HttpError } from "../src/lib/errors.ts";
import { sweep } from "../src/run/sweeper.ts";
import { asAdmin } from "./support/admin.ts";
import { migrateDatabase, serverConfig, startApp, uploadsDirectory } from "./support/app.ts";
import "./support/hooks.ts";
import { docker } from "./support/docker.ts";
import { form, png } from "./support/images.ts";
import {
  createDatabase,
  type Postgres,
  passwords,
  startOldPrimary,
  startPrimary,
  startStandby,
} from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";

const insert = (value: string) => async (query: Query) => {
  await query(
    `INSERT INTO idempotency_key (scope, key, request_hash) VALUES ('test', $1, '')
     ON CONFLICT DO NOTHING`,
    [value],
  );
};
const where = async (query: Query) => {
  const [row] = await query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
  return row?.standby ? "standby" : "primary";
};

describe("database", function () {
  this.timeout(60_000);
  let primary: Postgres;
  let standby: Postgres;
  let name: string;
  let writer: TestProxy;
  let reader: TestProxy;
  let database: Database;

  before(async function () {
    this.timeout(90_000);
    primary = await startPrimary();
    standby = await startStandby(primary, { synchronous: true });
    name = await createDatabase(primary);
    await migrateDatabase(name, primary);
    await until("the standby has the schema", async () => {
      await stored("x", standby);
      return true;
    });
  });
  after(async () => {
    await Promise.all([primary.remove(), standby.remove()]);
  });
  beforeEach(async () => {
    writer = await startProxy(primary);
    reader = await startProxy(standby);
    database = open();
  });
  afterEach(async () => {
    writer.closeAll();
    reader.closeAll();
    await database.close();
    await Promise.all([writer.close(), reader.close()]);
  });

  const open = (limits: Partial<DatabaseLimits> = {}) => {
    const ways = {
      name,
      writer: { host: "127.0.0.1", port: writer.port },
      reader: { host: "127.0.0.1", port: reader.port },
    };
    return new Database(serverConfig("admin", ways, "/nowhere"), () => {}, limits);
  };
  const reopen = async (limits: Partial<DatabaseLimits>) => {
    await database.close();
    database = open(limits);
  };
  const stored = async (like: string, server = primary) =>
    (
      await server.sql<{ key: string }>(
        `SELECT key FROM idempotency_key WHERE key LIKE '${like}' ORDER BY 1`,
        name,
      )
    ).map(({ key }) => key);
  const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const start = Date.now();
    return [await work(), (Date.now() - start) / 1000];
  };

  describe("A11: reads", () => {
    it("A11: go to the standby, and health says which member answers", async () => {
      assert.equal(await database.read(where), "standby");
      assert.deepEqual(await database.inspect("reader"), {
        member: standby.address,
        inRecovery: true,
      });
      assert.deepEqual(await database.inspect("writer"), {
        member: primary.address,
        inRecovery: false,
      });
    });

    it("A11: go to the writer, at once, while the reader refuses", async () => {
      reader.mode = "refuse";
      const [member, seconds] = await timed(() => database.read(where));
      assert.equal(member, "primary");
      assert.ok(seconds < 0.5, `took ${seconds} s`);
    });

    it("A11: find another connection when every idle one has died", async () => {
      await Promise.all(
        Array.from({ length: 5 }, () => database.read((query) => query("SELECT pg_sleep(0.1)"))),
      );
      reader.closeAll();
      const answers = await Promise.all(Array.from({ length: 20 }, () => database.read(where)));
      assert.equal(answers.length, 20);
    });

    it("A11: wait about a second, not longer, for a connection that went silent", async () => {
      await Promise.all(
        Array.from({ length: 5 }, () => database.read((query) => query("SELECT pg_sleep(0.1)"))),
      );
      reader.mode = "silence";
      const [answers, seconds] = await timed(() =>
        Promise.all(Array.from({ length: 5 }, () => database.read(where))),
      );
      assert.deepEqual(new Set(answers), new Set(["primary"]));
      assert.ok(seconds < 1.2, `took ${seconds} s`);
      const [, next] = await timed(() => database.read(where));
      assert.ok(next < 0.2, `the next read took ${next} s`);
      reader.mode = "pass";
      await until(
        "reads are back at the standby",
        () => database.read(where),
        (member) => member === "standby",
        5,
      );
    });

    it("A11: wait about a second for a standby whose machine hangs", async () => {
      await database.read(where);
      await standby.pause();
      try {
        const [member, seconds] = await timed(() => database.read(where));
        assert.equal(member, "primary");
        assert.ok(seconds < 1.2, `took ${seconds} s`);
      } finally {
        await standby.unpause();
      }
    });

    it("A11: end with 503 and Retry-After after a bounded wait when nobody answers", async () => {
      await reopen({ readMs: 1500 });
      writer.mode = reader.mode = "refuse";
      const start = Date.now();
      await assert.rejects(database.read(where), { status: 503, retryAfterSeconds: 2 });
      assert.ok(Date.now() - start < 2500);
      writer.mode = "pass";
      assert.equal(await database.read(where), "primary");
    });

    it("A11: a request's own error is not tried again", async () => {
      let runs = 0;
      const work = (query: Query) => {
        runs += 1;
        return query("SELECT 1/0");
      };
      await assert.rejects(database.read(work), { code: "22012" });
      assert.equal(runs, 1);
    });

    it("A15: more requests than may wait are refused at once", async () => {
      await reopen({ readRequests: 2 });
      const slow = () => database.read((query) => query("SELECT pg_sleep(0.3)"));
      const results = await Promise.allSettled([slow(), slow(), slow()]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ["fulfilled", "fulfilled", "rejected"],
      );
      await slow();
    });
  });

  describe("A11: a user reads their own writes", () => {
    afterEach(async () => {
      await standby.sql("SELECT pg_wal_replay_resume()");
    });

    it("A11: at the standby, once it has replayed them", async () => {
      const { position } = await database.write(insert("own-1"), { idempotent: false });
      await until(
        "the standby has it",
        () => stored("own-1", standby),
        (rows) => rows.length === 1,
      );
      assert.equal(await database.read(where, position), "standby");
    });

    it("A11: at the primary while the standby lags; others stay at the standby", async () => {
      await standby.sql("SELECT pg_wal_replay_pause()");
      const { position } = await database.write(insert("own-2"), { idempotent: false });
      const read = (query: Query) => query("SELECT 1 FROM idempotency_key WHERE key = 'own-2'");
      const [rows, seconds] = await timed(() => database.read(read, position));
      assert.equal(rows.length, 1);
      assert.ok(seconds < 1, `took ${seconds} s`);
      assert.equal(await database.read(where), "standby");
      assert.deepEqual(await database.read(read), []);
    });

    it("A11: are never shown less, even if the primary is away meanwhile", async () => {
      await reopen({ readMs: 1000 });
      await standby.sql("SELECT pg_wal_replay_pause()");
      const { position } = await database.write(insert("own-3"), { idempotent: false });
      writer.mode = "refuse";
      writer.closeAll();
      await assert.rejects(database.read(where, position), { status: 503 });
      await standby.sql("SELECT pg_wal_replay_resume()");
      assert.equal(await database.read(where, position), "standby");
    });

    it("A2: the sweeper asks the primary, so a new picture is safe while the standby lags", async () => {
      await standby.sql("SELECT pg_wal_replay_pause()");
      const directory = await uploadsDirectory();
      const file = `${"ab".repeat(16)}.png`;
      await writeFile(join(directory, file), "x");
      await primary.sql(
        `INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
         VALUES ('x', '${file}', 'image/png', 1, 1, 1)`,
        name,
      );
      await sleep(20);
      assert.deepEqual(await sweep(database, { directory, graceMs: 10 }), []);
      await rm(directory, { recursive: true });
    });

    it("A11: from page to page, by a signed cookie that both tiers know", async () => {
      const uploads = await uploadsDirectory();
      const ways = {
        name,
        writer: { host: "127.0.0.1", port: writer.port },
        reader: { host: "127.0.0.1", port: reader.port },
      };
      const admin = await startApp(serverConfig("admin", ways, uploads));
      const storefront = await startApp(serverConfig("storefront", ways, uploads));
      await standby.sql("SELECT pg_wal_replay_pause()");
      const body = form({ quote: "mine" }, { content: png() });
      const added = await fetch(`${admin.url}/api/content`, {
        ...{ method: "POST", body, headers: asAdmin },
      });
      const { id } = (await added.json()) as { id: number };
      const [set = ""] = added.headers.getSetCookie();
      assert.match(set, /^hastack-position=.*; Path=\/;.* HttpOnly; SameSite=Lax$/);
      const cookie = set.split(";", 1)[0] ?? "";
      const see = async (Cookie: string) =>
        (await fetch(`${storefront.url}/api/content/${id}`, { headers: { Cookie } })).status;
      assert.equal(await see(cookie), 200);
      assert.equal(await see(""), 404);
      // A forged one counts as none: nobody can send every read to the primary.
      assert.equal(await see(cookie.replace(/=[0-9A-F]+/, "=FFFFFFFF")), 404);
      await Promise.all([admin.close(), storefront.close(), rm(uploads, { recursive: true })]);
    });

    it("A11: not at an old primary that was cut off, though its own log is further than that", async () => {
      const old = await startOldPrimary(primary);
      try {
        const { position } = await database.write(insert("own-4"), { idempotent: false });
        reader.target = old;
        reader.closeAll();
        assert.equal(await database.read(where), "standby");
        assert.equal(await database.read(where, position), "primary");
      } finally {
        await old.remove();
      }
    });

    it("A11: with an unknown position only the primary will do", async () => {
      assert.equal(await database.read(where, unknownPosition), "primary");
    });
  });

  describe("A11: writes", () => {
    it("A11: wait for a primary that is away, and then succeed once", async () => {
      await database.write(insert("wait-0"), { idempotent: false });
      writer.mode = "refuse";
      writer.closeAll();
      const write = database.write(insert("wait-1"), { idempotent: false });
      await sleep(1500);
      writer.mode = "pass";
      await write;
      assert.deepEqual(await stored("wait-1"), ["wait-1"]);
    });

    it("A11: never go to a server that is in recovery", async () => {
      writer.target = standby;
      writer.closeAll();
      const write = database.write(insert("recovery-1"), { idempotent: false });
      await sleep(500);
      writer.target = primary;
      await write;
      assert.deepEqual(await stored("recovery-1"), ["recovery-1"]);
    });

    it("A11: a connection that has become read-only is dropped, and the write made elsewhere", async () => {
      await reopen({});
      let first = true;
      const work = async (query: Query) => {
        if (first) await query("SET TRANSACTION READ ONLY");
        first = false;
        await insert("readonly-1")(query);
      };
      await database.write(work, { idempotent: false });
      assert.deepEqual(await stored("readonly-1"), ["readonly-1"]);
    });

    it("A11: who falls silent within a transaction keeps its rows from others for 2 s, and begins anew", async () => {
      let runs = 0;
      const silent = async (query: Query) => {
        runs += 1;
        await insert("silence-1")(query);
        if (runs === 1) await sleep(3000);
        await insert("silence-2")(query);
      };
      const first = database.write(silent, { idempotent: false });
      await until("it has begun", async () => runs === 1);
      await sleep(200);
      // Both want the same row
      const other = insert("silence-1");
      const [, seconds] = await timed(() => database.write(other, { idempotent: false }));
      assert.ok(seconds > 1 && seconds < 2.8, `took ${seconds} s`);
      await first;
      assert.equal(runs, 2);
      assert.deepEqual(await stored("silence-_"), ["silence-1", "silence-2"]);
    });

    it("A11: end with 503 and Retry-After when the time is up, and nothing was changed", async () => {
      await reopen({ writeMs: 800 });
      writer.mode = "refuse";
      await assert.rejects(database.write(insert("up-1"), { idempotent: false }), {
        ...{ status: 503, code: "unavailable", retryAfterSeconds: 5 },
      });
      assert.deepEqual(await stored("up-1"), []);
    });

    it("A11: connections that went silent cost a write about a second", async () => {
      const slow = (query: Query) => query("SELECT pg_sleep(0.1)");
      const writes = Array.from({ length: 5 }, () => database.write(slow, { idempotent: false }));
      await Promise.all(writes);
      writer.silenceOpen();
      const [, seconds] = await timed(() =>
        database.write(insert("silent-1"), { idempotent: false }),
      );
      assert.ok(seconds < 1.7, `took ${seconds} s`);
      assert.deepEqual(await stored("silent-1"), ["silent-1"]);
    });

    it("A11: a commit sent and not answered is told as unknown, without a key", async () => {
      writer.cutAfter = "COMMIT";
      let runs = 0;
      const work = async (query: Query) => {
        runs += 1;
        await insert("unknown-1")(query);
      };
      await assert.rejects(database.write(work, { idempotent: false }), {
        status: 500,
        code: "outcome-unknown",
      });
      assert.equal(runs, 1);
      assert.deepEqual(await stored("unknown-1"), ["unknown-1"]);
    });

    it("A11: the same commit is tried again under a key, and finds what is there", async () => {
      writer.cutAfter = "COMMIT";
      setTimeout(() => {
        writer.cutAfter = undefined;
      }, 300);
      let runs = 0;
      const work = async (query: Query) => {
        runs += 1;
        await insert("unknown-2")(query);
      };
      await database.write(work, { idempotent: true });
      assert.ok(runs > 1);
      assert.deepEqual(await stored("unknown-2"), ["unknown-2"]);
    });

    it("A11: a commit without an answer stays unknown when the next run fails otherwise", async () => {
      const after = (second: (query: Query) => Promise<unknown>) => {
        let runs = 0;
        writer.cutAfter = "COMMIT";
        const work = async (query: Query) => {
          runs += 1;
          if (runs === 1) return await insert("unknown-3")(query);
          writer.cutAfter = undefined;
          await second(query);
        };
        return database.write(work, { idempotent: true });
      };
      await assert.rejects(
        after((query) => query("SELECT 1/0")),
        (error: Error & { code: string; cause: unknown }) =>
          error.code === "outcome-unknown" && (error.cause as { code: string }).code === "22012",
      );
      assert.deepEqual(await stored("unknown-3"), ["unknown-3"]);
      // Unlike a refusal, for which the second run has looked.
      const refusal = async () => {
        throw new HttpError(409, "list-full", "It is full.");
      };
      await assert.rejects(after(refusal), { code: "list-full" });
    });

    it("A11: a commit that waits for the standby is waited for, and never cancelled", async () => {
      await standby.pause();
      const write = database.write(insert("standby-1"), { idempotent: false });
      let settled = false;
      write.finally(() => {
        settled = true;
      });
      await sleep(3000);
      assert.equal(settled, false);
      await standby.unpause();
      await write;
      assert.deepEqual(await stored("standby-1", standby), ["standby-1"]);
    });

    it("A11: a commit whose wait somebody else cancels is not taken for a success", async () => {
      await standby.pause();
      try {
        const write = database.write(insert("cancel-1"), { idempotent: false });
        write.catch(() => {});
        await until(
          "the commit waits",
          () => primary.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
          (rows) => rows.length === 1,
        );
        await primary.sql(
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        );
        await assert.rejects(write, { code: "outcome-unknown" });
      } finally {
        await standby.unpause();
      }
    });

    it("A11: a request's own error rolls back, is not tried again, and keeps the connection", async () => {
      let runs = 0;
      const work = async (query: Query) => {
        runs += 1;
        await insert("own-error-1")(query);
        throw new TypeError("a mistake in the program");
      };
      await assert.rejects(database.write(work, { idempotent: true }), TypeError);
      await database.write(insert("own-error-2"), { idempotent: false });
      assert.equal(runs, 1);
      assert.deepEqual(await stored("own-error-%"), ["own-error-2"]);
      assert.equal(database.counts().writer.total, 1);
    });

    it("A11: two that conflict are both made", async () => {
      await database.write(insert("conflict"), { idempotent: false });
      const bump = (first: string, second: string) => (query: Query) =>
        query(`UPDATE idempotency_key SET answer = '1' WHERE key = $1`, [first])
          .then(() => sleep(200))
          .then(() => query(`UPDATE idempotency_key SET answer = '2' WHERE key = $1`, [second]));
      await database.write(insert("conflict-2"), { idempotent: false });
      await Promise.all([
        database.write(bump("conflict", "conflict-2"), { idempotent: false }),
        database.write(bump("conflict-2", "conflict"), { idempotent: false }),
      ]);
    });

    it("A11: a password that is being changed costs no write", async () => {
      await primary.sql("ALTER ROLE app_admin PASSWORD 'another'");
      const write = database.write(insert("password-1"), { idempotent: false });
      await sleep(500);
      await primary.sql(`ALTER ROLE app_admin PASSWORD '${passwords.admin}'`);
      await write;
      assert.deepEqual(await stored("password-1"), ["password-1"]);
    });

    it("A15: more writes than may wait are refused at once", async () => {
      await reopen({ writeRequests: 2 });
      const slow = () =>
        database.write((query) => query("SELECT pg_sleep(0.3)"), { idempotent: false });
      const results = await Promise.allSettled([slow(), slow(), slow()]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ["fulfilled", "fulfilled", "rejected"],
      );
    });
  });

  // The last one: the pair has another primary afterwards.
  describe("A11: failover", () => {
    it("A11: a failover under load loses no acknowledged write and no read", async () => {
      const acknowledged: string[] = [];
      const failures: string[] = [];
      let longest = 0;
      let readFailures = 0;
      let running = true;
      const write = async (client: number) => {
        for (let i = 0; running; i += 1) {
          const key = `load-${client}-${i}`;
          const start = Date.now();
          try {
            await database.write(insert(key), { idempotent: false });
            acknowledged.push(key);
          } catch (error) {
            failures.push((error as { code?: string }).code ?? String(error));
          }
          longest = Math.max(longest, Date.now() - start);
          await sleep(10);
        }
      };
      const read = async () => {
        while (running) {
          await database.read(where).catch(() => {
            readFailures += 1;
          });
          await sleep(10);
        }
      };
      const load = [write(1), write(2), write(3), write(4), read(), read()];
      await sleep(1000);
      await docker("kill", primary.container);
      writer.mode = "refuse";
      writer.closeAll();
      await standby.sql("ALTER SYSTEM RESET synchronous_standby_names");
      await standby.sql("SELECT pg_promote(wait => true)");
      await standby.sql("SELECT pg_reload_conf()");
      writer.target = standby;
      writer.mode = "pass";
      const before = acknowledged.length;
      await until(
        "writes go on",
        () => acknowledged.length,
        (now) => now > before + 40,
        20,
      );
      running = false;
      await Promise.all(load);
      const kept = new Set(await stored("load-%", standby));
      assert.deepEqual(
        acknowledged.filter((key) => !kept.has(key)),
        [],
      );
      assert.ok(acknowledged.length > 100, `only ${acknowledged.length} writes`);
      // Only what was at its commit in that very moment may be told as unknown.
      assert.deepEqual(
        failures.filter((code) => code !== "outcome-unknown"),
        [],
      );
      assert.ok(failures.length <= 4, `${failures.length} unknown`);
      assert.equal(readFailures, 0);
      assert.ok(longest < 10_000, `a write took ${longest} ms`);
    });
  });
});
