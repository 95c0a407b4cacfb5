import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { startCache, type TestCache } from "./support/cache.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { newOffer } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { itInTime, TimeLimitMissed } from "./support/time-limit.ts";
import { until } from "./support/until.ts";
import { type Client, password, register, visitor } from "./support/visitor.ts";

describe("cached pages", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let server: TestCache;
  let way: TestProxy;
  let wire: TestProxy;
  let name: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;

  before(async function () {
    this.timeout(120_000);
    [postgres, server] = await Promise.all([sharedPostgres(), startCache()]);
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    way = await startProxy(postgres);
    wire = await startProxy(server.at);
    const writer = { host: "127.0.0.1", port: way.port };
    const start = (tier: "storefront" | "admin") =>
      startApp({
        ...serverConfig(tier, { name, writer }, uploads),
        cache: server.config(wire.port),
      });
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
    const body = form({ quote: "hello" }, { content: png() });
    await tell("/api/content", body);
    await tell("/api/offers", newOffer({ name: "First" }));
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    await Promise.all([way?.close(), wire?.close(), server?.remove()]);
    if (uploads) await rm(uploads, { recursive: true });
  });

  /** A change by an administrator. */
  const tell = async (path: string, body: FormData | object, method = "POST") => {
    const init =
      body instanceof FormData
        ? { body, headers: asAdmin }
        : {
            body: JSON.stringify(body),
            headers: { ...asAdmin, "Content-Type": "application/json" },
          };
    const answer = await fetch(admin.url + path, { method, ...init });
    assert.ok(answer.ok, `${answer.status} ${await answer.clone().text()}`);
    return answer;
  };
  const see = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(storefront.url + path, { headers });
    return { use: answer.headers.get("x-cache"), text: await answer.text(), status: answer.status };
  };
  const paths = [
    "/",
    "/offers",
    "/api/content",
    "/api/content?limit=3",
    "/api/offers",
    "/api/vuelos",
  ];

  itInTime(
    "A9: X-Cache says whether a page came out of the cache, and then no table was read for it",
    async () => {
      for (const path of paths) {
        await until(
          `${path} is in the cache`,
          () => see(path),
          ({ use }) => use === "hit",
        );
      }
      way.heard = "";
      const first = await Promise.all(paths.map((path) => see(path)));
      for (let i = 0; i < 10; i += 1) {
        for (const [at, path] of paths.entries()) {
          const { use, text } = await see(path);
          if (path.startsWith("/api/")) assert.equal(text, first[at]?.text);
          // On a busy machine an answer may take the 100 ms after which the cache counts as down.
          if (use !== "hit") throw new TimeLimitMissed(`${path} is a ${use}`);
        }
      }
      // Health goes on counting, which is none of the visitors' doing.
      const asked = way.heard.replaceAll("SELECT count(*)::integer AS count FROM content", "");
      assert.doesNotMatch(asked, /FROM (content|offer)\b/);
    },
  );

  it("A9: what an administrator changes is there at once, for everybody", async () => {
    for (let i = 1; i <= 5; i += 1) {
      await see("/api/offers");
      await tell("/api/offers", { kind: "flight", name: "First", quantity: 100 + i });
      assert.match((await see("/api/offers")).text, new RegExp(`"quantity":${100 + i}`));
    }
    const added = await tell("/api/content", form({ quote: "soon gone" }, { content: png() }));
    const path = added.headers.get("location") ?? "";
    assert.equal((await see(path)).status, 200);
    assert.match((await see("/")).text, /soon gone/);
    await fetch(admin.url + path, { method: "DELETE", headers: asAdmin });
    assert.equal((await see(path)).status, 404);
    assert.doesNotMatch((await see("/")).text, /soon gone/);
  });

  it("A7: a booking is seen in what is left, at once", async () => {
    const { client } = await visitor(postgres, name, storefront.url);
    const { id } = (await (await tell("/api/offers", newOffer({ quantity: 10 }))).json()) as {
      id: number;
    };
    for (let left = 9; left > 5; left -= 1) {
      await see(`/api/offers/${id}`);
      const body = { offerId: id, quantity: 1 };
      assert.equal((await client.json("POST", "/api/bookings", body)).status, 201);
      for (const headers of [client.headers, {}]) {
        assert.match(
          (await see(`/api/offers/${id}`, headers)).text,
          new RegExp(`"quantity":${left}`),
        );
      }
    }
  });

  it("A9: after a commit without an answer whoever goes and looks sees what is true", async () => {
    const { client } = await visitor(postgres, name, storefront.url);
    const { id } = (await (await tell("/api/offers", newOffer({ quantity: 10 }))).json()) as {
      id: number;
    };
    const left = async (who?: Client) =>
      JSON.parse((await see(`/api/offers/${id}`, who?.headers)).text).quantity;
    await until("it is in the cache", async () => (await see(`/api/offers/${id}`)).use === "hit");
    assert.equal(await left(client), 10);
    Object.assign(way, { cutSince: "book(", cutAfter: "COMMIT" });
    const answer = await client.json("POST", "/api/bookings", { offerId: id, quantity: 1 });
    way.cutAfter = undefined;
    assert.equal(answer.status, 500);
    assert.equal(await left(client), 9);
    assert.equal((await see(`/api/offers/${id}`, client.headers)).use, "bypass");
    assert.equal(await left(), 9);
  });

  it("A9: places of a deleted account are seen by all, though its commit went unanswered at first", async () => {
    const { client, id: account } = await register(storefront.url);
    const { id } = (await (await tell("/api/offers", newOffer({ quantity: 10 }))).json()) as {
      id: number;
    };
    const body = { offerId: id, quantity: 3 };
    assert.equal((await client.json("POST", "/api/bookings", body)).status, 201);
    await until("it is in the cache", async () => (await see(`/api/offers/${id}`)).use === "hit");
    way.cutSince = "DELETE FROM account";
    way.cutAfter = "COMMIT";
    const answer = client.json("DELETE", "/api/account", { password });
    await until(
      "it is deleted",
      () => postgres.sql(`SELECT FROM account WHERE id = ${account}`, name),
      (rows) => rows.length === 0,
    );
    way.cutAfter = undefined;
    assert.equal((await answer).status, 204);
    assert.equal(JSON.parse((await see(`/api/offers/${id}`)).text).quantity, 10);
  });

  it("A1: health says how the cache is; A15: metrics count by topic", async () => {
    const health = async () =>
      (await (await fetch(`${storefront.url}/api/health`)).json()) as {
        cache: string;
        status: string;
      };
    assert.equal((await health()).cache, "ok");
    await server.pause();
    try {
      await until("health has noticed", health, ({ cache }) => cache === "down");
      assert.equal((await health()).status, "degraded");
      assert.equal((await see("/")).use, "bypass");
    } finally {
      await server.unpause();
    }
    await until("health is ok again", health, ({ cache }) => cache === "ok");
    const text = await (await fetch(`${storefront.url}/metrics`)).text();
    for (const result of ["hit", "miss", "bypass"]) {
      assert.match(
        text,
        new RegExp(`cache_reads_total\\{topic="offers",result="${result}"\\} \\d`),
      );
    }
    assert.match(text, /cache_errors_total [1-9]/);
  });
});
