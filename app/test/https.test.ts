import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import type { Request } from "express";
import { type Position, unknownPosition } from "../src/data/database.ts";
import { positionOf, sealPosition } from "../src/http/position.ts";
import { adminPassword } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { Client, password, visitor } from "./support/visitor.ts";

/** Both tiers, behind a load balancer that they trust or one that they do not. */
interface Pair {
  storefront: TestApp;
  admin: TestApp;
}

describe("behind a load balancer that speaks HTTPS", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let trusting: Pair;
  let wary: Pair;
  let visitors = 0;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = async (trustedProxies: string[]): Promise<Pair> => {
      const tier = (which: "storefront" | "admin") =>
        startApp({ ...serverConfig(which, { name, writer: postgres }, uploads), trustedProxies });
      return { storefront: await tier("storefront"), admin: await tier("admin") };
    };
    trusting = await start(["127.0.0.1"]);
    wary = await start(["192.0.2.1"]);
  });
  after(async () => {
    for (const pair of [trusting, wary]) {
      await pair?.storefront.close();
      await pair?.admin.close();
    }
    if (uploads) await rm(uploads, { recursive: true });
  });

  /** A browser at the site, as the load balancer hands its requests on. */
  function browser(url: string, scheme: "http" | "https", origin = scheme): Client {
    return new Client(url, `${origin}://${new URL(url).host}`, { "X-Forwarded-Proto": scheme });
  }

  /** Every cookie that visitors and administrators are given, as its name and its attributes. */
  async function cookiesOf(
    { storefront, admin }: Pair,
    scheme: "http" | "https",
  ): Promise<Map<string, string>> {
    const origin = scheme === "https" && storefront === trusting.storefront ? "https" : "http";
    const somebody = browser(storefront.url, scheme, origin);
    const administrator = browser(admin.url, scheme, origin);
    visitors += 1;
    const email = `by-${scheme}-${visitors}@example.com`;
    const added = form({ quote: "By HTTPS", title: "Testville" }, { content: png() });
    const answers = [
      await somebody.form("/register", { name: "Ada", email, password }),
      await somebody.send("/reset?token=0123456789", { headers: { Accept: "text/html" } }),
      await administrator.form("/admin/login", { name: "admin", password: adminPassword }),
      await administrator.send("/admin/content", { method: "POST", body: added }),
    ];
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [303, 303, 303, 303],
    );
    const lines = answers.flatMap((answer) => answer.headers.getSetCookie());
    return new Map(lines.map((line) => [line.split("=")[0] ?? "", line]));
  }

  const all = [
    "hastack-admin",
    "hastack-flash",
    "hastack-position",
    "hastack-reset",
    "hastack-session",
  ];

  it("L9: every cookie is for HTTPS alone, and no subdomain can set one for the whole site", async () => {
    const cookies = await cookiesOf(trusting, "https");
    assert.deepEqual([...cookies.keys()].sort(), [
      "__Host-hastack-flash",
      "__Host-hastack-position",
      "__Host-hastack-session",
      // Browsers send these below a path alone
      "__Secure-hastack-admin",
      "__Secure-hastack-reset",
    ]);
    for (const [name, line] of cookies) {
      assert.match(line, /; Secure(;|$)/);
      assert.doesNotMatch(line, /; Domain=/i);
      if (name.startsWith("__Host-")) assert.match(line, /; Path=\/;/);
    }
  });

  it("L9: none is where the load balancer was asked by plain HTTP", async () => {
    const cookies = await cookiesOf(trusting, "http");
    assert.deepEqual([...cookies.keys()].sort(), all);
    for (const line of cookies.values()) assert.doesNotMatch(line, /Secure/);
  });

  it("L9, L7: nobody else can say that a request came by HTTPS", async () => {
    const cookies = await cookiesOf(wary, "https");
    assert.deepEqual([...cookies.keys()].sort(), all);
    for (const line of cookies.values()) assert.doesNotMatch(line, /Secure/);
  });

  const cookieOf = (client: Client, name: string) =>
    [name, client.cookies.get(name) ?? ""] as const;

  it("L9, A6: a session that the release before began by HTTPS goes on, and ends by a logout", async () => {
    const { url } = trusting.storefront;
    const { cookieSecrets } = serverConfig("storefront", { name, writer: postgres }, uploads);
    const before = await visitor(postgres, name, url, cookieSecrets[0]);
    const client = browser(url, "https");
    client.cookies.set(...cookieOf(before.client, "hastack-session"));
    assert.equal((await client.json("GET", "/api/account")).status, 200);
    // Who logs in again has a session of now, and the other one is over
    const old = client.cookies.get("hastack-session") ?? "";
    const made = { name: "Ada", email: "again@example.com", password };
    assert.equal((await client.json("POST", "/api/account", made)).status, 201);
    assert.ok(client.cookies.has("__Host-hastack-session"));
    const copy = browser(url, "https");
    copy.cookies.set("hastack-session", old);
    assert.equal((await copy.json("GET", "/api/account")).status, 401);
    const account = await (await client.json("GET", "/api/account")).json();
    assert.equal((account as { email: string }).email, made.email);
    assert.equal((await client.json("DELETE", "/api/session")).status, 204);
    const left = [...client.cookies.keys()].filter((one) => one.endsWith("hastack-session"));
    assert.deepEqual(left, []);
  });

  it("L9, A6: a session of now that somebody puts under the plain name is nobody's", async () => {
    const { url } = trusting.storefront;
    const attacker = await visitor(postgres, name, url);
    const planted = browser(url, "https");
    planted.cookies.set(...cookieOf(attacker.client, "hastack-session"));
    assert.equal((await planted.json("GET", "/api/account")).status, 401);
    planted.cookies.set("__Host-hastack-session", planted.cookies.get("hastack-session") ?? "");
    assert.equal((await planted.json("GET", "/api/account")).status, 200);
  });

  it("L9, A14: likewise for administrators", async () => {
    const { url } = trusting.admin;
    const client = browser(url, "https");
    await client.form("/admin/login", { name: "admin", password: adminPassword });
    const [, value] = cookieOf(client, "__Secure-hastack-admin");
    const planted = browser(url, "https");
    planted.cookies.set("hastack-admin", value);
    assert.equal((await planted.page("/admin")).status, 303);
    assert.equal((await client.page("/admin")).status, 200);
    await client.form("/admin/logout", {});
    assert.ok(!client.cookies.has("__Secure-hastack-admin"));
  });

  it("L9, A11: positions that the release before wrote count, and beside one of now the primary is asked", () => {
    const secret = ["cookie-secret-of-the-tests"];
    const [early, late] = ["0/1", "0/2"].map((one) => sealPosition(secret, one as Position));
    const seen = (secure: boolean, cookies: string) =>
      positionOf({ secure, headers: { cookie: cookies } } as unknown as Request, secret);
    assert.equal(seen(true, `hastack-position=${early}`), "0/1");
    assert.equal(seen(true, `__Host-hastack-position=${late}`), "0/2");
    const both = `__Host-hastack-position=${early}; hastack-position=${late}`;
    assert.equal(seen(true, both), unknownPosition);
    assert.equal(seen(false, both), "0/2");
    assert.equal(seen(true, "__Host-hastack-position=x; hastack-position=y"), undefined);
  });

  it("L9, A6: who logs in stays logged in, and out once logged out", async () => {
    const client = browser(trusting.storefront.url, "https");
    const email = "stays@example.com";
    const made = await client.json("POST", "/api/account", { name: "Ada", email, password });
    assert.equal(made.status, 201);
    assert.equal((await client.json("GET", "/api/account")).status, 200);
    assert.equal((await client.json("DELETE", "/api/session")).status, 204);
    assert.equal((await client.json("GET", "/api/account")).status, 401);
  });

  for (const [what, headers, expected] of [
    ["its own origin", {}, 303],
    ["its own origin, as the browser says", { "Sec-Fetch-Site": "same-origin" }, 303],
    ["its own name by plain HTTP", { Origin: "http://HOST" }, 403],
    ["its own name at another port", { Origin: "https://HOST0" }, 403],
    ["another origin", { Origin: "https://evil.example" }, 403],
  ] as [string, Record<string, string>, number][]) {
    it(`L9, A6: a change asked for by ${what}: ${expected}`, async () => {
      const { url } = trusting.storefront;
      const client = browser(url, "https");
      const named = Object.entries(headers).map(([name, value]) => [
        name,
        value.replace("HOST", new URL(url).host),
      ]);
      const answer = await client.send("/logout", {
        ...{ method: "POST", headers: Object.fromEntries(named) },
      });
      assert.equal(answer.status, expected);
    });
  }

  it("L9, A6: who names no origin is told the one of HTTPS", async () => {
    const { url } = trusting.storefront;
    const headers = { "X-Forwarded-Proto": "https", Cookie: "hastack-session=x" };
    const answer = await fetch(`${url}/api/session`, { method: "DELETE", headers });
    assert.equal(answer.status, 403);
    assert.ok((await answer.text()).includes(`Origin: https://${new URL(url).host}`));
  });
});
