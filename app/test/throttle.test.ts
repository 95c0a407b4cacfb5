import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { hashPassword } from "../src/domain/passwords.ts";
import { clientNetwork, visitorGuess } from "../src/domain/throttle.ts";
import { adminPassword, basicAuth } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { watchScrypt } from "./support/scrypt.ts";
import { Client, password, register } from "./support/visitor.ts";

describe("throttle", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  /** Two instances that believe what this process says of clients, and one that does not. */
  let apps: TestApp[];
  let direct: TestApp;
  let admins: TestApp[];
  let email: string;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin", trustedProxies: string[]) =>
      startApp({ ...serverConfig(tier, { name, writer: postgres }, uploads), trustedProxies });
    const proxy = ["127.0.0.1"];
    apps = await Promise.all([start("storefront", proxy), start("storefront", proxy)]);
    direct = await start("storefront", []);
    admins = await Promise.all([start("admin", proxy), start("admin", proxy)]);
    email = (await register(direct.url)).email;
  });
  after(async () => {
    await Promise.all([...apps, direct, ...admins].map((app) => app.close()));
    await rm(uploads, { recursive: true });
  });
  const forget = () => postgres.sql("TRUNCATE login_failure, administrator_login_failure", name);
  beforeEach(async () => {
    await forget();
  });

  interface Try {
    password?: string;
    from?: string;
    who?: string;
  }

  const send = (at: number, { password: given = "wrong password", from, who = email }: Try) =>
    fetch(`${apps[at % apps.length]?.url}/api/session`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(from === undefined ? {} : { "X-Forwarded-For": from }),
      },
      body: JSON.stringify({ email: who, password: given }),
    });
  const statuses = async (answers: Promise<Response>[]) =>
    (await Promise.all(answers)).map((answer) => answer.status);
  /** Makes as if so many attempts had been made, by those that are counted now. */
  const pretend = async (attempts: number) => {
    for (const table of ["login_failure", "administrator_login_failure"]) {
      await postgres.sql(`UPDATE ${table} SET failures = ${attempts}`, name);
    }
  };

  it("A6: the sixth wrong password for one address from one client: 429 with Retry-After, on any instance", async () => {
    for (let i = 0; i < 5; i += 1) {
      assert.equal((await send(i, { from: "198.51.100.1" })).status, 401);
    }
    const answer = await send(5, { from: "198.51.100.1", password });
    assert.equal(answer.status, 429);
    const wait = Number(answer.headers.get("retry-after"));
    assert.ok(wait > 14 * 60 && wait <= 15 * 60, String(wait));
    const body = (await answer.json()) as { error: string; message: string };
    assert.equal(body.error, "too-many-attempts");
    assert.match(body.message, /Try again in 15 minutes/);
    // Others are not concerned, nor is the address's owner elsewhere.
    assert.equal((await send(0, { from: "198.51.100.2", password })).status, 200);
    assert.equal((await send(0, { from: "198.51.100.1", who: "x@example.com" })).status, 401);
  });

  it("A6: attempts at the same moment on both instances count each", async () => {
    const seen = await statuses(
      Array.from({ length: 20 }, (_, i) => send(i, { from: "198.51.100.3" })),
    );
    assert.equal(seen.filter((status) => status === 401).length, 5, seen.join(" "));
    assert.equal(seen.filter((status) => status === 429).length, 15, seen.join(" "));
  });

  it("A6: a success clears the pair, and takes its own attempt back from the rest", async () => {
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 3; i += 1) await send(i, { from: "198.51.100.4" });
      assert.equal((await send(round, { from: "198.51.100.4", password })).status, 200);
    }
    const rows = await postgres.sql<{ failures: number }>(
      "SELECT failures FROM login_failure ORDER BY failures",
      name,
    );
    assert.deepEqual(
      rows.map((row) => row.failures),
      // The last one counts successes as well.
      [0, 9, 9, 12],
    );
  });

  it("A6: one client with many addresses is stopped", async () => {
    await send(0, { from: "198.51.100.5", who: "a@example.com" });
    await pretend(50);
    assert.equal((await send(1, { from: "198.51.100.5", who: "b@example.com" })).status, 429);
    assert.equal((await send(1, { from: "198.51.100.6", who: "b@example.com" })).status, 401);
  });

  it("A6: one address from many clients is stopped", async () => {
    await send(0, { from: "198.51.100.7" });
    await pretend(100);
    assert.equal((await send(1, { from: "198.51.100.8", password })).status, 429);
    assert.equal((await send(1, { from: "198.51.100.8", who: "c@example.com" })).status, 401);
  });

  it("A6: so is one client that logs in without end, with the right password", async () => {
    assert.equal((await send(0, { from: "198.51.100.12", password })).status, 200);
    await postgres.sql("UPDATE login_failure SET failures = 299 WHERE failures = 1", name);
    assert.equal((await send(1, { from: "198.51.100.12", password })).status, 200);
    assert.equal((await send(0, { from: "198.51.100.12", password })).status, 429);
    assert.equal((await send(1, { from: "198.51.100.13", password })).status, 200);
  });

  it("A6: an attempt that could not be made does not count, at any of the doors", async () => {
    const client = new Client(direct.url);
    assert.equal((await client.json("POST", "/api/session", { email, password })).status, 200);
    const watch = watchScrypt();
    const held = Promise.withResolvers<void>();
    watch.before = () => held.promise;
    // Two are at it, and twenty wait.
    const queue = Array.from({ length: 22 }, (_, i) => hashPassword(`somebody's password ${i}`));
    try {
      const counts = () =>
        postgres.sql(
          "SELECT * FROM login_failure UNION ALL SELECT * FROM administrator_login_failure",
          name,
        );
      await forget();
      const change = { currentPassword: password, password };
      const answers = [
        await client.json("POST", "/api/session", { email, password }),
        await client.json("PATCH", "/api/account", change),
        await client.json("DELETE", "/api/account", { password }),
        await new Client(admins[0]?.url ?? "").form("/admin/login", {
          ...{ name: "admin", password: adminPassword },
        }),
      ];
      assert.deepEqual(
        answers.map((answer) => answer.status),
        [503, 503, 503, 503],
      );
      const rows = (await counts()) as { failures: number }[];
      assert.equal(rows.length, 7);
      assert.deepEqual(new Set(rows.map((row) => row.failures)), new Set([0]));
    } finally {
      held.resolve();
      watch.end();
      await Promise.all(queue);
    }
  });

  it("A14: the administrator is not locked out from elsewhere", async () => {
    const logIn = (from: string, given: string) =>
      fetch(`${admins[0]?.url}/admin/login`, {
        ...{ method: "POST", redirect: "manual", headers: { "X-Forwarded-For": from } },
        body: new URLSearchParams({ name: "admin", password: given }),
      });
    assert.equal((await logIn("198.51.100.14", "wrong password")).status, 401);
    await pretend(1000);
    assert.equal((await logIn("198.51.100.14", adminPassword)).status, 429);
    assert.equal((await logIn("198.51.100.15", adminPassword)).status, 303);
  });

  it("A6: a reset link lets the owner in again, whatever was guessed, here or elsewhere", async () => {
    await send(0, { from: "198.51.100.16" });
    await postgres.sql(
      `UPDATE login_failure SET failures = 1000 WHERE subject IN (${ownersSubjects("198.51.100.16")})`,
      name,
    );
    assert.equal((await send(0, { from: "198.51.100.16", password })).status, 429);
    assert.equal((await send(0, { from: "198.51.100.17", password })).status, 429);
    await postgres.sql(
      `INSERT INTO password_reset SELECT sha256('link'), id, now() + interval '1 hour'
       FROM account WHERE email = '${email}'`,
      name,
    );
    const answer = await fetch(`${apps[0]?.url}/api/password-reset`, {
      method: "PUT",
      headers: { "Content-Type": "application/json", "X-Forwarded-For": "198.51.100.16" },
      body: JSON.stringify({ token: "link", password }),
    });
    assert.equal(answer.status, 204);
    assert.equal((await send(0, { from: "198.51.100.16", password })).status, 200);
    assert.equal((await send(0, { from: "198.51.100.17", password })).status, 200);
  });

  /** Those of a pair and of an address, in SQL. */
  const ownersSubjects = (from: string) =>
    visitorGuess(email, from)
      .filter((_, at) => at === 0 || at === 3)
      .map(({ key }) => `'${key}'`);

  it("A6: the window passes", async () => {
    await send(0, { from: "198.51.100.9" });
    await pretend(1000);
    assert.equal((await send(0, { from: "198.51.100.9", password })).status, 429);
    await postgres.sql("UPDATE login_failure SET expires_at = now()", name);
    assert.equal((await send(0, { from: "198.51.100.9", password })).status, 200);
  });

  it("A6: forged X-Forwarded-For is no way around: only the trusted proxy's own word counts", async () => {
    const forge = (url: string, i: number) =>
      fetch(`${url}/api/session`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          // The proxy appends whom it saw; what comes before is the client's invention.
          "X-Forwarded-For": `203.0.113.${i}${url === direct.url ? "" : ", 198.51.100.10"}`,
        },
        body: JSON.stringify({ email, password: "wrong password" }),
      });
    for (const url of [direct.url, apps[0]?.url ?? ""]) {
      const seen: number[] = [];
      for (let i = 0; i < 6; i += 1) seen.push((await forge(url, i)).status);
      assert.deepEqual(seen, [401, 401, 401, 401, 401, 429]);
    }
  });

  it("A6: the current password is guarded likewise when something is changed", async () => {
    const client = new Client(direct.url);
    await client.json("POST", "/api/session", { email, password });
    const guess = () =>
      client.json("PATCH", "/api/account", { currentPassword: "wrong password", password });
    const seen: number[] = [];
    for (let i = 0; i < 6; i += 1) seen.push((await guess()).status);
    assert.deepEqual(seen, [422, 422, 422, 422, 422, 429]);
    assert.equal((await client.json("DELETE", "/api/account", { password })).status, 429);
  });

  it("A6: who tries which addresses are taken is stopped", async () => {
    const take = () =>
      new Client(direct.url).json("POST", "/api/account", { name: "x", email, password });
    assert.equal((await take()).status, 409);
    await pretend(20);
    assert.equal((await take()).status, 429);
  });

  it("A6: so is who registers without end", async () => {
    const make = (at: number) => {
      const body = { name: "x", email: `many-${at}@example.com`, password };
      return new Client(direct.url).json("POST", "/api/account", body);
    };
    assert.equal((await make(1)).status, 201);
    await pretend(100);
    assert.equal((await make(2)).status, 429);
  });

  it("A6: a form says how long to wait", async () => {
    const client = new Client(direct.url);
    await client.form("/login", { email, password: "wrong password" });
    await pretend(1000);
    const answer = await client.form("/login", { email, password });
    assert.equal(answer.status, 429);
    assert.ok(answer.headers.get("retry-after"));
    assert.match(await answer.text(), /role="alert">Too many attempts\. Try again in 15 minutes\./);
  });

  it("A14: the administrators' two doors share one count, apart from the visitors'", async () => {
    const byForm = (at: number, given: string) =>
      new Client(admins[at % 2]?.url ?? "").form("/admin/login", {
        name: "admin",
        password: given,
      });
    const byBasic = (at: number, given: string) =>
      fetch(`${admins[at % 2]?.url}/api/content/1`, {
        method: "DELETE",
        headers: { Authorization: basicAuth(given) },
      });
    const seen: number[] = [];
    for (let i = 0; i < 3; i += 1) seen.push((await byForm(i, `wrong ${i}`)).status);
    for (let i = 0; i < 3; i += 1) seen.push((await byBasic(i, `wrong ${i}`)).status);
    assert.deepEqual(seen, [401, 401, 401, 401, 401, 429]);
    assert.equal((await byForm(0, adminPassword)).status, 429);
    assert.equal((await byBasic(1, adminPassword)).status, 429);
    await postgres.sql("UPDATE administrator_login_failure SET expires_at = now()", name);
    assert.deepEqual(await postgres.sql("SELECT FROM login_failure", name), []);
    assert.equal((await byBasic(1, adminPassword)).status, 404);
    assert.equal((await byForm(0, adminPassword)).status, 303);
  });

  it("A6: the table names nobody", async () => {
    await send(0, { from: "198.51.100.11" });
    const rows = await postgres.sql<{ subject: string }>("SELECT subject FROM login_failure", name);
    assert.equal(rows.length, 4);
    for (const { subject } of rows) assert.match(subject, /^[\w-]{43}$/);
  });

  for (const [address, network] of [
    ["198.51.100.1", "198.51.100.1"],
    ["::ffff:198.51.100.1", "198.51.100.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::9", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["unknown", "unknown"],
  ] as const) {
    it(`A6: ${address} counts as ${network}`, () => {
      assert.equal(clientNetwork(address), network);
    });
  }
});
