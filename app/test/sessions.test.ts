import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import pg from "pg";
import { Database } from "../src/data/database.ts";
import { forgetExpired } from "../src/data/expired.ts";
import { adminClient } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  sessionSecrets,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres, startPrimary, startStandby } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { Client, password, register, visitor } from "./support/visitor.ts";

const status = async (answer: Promise<Response>) => (await answer).status;

/** The id in a session's cookie. */
function idOf(client: Client, cookie = "hastack-session"): string {
  return /^s:(.*)\.[^.]+$/.exec(decodeURIComponent(client.cookies.get(cookie) ?? ""))?.[1] ?? "";
}

describe("sessions", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let app: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    app = await startApp(config());
  });
  after(async () => {
    await app?.close();
    if (uploads) await rm(uploads, { recursive: true });
  });

  const config = (tier: "storefront" | "admin" = "storefront") =>
    serverConfig(tier, { name, writer: postgres }, uploads);
  const sql = <Row extends object>(text: string) =>
    postgres.sql<Row & Record<string, never>>(text, name);
  const knows = (client: Client, url: string) => status(client.at(url).json("GET", "/api/account"));

  it("A6: are everybody's: another instance knows them, and one that is started again", async () => {
    const { client } = await visitor(postgres, name, app.url);
    assert.equal(await knows(client, app.url), 200);
    const first = await startApp(config());
    assert.equal(await knows(client, first.url), 200);
    await first.close();
    const second = await startApp(config());
    assert.equal(await knows(client, second.url), 200);
    await second.close();
  });

  it("A6: the cookie is HttpOnly and SameSite=Lax, lives two weeks, and is Secure over HTTPS", async () => {
    const { email } = await register(app.url);
    const proxied = await startApp({ ...config(), trustedProxies: ["127.0.0.1"] });
    const login = async (url: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(`${url}/api/session`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify({ email, password }),
      });
      const lines = answer.headers.getSetCookie();
      return lines.find((line) => /^(__Host-)?hastack-session=/.test(line)) ?? "";
    };
    const plain = await login(app.url, { "X-Forwarded-Proto": "https" });
    assert.match(plain, /^hastack-session=.*; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Lax$/);
    const expires = Date.parse(/Expires=([^;]+)/.exec(plain)?.[1] ?? "");
    assert.ok(Math.abs(expires - Date.now() - 14 * 86_400_000) < 60_000);
    assert.match(await login(proxied.url, { "X-Forwarded-Proto": "https" }), /; Secure/);
    await proxied.close();
  });

  it("A6: visitors who never log in get no session and no cookie", async () => {
    const before = await sql("SELECT FROM session");
    const answer = await fetch(app.url);
    assert.deepEqual(answer.headers.getSetCookie(), []);
    assert.equal((await sql("SELECT FROM session")).length, before.length);
  });

  it("A6: looking at pages writes nothing, logged in or not", async () => {
    const { client, email } = await register(app.url);
    // Every transaction that writes takes a number, also one that is rolled back.
    const taken = async () =>
      (await sql<{ next: string }>("SELECT pg_snapshot_xmax(pg_current_snapshot()) AS next"))[0]
        ?.next;
    const paths = ["/", "/offers", "/account", "/bookings", "/login", "/api/account"];
    let before = await taken();
    const look = async () => {
      before = await taken();
      for (const who of [client, new Client(app.url)]) {
        for (const path of [...paths, ...paths]) {
          const { answer } = await who.page(path);
          const set = answer.headers.getSetCookie().map((line) => line.split("=", 1)[0]);
          assert.ok(!set.some((one) => one?.endsWith("hastack-session")), path);
        }
      }
      return (await taken()) === before;
    };
    // The server's own housekeeping takes a number now and then; pages would in every round.
    let unmoved = false;
    for (let round = 0; round < 5 && !unmoved; round += 1) unmoved = await look();
    assert.ok(unmoved, "a page has written in each of five rounds");
    await new Client(app.url).json("POST", "/api/session", { email, password });
    assert.notEqual(await taken(), before);
  });

  it("A6: a login gets a new id, and ends the session that the browser had", async () => {
    const { client, email } = await register(app.url);
    const old = client.at(app.url);
    const planted = idOf(client);
    await client.json("POST", "/api/session", { email, password });
    assert.notEqual(idOf(client), planted);
    assert.equal(await knows(client, app.url), 200);
    assert.equal(await knows(old, app.url), 401);
  });

  it("A6: a login beyond twenty sessions ends the oldest, of this account alone", async () => {
    const { client, id, email } = await register(app.url);
    const other = await visitor(postgres, name, app.url);
    await sql(
      `INSERT INTO session SELECT sha256(('other' || n)::bytea), ${id}, now() + interval '20 days'
       FROM generate_series(1, 19) n`,
    );
    assert.equal(await knows(client, app.url), 200);
    const last = new Client(app.url);
    await last.json("POST", "/api/session", { email, password });
    const seen = [client, last, other.client].map((one) => knows(one, app.url));
    assert.deepEqual(await Promise.all(seen), [401, 200, 200]);
    assert.equal((await sql(`SELECT FROM session WHERE account_id = ${id}`)).length, 20);
  });

  it("A6: an id that is not signed, or signed with another secret, is nobody's", async () => {
    const { client } = await visitor(postgres, name, app.url);
    const id = idOf(client);
    for (const value of [id, `s:${id}.x`, `s:${id}`, encodeURIComponent(`s:${id}.AAAA`)]) {
      const forged = new Client(app.url);
      forged.cookies.set("hastack-session", value);
      assert.equal(await knows(forged, app.url), 401);
    }
    for (const secret of ["another-secret-than-ours", sessionSecrets.admin]) {
      const foreign = await visitor(postgres, name, app.url, secret);
      assert.equal(await knows(foreign.client, app.url), 401);
    }
  });

  it("N3, A6: one that the secret before has signed goes on under the signature of the one of now", async () => {
    const formerly = "a-secret-of-the-time-before";
    const both = await startApp({
      ...config(),
      sessionSecrets: [sessionSecrets.storefront, formerly],
    });
    try {
      const { client } = await visitor(postgres, name, both.url, formerly);
      const old = client.at(both.url);
      const id = idOf(client);
      assert.equal(
        await knows(old, app.url),
        401,
        "the secret before is not taken where there is one",
      );
      assert.equal(await status(client.json("GET", "/api/account")), 200);
      assert.equal(idOf(client), id);
      // From now on it is one of the present secret's, and is not signed again
      assert.equal(await knows(client, app.url), 200);
      const { answer } = await client.page("/account");
      assert.deepEqual(
        answer.headers.getSetCookie().filter((one) => one.includes("session")),
        [],
      );
      const forged = await visitor(postgres, name, both.url, "a-secret-of-somebody-else");
      assert.equal(await knows(forged.client, both.url), 401);
    } finally {
      await both.close();
    }
  });

  it("A6: those that the releases before signed with a secret of both tiers go on, and can end", async () => {
    const { client } = await visitor(postgres, name, app.url, config().cookieSecrets[0]);
    assert.equal(await knows(client, app.url), 200);
    const copy = client.at(app.url);
    assert.equal(await status(client.json("DELETE", "/api/session")), 204);
    assert.ok(!client.cookies.has("hastack-session"));
    assert.equal(await knows(copy, app.url), 401);
  });

  it("A6: the table holds a digest: a copy of it opens nothing", async () => {
    const { client, id } = await register(app.url);
    const [row] = await sql<{ id_hash: Buffer }>(
      `SELECT id_hash FROM session WHERE account_id = ${id}`,
    );
    const digest = createHash("sha256").update(idOf(client)).digest();
    assert.deepEqual(row?.id_hash, digest);
  });

  it("A6: end after their time, and are swept with all else that has had its time", async () => {
    const { client, id } = await visitor(postgres, name, app.url);
    const other = await visitor(postgres, name, app.url);
    await sql(`UPDATE session SET expires_at = now() - interval '1 s' WHERE account_id = ${id}`);
    await sql(`INSERT INTO password_reset VALUES ('a', ${id}, now()), ('b', ${id}, now() + '1 h')`);
    await sql("INSERT INTO login_failure VALUES ('a', 1, now()), ('b', 1, now() + '1 h')");
    await sql("INSERT INTO administrator_login_failure VALUES ('a', 1, now())");
    await sql("INSERT INTO administrator_session SELECT 'a', id, now() FROM administrator");
    assert.equal(await knows(client, app.url), 401);
    const database = new Database(config("admin"), () => {});
    await database.write(forgetExpired, { idempotent: true });
    await database.close();
    assert.equal((await sql(`SELECT FROM session WHERE account_id = ${id}`)).length, 0);
    assert.equal(await knows(other.client, app.url), 200);
    assert.equal((await sql("SELECT FROM password_reset")).length, 1);
    assert.equal((await sql("SELECT FROM login_failure WHERE subject IN ('a', 'b')")).length, 1);
    assert.equal((await sql("SELECT FROM administrator_login_failure")).length, 0);
    assert.equal((await sql("SELECT FROM administrator_session")).length, 0);
  });

  it("A6: a login with a password that is changed meanwhile opens nothing", async () => {
    const { id, email } = await register(app.url);
    const change = new pg.Client({
      host: "127.0.0.1",
      port: postgres.port,
      user: "postgres",
      database: name,
    });
    await change.connect();
    await change.query("BEGIN");
    await change.query("UPDATE account SET password_hash = 'other' WHERE id = $1", [id]);
    await change.query("DELETE FROM session WHERE account_id = $1", [id]);
    let answered = false;
    const answer = new Client(app.url)
      .json("POST", "/api/session", { email, password })
      .finally(() => {
        answered = true;
      });
    const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = ";
    await until(
      "the login waits for the change",
      async () => answered || (await sql(`${waits}'${name}'`)).length > 0,
    );
    await change.query("COMMIT");
    await change.end();
    assert.equal((await answer).status, 401);
    assert.deepEqual(await sql(`SELECT FROM session WHERE account_id = ${id}`), []);
  });

  describe("A6: changes that another site asks for", () => {
    const post = (client: Client, headers: Record<string, string>) =>
      status(client.send("/logout", { method: "POST", headers }));
    const anonymous = () => new Client(app.url);

    for (const [what, headers, expected] of [
      ["another origin", { Origin: "http://evil.example" }, 403],
      ["no origin to be named", { Origin: "null" }, 403],
      ["a neighbour's origin", { "Sec-Fetch-Site": "same-site" }, 403],
      ["its own origin", {}, 303],
      ["its own site", { "Sec-Fetch-Site": "same-origin" }, 303],
    ] as [string, Record<string, string>, number][]) {
      it(`A6: from ${what}: ${expected}`, async () => {
        const { client } = await visitor(postgres, name, app.url);
        assert.equal(await post(client, headers), expected);
        assert.equal(await knows(client, app.url), expected === 403 ? 200 : 401);
      });
    }

    it("A6: with a session's cookie and without an origin: 403, and how to do it", async () => {
      const { client } = await visitor(postgres, name, app.url);
      const { Origin, ...headers } = client.headers;
      assert.ok(Origin);
      const answer = await fetch(`${app.url}/api/session`, { method: "DELETE", headers });
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), new RegExp(`Origin: ${app.url}`));
      assert.equal(await knows(client, app.url), 200);
      // Without a cookie there is nothing to misuse: scripts need no origin.
      assert.equal(await status(fetch(`${app.url}/api/session`, { method: "DELETE" })), 204);
      assert.equal(await post(anonymous(), {}), 303);
    });

    it("A14: the administrators' cookie likewise, and it is sent to their pages alone", async () => {
      const admin = await startApp(config("admin"));
      const client = await adminClient(admin.url);
      const { Cookie = "" } = client.headers;
      const leave = (headers: Record<string, string>) =>
        status(fetch(`${admin.url}/admin/logout`, { method: "POST", headers, redirect: "manual" }));
      assert.equal(await leave({ Cookie }), 403);
      assert.equal(await leave({ Cookie, Origin: "http://evil.example" }), 403);
      const again = await client.form("/admin/login", { name: "admin", password: "x" });
      assert.equal(again.status, 401);
      const line = (await adminLogin(admin.url)).headers
        .getSetCookie()
        .find((one) => one.startsWith("hastack-admin="));
      assert.match(line ?? "", /; Path=\/admin; Expires=[^;]+; HttpOnly; SameSite=Lax$/);
      await admin.close();
    });
  });

  const adminLogin = (url: string) =>
    new Client(url).form("/admin/login", { name: "admin", password: "password-of-the-admin" });
});

describe("sessions on a standby that lags", function () {
  this.timeout(120_000);
  let primary: Postgres;
  let standby: Postgres;
  let name: string;
  let uploads: string;
  let app: TestApp;

  before(async () => {
    primary = await startPrimary("sessions");
    standby = await startStandby(primary, { synchronous: true });
    name = await createDatabase(primary);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, primary);
    await until(
      "the standby has the tables",
      () => standby.sql("SELECT FROM session", name),
      (rows) => rows.length === 0,
    );
    app = await startApp(
      serverConfig("storefront", { name, writer: primary, reader: standby }, uploads),
    );
  });
  after(async () => {
    await app?.close();
    await Promise.all([primary?.remove(), standby?.remove()]);
    if (uploads) await rm(uploads, { recursive: true });
  });
  beforeEach(async () => void (await standby.sql("SELECT pg_wal_replay_pause()")));
  afterEach(async () => void (await standby.sql("SELECT pg_wal_replay_resume()")));

  it("A11: whoever has just registered is known on the next page", async () => {
    const { client, id } = await register(app.url);
    assert.deepEqual(await standby.sql(`SELECT FROM account WHERE id = ${id}`, name), []);
    const { status: seen, text } = await client.page("/account");
    assert.equal(seen, 200);
    assert.match(text, /Your account/);
    await client.form("/account/name", { name: "Just changed" });
    assert.match((await client.page("/account")).text, /value="Just changed"/);
    await client.form("/logout", {});
    assert.equal((await client.page("/account")).status, 303);
  });

  it("A11: a new session is found by its cookie alone", async () => {
    const { client } = await register(app.url);
    client.cookies.delete("hastack-position");
    assert.equal(await status(client.json("GET", "/api/account")), 200);
  });

  it("A6: one that has ended changes nothing more, though the standby still knows it", async () => {
    await standby.sql("SELECT pg_wal_replay_resume()");
    const { client, id, email } = await register(app.url);
    const elsewhere = new Client(app.url);
    await elsewhere.json("POST", "/api/session", { email, password });
    const known = () => standby.sql(`SELECT FROM session WHERE account_id = ${id}`, name);
    await until("the standby knows both", known, (rows) => rows.length === 2);
    await standby.sql("SELECT pg_wal_replay_pause()");
    // As somebody else has them, who does not know how far the owner has come.
    const copies = [client.at(app.url), elsewhere.at(app.url)];
    for (const copy of copies) copy.cookies.delete("hastack-position");
    const change = { currentPassword: password, password: "the owner's next password" };
    assert.equal(await status(client.json("PATCH", "/api/account", change)), 200);
    assert.equal(await status(client.json("DELETE", "/api/session")), 204);
    assert.equal((await known()).length, 2);
    for (const copy of copies) {
      assert.equal(await status(copy.json("PATCH", "/api/account", { name: "Thief" })), 401);
    }
  });

  it("A6: a session lasts while the primary is away", async () => {
    await standby.sql("SELECT pg_wal_replay_resume()");
    const { client, id } = await register(app.url);
    await until(
      "the standby knows",
      () => standby.sql(`SELECT FROM session WHERE account_id = ${id}`, name),
      (rows) => rows.length === 1,
    );
    await primary.pause();
    try {
      assert.equal(await status(client.json("GET", "/api/account")), 200);
    } finally {
      await primary.unpause();
    }
  });
});
