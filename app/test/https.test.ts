import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
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
import { createDatabase } from "./support/postgres.ts";
import { Client, password } from "./support/visitor.ts";

/** Both tiers, behind a load balancer that they trust or one that they do not. */
interface Pair {
  storefront: TestApp;
  admin: TestApp;
}

describe("behind a load balancer that speaks HTTPS", function () {
  this.timeout(90_000);
  let uploads: string;
  let trusting: Pair;
  let wary: Pair;
  let visitors = 0;

  before(async () => {
    const postgres = await sharedPostgres();
    const name = await createDatabase(postgres);
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
    const visitor = browser(storefront.url, scheme, origin);
    const administrator = browser(admin.url, scheme, origin);
    visitors += 1;
    const email = `by-${scheme}-${visitors}@example.com`;
    const added = form({ quote: "By HTTPS", title: "Testville" }, { content: png() });
    const answers = [
      await visitor.form("/register", { name: "Ada", email, password }),
      await visitor.send("/reset?token=0123456789", { headers: { Accept: "text/html" } }),
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

  it("L9: every cookie is for HTTPS alone", async () => {
    const cookies = await cookiesOf(trusting, "https");
    assert.deepEqual([...cookies.keys()].sort(), all);
    for (const line of cookies.values()) assert.match(line, /; Secure(;|$)/);
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
