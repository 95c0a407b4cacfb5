import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { Client, password, register, visitor } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

describe("accounts", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let app: TestApp;
  let other: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, [postgres]);
    const start = () => startApp(serverConfig("storefront", { name, writer: postgres }, uploads));
    [app, other] = await Promise.all([start(), start()]);
  });
  after(async () => {
    await Promise.all([app?.close(), other?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });

  it("A6: register, see the account, log out, log in: as JSON", async () => {
    const { client, id, email } = await register(app.url);
    const account = await client.json("GET", "/api/account");
    assert.deepEqual(await account.json(), { id, name: "Ada", email });
    assert.equal((await client.json("DELETE", "/api/session")).status, 204);
    assert.equal((await client.json("GET", "/api/account")).status, 401);
    const back = await client.json("POST", "/api/session", { email, password });
    assert.deepEqual([back.status, await back.json()], [200, { id, name: "Ada", email }]);
    assert.equal((await client.json("GET", "/api/account")).status, 200);
  });

  it("A6: register, see the account, log out, log in: as pages", async () => {
    const client = new Client(app.url);
    const email = "pages@example.com";
    const wanted = await client.page("/account");
    assert.equal(wanted.answer.headers.get("location"), "/login?next=%2Faccount");
    const made = await client.form("/register", { name: "Bo", email, password, next: "/account" });
    assert.deepEqual([made.status, made.headers.get("location")], [303, "/account"]);
    assert.match((await client.page("/account")).text, /pages@example\.com/);
    assert.equal((await client.form("/logout", {})).headers.get("location"), "/");
    assert.equal((await client.page("/account")).status, 303);
    const back = await client.form("/login", { email, password, next: "/account" });
    assert.equal(back.headers.get("location"), "/account");
    assert.equal((await client.page("/account")).status, 200);
  });

  it("A6: a session is everybody's: another instance knows it", async () => {
    const { client, id } = await visitor(postgres, name, app.url);
    for (const url of [app.url, other.url]) {
      const answer = await client.at(url).json("GET", "/api/account");
      assert.equal(((await answer.json()) as Json).id, id);
    }
  });
});
