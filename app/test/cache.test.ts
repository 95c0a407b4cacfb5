import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { Cache } from "../src/data/cache.ts";
import { CachedReads, type CacheUse } from "../src/data/cached-reads.ts";
import { Database, type DatabaseLimits, type Query } from "../src/data/database.ts";
import { horizonOf, logPlace, type Position, unknownPosition } from "../src/data/horizon.ts";
import { openPosition, sealPosition } from "../src/http/position.ts";
import { migrateDatabase, serverConfig } from "./support/app.ts";
import { startCache, type TestCache } from "./support/cache.ts";
import "./support/hooks.ts";
import { docker } from "./support/docker.ts";
import { createDatabase, type Postgres, startPrimary, startStandby } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { inTime, itInTime, TimeLimitMissed } from "./support/time-limit.ts";
import { until } from "./support/until.ts";

const silent = pino({ level: "silent" });

/** One instance's part of the cache, as server.ts puts it together. */
interface Instance {
  database: Database;
  cached: CachedReads;
  cache: Cache;
  close: () => Promise<void>;
}

describe("cache", function () {
  this.timeout(60_000);
  let primary: Postgres;
  let standby: Postgres;
  let server: TestCache;
  let name: string;
  let writer: TestProxy;
  let reader: TestProxy;
  let wire: TestProxy;
  let one: Instance;
  let runs = 0;
  // A busy machine's pauses are not what most of these tests are about.
  let answerMs = 3000;

  before(async function () {
    this.timeout(120_000);
    [server, primary] = await Promise.all([startCache(), startPrimary()]);
    standby = await startStandby(primary, { synchronous: true });
    name = await createDatabase(primary);
    await migrateDatabase(name, primary);
    await primary.sql("CREATE TABLE thing (value text)", name);
    await primary.sql("INSERT INTO thing VALUES ('first')", name);
    await primary.sql("GRANT SELECT, UPDATE ON thing TO app_admin", name);
    await until("the standby has it", () => standby.sql("SELECT FROM thing", name));
  });
  after(async () => {
    await Promise.all([primary.remove(), standby.remove(), server.remove()]);
  });
  beforeEach(async () => {
    await server.empty();
    writer = await startProxy(primary);
    reader = await startProxy(standby);
    wire = await startProxy(server.at);
    runs = 0;
    one = await start();
    // The first read of all finds nothing to measure against, and asks the primary for it.
    await read();
    await until("there is something to measure against", () => server.run("GET", changedKey()));
  });
  afterEach(async () => {
    await standby.sql("SELECT pg_wal_replay_resume()").catch(() => {});
    for (const close of open) await close();
    await Promise.all([writer.close(), reader.close(), wire.close()]);
  });

  /** What a test that fails would leave running. */
  const open = new Set<() => Promise<void>>();
  const changedKey = () => `hastack:${name}:changed:offers`;
  const start = async (
    limits: Partial<DatabaseLimits> = {},
    config = server.config(wire.port),
  ): Promise<Instance> => {
    const ways = {
      name,
      writer: { host: "127.0.0.1", port: writer.port },
      reader: { host: "127.0.0.1", port: reader.port },
    };
    const database = new Database(serverConfig("admin", ways, "/nowhere"), () => {}, limits);
    const cache = new Cache(config, silent, answerMs);
    const cached = new CachedReads(database, cache, { name });
    await cache.start();
    const close = async () => {
      open.delete(close);
      await cache.stop();
      writer.closeAll();
      reader.closeAll();
      await database.close();
    };
    open.add(close);
    return { database, cached, cache, close };
  };
  const look = async (query: Query) => {
    runs += 1;
    const [row] = await query<{ value: string }>("SELECT value FROM thing");
    return row?.value ?? "";
  };
  const read = async (after?: Position, { cached } = one): Promise<[string, CacheUse]> => {
    const answer = await cached.read("offers", "thing", look, after);
    return [answer.value, answer.cache];
  };
  /** Reads where an answer of the cache may come too late: then it is made do without. */
  const sees = async (value: string, use: CacheUse, after?: Position, instance = one) => {
    const [seen, used] = await read(after, instance);
    assert.equal(seen, value);
    if (used === use) return;
    throw new TimeLimitMissed(`a ${used} and no ${use}: did the cache take over ${answerMs} ms?`);
  };
  /** Reads until it comes out of the cache; what is read on the way is right as well. */
  const untilHit = async (value: string, after?: Position) => {
    const giveUp = Date.now() + 10_000;
    for (;;) {
      const [seen, use] = await read(after);
      assert.equal(seen, value);
      if (use === "hit") return;
      if (Date.now() > giveUp) throw new TimeLimitMissed("the cache was of no use within 10 s");
      await sleep(50);
    }
  };
  const write = async (value: string, { database } = one): Promise<Position> => {
    const update = (query: Query) => query("UPDATE thing SET value = $1", [value]);
    return (await database.write(update, { idempotent: false })).position;
  };
  const change = async (value: string, instance = one): Promise<Position> => {
    const position = await write(value, instance);
    await instance.cached.changed("offers", position);
    return position;
  };
  const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const begun = performance.now();
    return [await work(), performance.now() - begun];
  };
  const isReached = (instance = one) =>
    until(
      "the cache is used again",
      () => instance.cache.state,
      (state) => state === "ok",
    );

  describe("A9: what is read again", () => {
    it("A9: comes from the cache, and nothing at all is asked of the database", async () => {
      await change("read-1");
      assert.deepEqual(await read(), ["read-1", "miss"]);
      runs = 0;
      writer.heard = reader.heard = "";
      for (let i = 0; i < 50; i += 1) assert.deepEqual(await read(), ["read-1", "hit"]);
      assert.deepEqual([runs, writer.heard, reader.heard], [0, "", ""]);
    });

    it("A9: is shared by all instances", async () => {
      const two = await start();
      await change("shared-1");
      await read();
      assert.deepEqual(await read(undefined, two), ["shared-1", "hit"]);
      const position = await change("shared-2", two);
      assert.deepEqual(await read(), ["shared-2", "miss"]);
      assert.deepEqual(await read(position, two), ["shared-2", "hit"]);
      await two.close();
    });

    it("A9: by many at once is read once", async () => {
      await change("stampede-1");
      runs = 0;
      const answers = await Promise.all(Array.from({ length: 100 }, () => read()));
      assert.equal(runs, 1);
      assert.deepEqual(new Set(answers.map(([value]) => value)), new Set(["stampede-1"]));
    });

    it("A9: lives for 30 s, and longer than 256 KiB not at all", async () => {
      await change("life-1");
      await read();
      const [key = ""] = (await server.run("KEYS", `hastack:${name}:entry:*`)).split("\n");
      const life = Number(await server.run("PTTL", key));
      assert.ok(life > 25_000 && life <= 30_000, `${life} ms`);
      const long = async () => "x".repeat(257 * 1024);
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await one.cached.read("offers", "long", long)).cache, "miss");
      }
    });

    it("A9: a read that fails is kept by nobody, and fails for nobody else", async () => {
      const fail = () => Promise.reject(new TypeError("a mistake"));
      await assert.rejects(one.cached.read("offers", "thing", fail), TypeError);
      assert.equal((await read())[1], "miss");
    });
  });

  describe("A9: what was changed", () => {
    it("A9: is read anew by everybody", async () => {
      await change("change-1");
      await read();
      for (const value of ["change-2", "change-3", "change-4"]) {
        await change(value);
        assert.deepEqual(await read(), [value, "miss"]);
        assert.deepEqual(await read(), [value, "hit"]);
      }
    });

    it("A9: other topics are as they were", async () => {
      const other = () => one.cached.read("content", "thing", look);
      await one.cached.changed("content", await write("topic-1"));
      await other();
      await change("topic-2");
      assert.deepEqual(await other(), { value: "topic-1", cache: "hit" });
    });

    it("A9: what was read while a write was under way is not served after it", async () => {
      await change("race-1");
      const slow = async (query: Query) => {
        const value = await look(query);
        await sleep(300);
        return value;
      };
      const reading = one.cached.read("offers", "thing", slow);
      await sleep(100);
      await change("race-2");
      assert.equal((await reading).value, "race-1");
      assert.deepEqual(await read(), ["race-2", "miss"]);
      assert.deepEqual(await read(), ["race-2", "hit"]);
    });

    it("A9: nobody joins a read that began before their own write", async () => {
      await change("join-1");
      const slow = async (query: Query) => {
        const value = await look(query);
        await sleep(300);
        return value;
      };
      const reading = one.cached.read("offers", "thing", slow);
      await sleep(100);
      // Not told to the cache: only the writer can know.
      const position = await write("join-2");
      assert.deepEqual(await read(position), ["join-2", "miss"]);
      await reading;
    });

    it("A9: what was read beside a write that was not committed is not served after it", async () => {
      await change("beside-1");
      let commit = () => {};
      const held = new Promise<void>((resolve) => {
        commit = resolve;
      });
      const update = async (query: Query) => {
        await query("UPDATE thing SET value = 'beside-2'");
        await held;
      };
      const writing = one.database.write(update, { idempotent: false });
      await until(
        "it holds its row",
        () => primary.sql("SELECT FROM pg_locks WHERE locktype = 'transactionid'"),
        (rows) => rows.length > 0,
      );
      // A later one that has ended: ids alone do not tell who has committed.
      const take = (query: Query) => query("SELECT pg_current_xact_id()");
      await one.database.write(take, { idempotent: false });
      reader.mode = "refuse";
      reader.closeAll();
      assert.deepEqual(await read(), ["beside-1", "miss"]);
      commit();
      const { position } = await writing;
      await one.cached.changed("offers", position);
      assert.deepEqual(await read(position), ["beside-2", "miss"]);
    });

    it("A9: writes that are told of in the wrong order leave the later one", async () => {
      const first = await write("order-1");
      await one.database.write((query) => query("SELECT pg_current_xact_id()"), {
        idempotent: false,
      });
      const second = await write("order-2");
      await one.cached.changed("offers", second);
      await one.cached.changed("offers", first);
      assert.equal(await server.run("GET", changedKey()), second);
    });

    it("A9: a write that is under way keeps nothing from being right", async () => {
      await change("open-1");
      const other = one.database.write(
        async (query) => {
          await query("SELECT pg_current_xact_id()");
          await sleep(700);
        },
        { idempotent: false },
      );
      await sleep(100);
      const position = await change("open-2");
      assert.deepEqual(await read(position), ["open-2", "miss"]);
      await other;
      await untilHit("open-2", position);
    });

    it("A9: no read is older than what was changed before it, over a thousand tries", async () => {
      await change("0");
      let done = 0;
      let stale = 0;
      let hits = 0;
      const writing = (async () => {
        for (let i = 1; i <= 200; i += 1) {
          await change(String(i));
          done = i;
          await sleep(i % 10 === 0 ? 20 : 0);
        }
      })();
      const reading = Array.from({ length: 5 }, async () => {
        while (done < 200) {
          const least = done;
          const [value, use] = await read();
          if (Number(value) < least) stale += 1;
          if (use === "hit") hits += 1;
        }
      });
      await Promise.all([writing, ...reading]);
      assert.equal(stale, 0);
      assert.ok(hits > 0, "the cache was of no use");
    });
  });

  describe("A9: a standby that lags", () => {
    const lag = () => standby.sql("SELECT pg_wal_replay_pause()");
    const catchUp = () => standby.sql("SELECT pg_wal_replay_resume()");

    it("A9: brings nothing old back: reads go to the primary for what is newer", async () => {
      await change("lag-1");
      await read();
      await lag();
      const position = await change("lag-2");
      assert.deepEqual(await read(position), ["lag-2", "miss"]);
      assert.deepEqual(await read(), ["lag-2", "hit"]);
      // Once more after the entry's end, for somebody who has written nothing
      await server.run("DEL", ...(await server.run("KEYS", "*:entry:*")).split("\n"));
      assert.deepEqual(await read(), ["lag-2", "miss"]);
    });

    itInTime(
      "A9: is made do with while the primary is away, and what it gave is never served",
      async () => {
        await change("lag-3");
        await read();
        await lag();
        const position = await change("lag-4");
        writer.mode = "refuse";
        writer.closeAll();
        const [[value, use], ms] = await timed(() => read());
        assert.deepEqual([value, use], ["lag-3", "miss"]);
        inTime(ms, 1000);
        writer.mode = "pass";
        assert.deepEqual(await read(), ["lag-4", "miss"]);
        assert.deepEqual(await read(position), ["lag-4", "hit"]);
      },
    );

    it("A9: may have filled the cache before a write that nobody told of: not the writer's problem", async () => {
      await change("lag-5");
      await lag();
      const position = await write("lag-6");
      assert.deepEqual(await read(), ["lag-5", "miss"]);
      assert.deepEqual(await read(), ["lag-5", "hit"]);
      assert.deepEqual(await read(position), ["lag-6", "miss"]);
      // What the writer's read has brought is for everybody.
      assert.deepEqual(await read(), ["lag-6", "hit"]);
    });

    it("A9: keeps nobody from the later of two writes at once, which share a horizon", async () => {
      await change("lag-8");
      const updated = Promise.withResolvers<void>();
      const finish = Promise.withResolvers<void>();
      const update = async (query: Query) => {
        await query("UPDATE thing SET value = 'lag-9'");
        updated.resolve();
        await finish.promise;
      };
      const later = one.database.write(update, { idempotent: false });
      await updated.promise;
      const earlier = await one.database.write((query) => query("SELECT pg_current_xact_id()"), {
        idempotent: false,
      });
      await one.cached.changed("offers", earlier.position);
      await one.database.read(look, earlier.position);
      await lag();
      finish.resolve();
      const { position } = await later;
      assert.equal(horizonOf(position), horizonOf(earlier.position));
      await one.cached.changed("offers", position);
      assert.deepEqual(await read(position), ["lag-9", "miss"]);
      assert.deepEqual(await read(), ["lag-9", "hit"]);
    });

    it("A9: that has just caught up is used again", async () => {
      await lag();
      await change("lag-7");
      await catchUp();
      assert.deepEqual(await read(), ["lag-7", "miss"]);
      writer.heard = "";
      await server.run("DEL", ...(await server.run("KEYS", "*:entry:*")).split("\n"));
      assert.deepEqual(await read(), ["lag-7", "miss"]);
      assert.equal(writer.heard, "");
    });
  });

  describe("A9: a cache in trouble", () => {
    before(() => {
      answerMs = 100;
    });
    after(() => {
      answerMs = 3000;
    });
    /** Reads many times; only one of them may have waited for the cache, and no other asked it. */
    const costsOnce = async (times: number) => {
      const [[, use], ms] = await timed(() => read());
      assert.equal(use, "bypass");
      inTime(ms, 500);
      wire.heard = "";
      for (let i = 0; i < times; i += 1) assert.equal((await read())[1], "bypass");
      assert.doesNotMatch(wire.heard, /MGET|EVAL/);
    };

    itInTime("A9: hung, costs 100 ms once, until it answers again", async () => {
      await change("hung-1");
      await read();
      await server.pause();
      try {
        await costsOnce(50);
        const position = await change("hung-2");
        await sees("hung-2", "bypass");
        await sees("hung-2", "bypass", position);
        assert.equal(one.cache.state, "down");
        // Looks in the background cost nobody anything.
        const begun = Date.now();
        while (Date.now() - begun < 2500) await costsOnce(5);
      } finally {
        await server.unpause();
      }
      await isReached();
      await sees("hung-2", "miss");
      await sees("hung-2", "hit");
    });

    itInTime("A9: hung, costs requests that come together no more", async () => {
      await change("hung-3");
      wire.mode = "silence";
      const [, ms] = await timed(() => Promise.all(Array.from({ length: 100 }, () => read())));
      inTime(ms, 1500);
      await costsOnce(20);
    });

    itInTime(
      "A9: out of sight of one instance, which makes up for it before using it again",
      async () => {
        const two = await start({}, server.config());
        await change("apart-1");
        await read(undefined, two);
        wire.mode = "refuse";
        wire.closeAll();
        const position = await change("apart-2");
        // Others may see the old answer for the rest of its life; whoever wrote never does.
        await sees("apart-1", "hit", undefined, two);
        await sees("apart-2", "miss", position, two);
        await change("apart-3");
        wire.mode = "pass";
        await isReached();
        await sees("apart-3", "miss");
        await sees("apart-3", "hit", undefined, two);
        await two.close();
      },
    );

    itInTime("A9: killed and started again, is used again", async () => {
      await change("killed-1");
      await read();
      await docker("kill", server.container);
      await costsOnce(20);
      await change("killed-2");
      await docker("start", server.container);
      const published = await docker("port", server.container);
      wire.target = { host: "127.0.0.1", port: Number(published.split(":").at(-1)) };
      server.at = wire.target;
      await isReached();
      await untilHit("killed-2");
    });

    itInTime("A9: with another password, is as good as none, and is tried again", async () => {
      const two = await start({}, server.config(wire.port, "wrong"));
      assert.equal(two.cache.state, "down");
      const [[, use], ms] = await timed(() => read(undefined, two));
      assert.equal(use, "bypass");
      inTime(ms, 500);
      await two.close();
    });

    itInTime("A9: that swallows every byte from the start delays no start for long", async () => {
      wire.mode = "silence";
      const [two, ms] = await timed(() => start());
      inTime(ms, 3000);
      assert.deepEqual((await read(undefined, two))[1], "bypass");
      await two.close();
    });

    itInTime("A9: emptied, is filled again, and nothing old is served meanwhile", async () => {
      await change("empty-1");
      await read();
      // A write that nobody tells of, and the loss of what it would have to be measured against
      await write("empty-2");
      await server.run("DEL", changedKey());
      await sees("empty-2", "miss");
      await untilHit("empty-2");
    });

    itInTime("A9: full, drops entries and never the positions", async () => {
      await change("full-1");
      await server.run("CONFIG", "SET", "maxmemory", "3mb");
      try {
        const large = async () => "x".repeat(200 * 1024);
        for (let i = 0; i < 40; i += 1) await one.cached.read("offers", `large ${i}`, large);
        if (one.cache.state !== "ok") throw new TimeLimitMissed(`it took over ${answerMs} ms`);
        assert.ok(Number(await server.run("DBSIZE")) < 20);
        assert.match(await server.run("GET", changedKey()), /@/);
        assert.match(await server.run("INFO", "stats"), /evicted_keys:[1-9]/);
      } finally {
        await server.run("CONFIG", "SET", "maxmemory", "64mb");
      }
    });

    itInTime("A9: after a commit without an answer nothing from before it is served", async () => {
      await change("unknown-1");
      await read();
      writer.cutAfter = "COMMIT";
      await assert.rejects(write("unknown-2"), { code: "outcome-unknown" });
      writer.cutAfter = undefined;
      await one.cached.changedPerhaps();
      await sees("unknown-2", "miss");
      await sees("unknown-2", "bypass", unknownPosition);
      await untilHit("unknown-2");
    });
  });

  describe("A9: the position that a browser keeps", () => {
    const secret = ["a secret of sixteen"];
    const position = `00000001${"0".repeat(12)}02f0@16/B374D848`;

    it("A9: comes back whole, and only with both signatures", () => {
      const sealed = sealPosition(secret, position);
      assert.equal(openPosition(secret, sealed), position);
      assert.ok(sealed.length < 150);
      const forged = [
        sealed.replace("02f0", "0000"),
        sealed.replace("B374", "0000"),
        sealed.replace(/\.[^.]*$/, ""),
        `${sealed.split(".").slice(0, 3).join(".")}.${sealed.split(".")[1]}`,
      ];
      for (const text of forged) assert.equal(openPosition(secret, text), undefined, text);
    });

    it("N3: counts while its secret is replaced, at instances that are further or not yet", () => {
      const [now = "", next] = [...secret, "another of sixteen"];
      const places = [[now], [now, next], [next, now]].map((one) => one as string[]);
      for (const [index, signs] of places.entries()) {
        for (const reads of places.slice(Math.max(0, index - 1), index + 2)) {
          assert.equal(openPosition(reads, sealPosition(signs, position)), position);
        }
      }
      assert.equal(openPosition([next as string], sealPosition([now], position)), undefined);
    });

    it("A12: is understood by the release before, and the other way round", async () => {
      const [place, signature] = sealPosition(secret, position).split(".", 2);
      // What that release wrote, and all that it reads
      assert.equal(`${place}.${signature}`, sealPosition(secret, logPlace(position)));
      const old = openPosition(secret, `${place}.${signature}`);
      assert.equal(old, "16/B374D848");
      await change("old-1");
      await read();
      const [value, use] = await read(logPlace(await write("old-2")));
      assert.deepEqual([value, use], ["old-2", "bypass"]);
    });
  });

  // The last one: the pair has another primary afterwards.
  describe("A9: failover", () => {
    it("A9: ids that the old primary lost and the new one gives out again bring nothing old back", async () => {
      const first = await change("failover-1");
      await primary.sql("ALTER SYSTEM RESET synchronous_standby_names");
      await primary.sql("SELECT pg_reload_conf()");
      await standby.sql("ALTER SYSTEM SET primary_conninfo = ''");
      await standby.sql("SELECT pg_reload_conf()");
      await until(
        "the standby gets nothing more",
        () => standby.sql("SELECT 1 FROM pg_stat_wal_receiver"),
        (rows) => rows.length === 0,
      );
      await primary.sql(
        "DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
      );
      // Filled by the old primary, from the end of a history that nobody will have
      reader.mode = "refuse";
      reader.closeAll();
      await one.cached.changed("offers", await one.database.latest());
      await untilHit("failover-1");
      await docker("kill", primary.container);
      await standby.sql("ALTER SYSTEM RESET synchronous_standby_names");
      await standby.sql("SELECT pg_promote(wait => true)");
      writer.target = reader.target = standby;
      reader.mode = "pass";
      writer.closeAll();
      const position = await write("failover-2");
      const [before = "", after = ""] = [horizonOf(first), horizonOf(position)];
      assert.ok(after > before && after.slice(0, 8) > before.slice(0, 8), `${before} ${after}`);
      assert.deepEqual(await read(position), ["failover-2", "miss"]);
      assert.deepEqual(await read(position), ["failover-2", "hit"]);
      await change("failover-3");
      assert.deepEqual(await read(), ["failover-3", "miss"]);
      assert.deepEqual(await read(), ["failover-3", "hit"]);
    });
  });
});
