import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { PassThrough } from "node:stream";
import { Database } from "../src/data/database.ts";
import { forgetIdle } from "../src/domain/sessions.ts";
import { createLog } from "../src/run/log.ts";
import { startInstance } from "../src/run/server.ts";
import { adminClient, adminPassword, asAdmin, basicAuth } from "./support/admin.ts";
import {
  files,
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { watchScrypt } from "./support/scrypt.ts";
import { until } from "./support/until.ts";
import { Client, visitor } from "./support/visitor.ts";

const status = async (answer: Promise<Response>) => (await answer).status;

describe("administrators", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let app: TestApp;
  let storefront: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    uploads = await uploadsDirectory();
  });
  after(async () => {
    await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    name = await createDatabase(postgres);
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name, writer: postgres }, uploads));
    [app, storefront] = await Promise.all([start("admin"), start("storefront")]);
  });
  afterEach(async () => {
    await Promise.all([app.close(), storefront.close()]);
  });

  const sql = <Row extends object>(text: string) =>
    postgres.sql<Row & Record<string, never>>(text, name);
  const remove = (Authorization: string) =>
    fetch(`${app.url}/api/content/1`, { method: "DELETE", headers: { Authorization } });
  /** 404: let in, and there is nothing to delete. */
  const isLetIn = async (password: string, user = "admin") =>
    (await status(remove(basicAuth(password, user)))) === 404;

  describe("A14: the door", () => {
    const writes = [
      ["POST", "/api/content"],
      ["DELETE", "/api/content/1"],
      ["POST", "/api/offers"],
      ["PUT", "/api/offers/1"],
      ["DELETE", "/api/offers/1"],
      ["POST", "/API/Offers"],
      ["POST", "/api/content/"],
    ] as const;

    it("A14: every write of the API needs credentials: 401, with the way to give them", async () => {
      for (const [method, path] of writes) {
        const answer = await fetch(app.url + path, { method });
        assert.equal(answer.status, 401, `${method} ${path}`);
        assert.match(answer.headers.get("www-authenticate") ?? "", /^Basic realm="/);
        assert.equal(((await answer.json()) as { error: string }).error, "login-needed");
      }
    });

    it("A14: every page leads to the login, and every form does nothing without one", async () => {
      const client = new Client(app.url);
      for (const path of ["/admin", "/admin/", "/admin/offers", "/admin/account", "/ADMIN", "/x"]) {
        const { status: seen, answer } = await client.page(path);
        assert.equal(seen, 303, path);
        const next = encodeURIComponent(path);
        assert.equal(answer.headers.get("location"), `/admin/login?next=${next}`);
      }
      for (const path of ["/admin/content", "/admin/offers", "/admin/reset-links"]) {
        const answer = await client.form(path, { email: "x@example.com" });
        assert.match(answer.headers.get("location") ?? "", /^\/admin\/login\?next=/, path);
      }
    });

    it("A14: an address in other letters is no way in, and no trouble", async () => {
      const right = { name: "admin", password: adminPassword };
      for (const path of ["/ADMIN/login", "/Admin/logout", "/ADMIN/reset-links"]) {
        const answer = await new Client(app.url).form(path, right);
        assert.match(answer.headers.get("location") ?? "", /^\/admin\/login/, path);
        assert.deepEqual(answer.headers.getSetCookie(), []);
      }
    });

    it("A14: what the load balancer and every page need is open: health, metrics, style, pictures", async () => {
      for (const path of ["/api/health", "/api/live", "/metrics", "/assets/site.css"]) {
        assert.equal(await status(fetch(app.url + path)), 200, path);
      }
      assert.equal(await status(fetch(`${app.url}/images/${"0".repeat(32)}.png`)), 404);
    });

    for (const [what, value] of [
      ["another scheme", "Bearer x"],
      ["no credentials", "Basic"],
      ["no base64", "Basic ???"],
      ["no colon", `Basic ${Buffer.from("admin").toString("base64")}`],
      ["an empty password", basicAuth("")],
      ["a NUL", basicAuth(adminPassword, "ad\0min")],
      ["a NUL in the password", basicAuth("\0")],
      ["bytes that are no text", `Basic ${Buffer.from([255, 58, 254]).toString("base64")}`],
      ["a name that nobody has", basicAuth(adminPassword, "root")],
      ["a visitor's kind of name", basicAuth(adminPassword, "x".repeat(500))],
      ["a wrong password", basicAuth("wrong password")],
      ["a password of 1 KB", basicAuth("x".repeat(1000))],
      ["a header of 8 KB", basicAuth("x".repeat(6000))],
    ] as const) {
      it(`A14: ${what}: 401`, async () => {
        const answer = await remove(value);
        assert.equal(answer.status, 401, await answer.clone().text());
        assert.match(answer.headers.get("www-authenticate") ?? "", /^Basic/);
      });
    }

    it("A14: an upload without credentials is answered, and nothing of it is kept", async () => {
      const before = await files(uploads);
      const upload = (headers: Record<string, string>) =>
        fetch(`${app.url}/api/content`, {
          ...{ method: "POST", headers },
          body: form({ quote: "x" }, { content: png(5_000_000) }),
        });
      assert.equal(await status(upload({})), 401);
      assert.equal(await status(upload({ Authorization: basicAuth("wrong password") })), 401);
      assert.deepEqual(await files(uploads), before);
      assert.deepEqual(await sql("SELECT FROM content"), []);
    });

    it("A14: one that goes on for long gets its answer first, and no byte is written", async () => {
      const { hostname, port } = new URL(app.url);
      const socket = connect(Number(port), hostname);
      let answer = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        answer += chunk;
      });
      socket.write(
        "POST /api/content HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n" +
          `Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n${"x".repeat(70_000)}`,
      );
      await until("it is answered", () => answer);
      assert.match(answer, /^HTTP\/1\.1 401 /);
      assert.deepEqual(await files(uploads), []);
      socket.destroy();
    });

    it("A14: a visitor's session is none here, nor the other way round", async () => {
      const { client } = await visitor(postgres, name, app.url);
      client.cookies.set("hastack-admin", client.cookies.get("hastack-session") ?? "");
      assert.equal((await client.page("/admin")).status, 303);
      const admin = (await adminClient(app.url)).at(storefront.url);
      admin.cookies.set("hastack-session", admin.cookies.get("hastack-admin") ?? "");
      assert.equal(await status(admin.json("GET", "/api/account")), 401);
    });
  });

  describe("A14: logging in", () => {
    it("A14: by page, on to the page that was wanted, and out again", async () => {
      const client = new Client(app.url);
      const wrong = await client.form("/admin/login", { name: "admin", password: "wrong one" });
      const text = await wrong.text();
      assert.equal(wrong.status, 401);
      assert.match(text, /role="alert">The name or the password is wrong/);
      assert.ok(!text.includes("wrong one"));
      const right = { name: "admin", password: adminPassword };
      const login = await client.form("/admin/login", { ...right, next: "/admin/account" });
      assert.equal(login.headers.get("location"), "/admin/account");
      assert.match((await client.page("/admin/account")).text, /You are logged in as admin/);
      const out = await client.form("/admin/logout", {});
      assert.equal(out.headers.get("location"), "/admin/login");
      assert.equal((await client.page("/admin")).status, 303);
    });

    it("A14: a session is every instance's", async () => {
      const other = await startApp(serverConfig("admin", { name, writer: postgres }, uploads));
      const client = (await adminClient(app.url)).at(other.url);
      assert.equal((await client.page("/admin")).status, 200);
      await other.close();
    });

    it("A14: scripts pay the long computation once; requests that come together are one attempt", async () => {
      const watch = watchScrypt();
      const together = Array.from({ length: 20 }, () => isLetIn(adminPassword));
      assert.deepEqual(await Promise.all(together), Array(20).fill(true));
      for (let i = 0; i < 10; i += 1) assert.ok(await isLetIn(adminPassword));
      watch.end();
      assert.equal(watch.runs.length, 1);
      const rows = await sql<{ failures: number }>(
        "SELECT failures FROM administrator_login_failure ORDER BY 1",
      );
      assert.deepEqual(
        rows.map(({ failures }) => failures),
        [0, 0, 1],
      );
    });

    it("A14: another password ends Basic with the old one at once, and all other sessions", async () => {
      const [client, elsewhere] = [await adminClient(app.url), await adminClient(app.url)];
      assert.ok(await isLetIn(adminPassword));
      const next = "chosen by the administrator";
      const change = (currentPassword: string, password: string) =>
        client.form("/admin/account/password", { currentPassword, password });
      const wrong = await change("wrong password", next);
      assert.equal(wrong.status, 422);
      assert.match(await wrong.text(), /id="currentPassword-error"/);
      const short = await change(adminPassword, "short");
      assert.match(await short.text(), /id="newPassword-error"/);
      const changed = await change(adminPassword, next);
      assert.equal(changed.headers.get("location"), "/admin/account");
      assert.match((await client.page("/admin/account")).text, /Your password was changed/);
      assert.equal((await elsewhere.page("/admin")).status, 303);
      assert.equal(await isLetIn(adminPassword), false);
      assert.equal(await isLetIn(next), true);
    });
  });

  describe("A14: a session that is not used", () => {
    /** As if all sessions had last been used so long ago. */
    const leave = (time: string) =>
      sql(`UPDATE administrator_session SET seen_at = now() - interval '${time}'`);
    const seconds = async () => {
      const [row] = await sql<{ seconds: number }>(
        "SELECT extract(epoch FROM now() - seen_at)::float AS seconds FROM administrator_session",
      );
      return row?.seconds ?? 0;
    };

    it("A14: ends after half an hour, for pages and for changes, and is swept", async () => {
      const client = await adminClient(app.url);
      await leave("30 minutes");
      assert.equal((await client.page("/admin")).status, 303);
      const change = { currentPassword: adminPassword, password: "chosen too late" };
      const late = await client.form("/admin/account/password", change);
      assert.match(late.headers.get("location") ?? "", /^\/admin\/login\?/);
      assert.ok(await isLetIn(adminPassword));
      // Nothing of that has given it new life
      assert.ok((await seconds()) >= 1800);
      const database = new Database(
        serverConfig("admin", { name, writer: postgres }, uploads),
        () => {},
      );
      await database.write(forgetIdle, { idempotent: true });
      await database.close();
      assert.deepEqual(await sql("SELECT FROM administrator_session"), []);
    });

    it("A14: goes on while it is used, which is noted once a minute", async () => {
      const client = await adminClient(app.url);
      await leave("29 minutes");
      assert.equal((await client.page("/admin")).status, 200);
      await until("its use is noted", seconds, (age) => age < 60);
      await leave("30 seconds");
      assert.equal((await client.page("/admin")).status, 200);
      assert.equal((await client.page("/admin/account")).status, 200);
      assert.ok((await seconds()) >= 30, "noted again within the minute");
      await leave("61 seconds");
      await client.page("/admin/account");
      await until("its use is noted again", seconds, (age) => age < 60);
    });

    it("A14: of the release before, which notes no use, ends half an hour after it began", async () => {
      await sql(`INSERT INTO administrator_session (id_hash, administrator_id, expires_at)
                 SELECT 'a', id, now() + interval '14 days' FROM administrator`);
      assert.ok((await seconds()) < 60);
    });
  });

  describe("A14: what an administrator does to an account", () => {
    it("A14: is logged with both names, whatever else is logged, and without password and link", async () => {
      const { email } = await visitor(postgres, name, app.url);
      const output = new PassThrough();
      const config = {
        ...serverConfig("admin", { name, writer: postgres }, uploads),
        drainSeconds: 0,
      };
      const instance = await startInstance(
        config,
        createLog({ ...config, logLevel: "error" }, output),
      );
      const url = `http://127.0.0.1:${instance.port}`;
      try {
        const client = await adminClient(url);
        await client.form("/admin/reset-links", { email });
        await client.form("/admin/reset-links", { email: "nobody@example.com" });
        const next = "chosen by the administrator";
        const change = { currentPassword: adminPassword, password: next };
        await client.form("/admin/account/password", change);
        await fetch(`${url}/admin/reset-links`, {
          method: "POST",
          headers: { "Content-Type": "application/json", Authorization: basicAuth(next) },
          body: JSON.stringify({ email }),
        });
      } finally {
        await instance.stop();
      }
      const text = String(output.read());
      const lines = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      const who = { level: "info", audit: true, administrator: "admin", client: "127.0.0.1" };
      assert.deepEqual(
        lines.map(({ level, audit, administrator, account, client, msg }) => ({
          ...{ level, audit, administrator, client },
          ...{ account, msg },
        })),
        [
          { ...who, account: email, msg: "reset link made" },
          { ...who, account: "admin", msg: "password changed" },
          { ...who, account: email, msg: "reset link made" },
        ],
      );
      for (const { requestId } of lines) assert.match(requestId, /^[\w-]{36}$/);
      assert.doesNotMatch(text, /token|chosen|scrypt/);
    });
  });

  describe("A14: the first password", () => {
    const hashes = async () => {
      const [row] = await sql<{ password_hash: string; first_hash: string }>(
        "SELECT password_hash, first_hash FROM administrator",
      );
      return row;
    };

    it("A14: is the stack's; the same one again changes nothing", async () => {
      const before = await hashes();
      assert.match(before?.password_hash ?? "", /^\$scrypt\$/);
      const said = await migrateDatabase(name, postgres);
      assert.ok(said.includes("administrator admin is up to date"));
      assert.deepEqual(await hashes(), before);
      assert.ok(!said.join("\n").includes(adminPassword));
    });

    it("A14: one that the administrator chose stays, until the stack gives another", async () => {
      const client = await adminClient(app.url);
      const own = "chosen by the administrator";
      await client.form("/admin/account/password", {
        ...{ currentPassword: adminPassword, password: own },
      });
      await migrateDatabase(name, postgres);
      assert.deepEqual([await isLetIn(own), await isLetIn(adminPassword)], [true, false]);
      const rotated = "given by the next up";
      const said = await migrateDatabase(name, postgres, { adminPassword: rotated });
      assert.ok(said.includes("administrator admin has a new password"), said.join("\n"));
      assert.equal((await client.page("/admin")).status, 303);
      assert.deepEqual([await isLetIn(rotated), await isLetIn(own)], [true, false]);
    });

    it("A14: one that is given while the old one is being changed stays", async () => {
      const client = await adminClient(app.url);
      const [rotated, own] = ["given by the next up", "chosen with the old one"];
      const watch = watchScrypt();
      watch.before = (run) =>
        run === 2 ? migrateDatabase(name, postgres, { adminPassword: rotated }) : undefined;
      const answer = await client
        .form("/admin/account/password", { currentPassword: adminPassword, password: own })
        .finally(watch.end);
      assert.equal(answer.status, 422);
      assert.match(await answer.text(), /id="currentPassword-error"/);
      assert.deepEqual([await isLetIn(rotated), await isLetIn(own)], [true, false]);
    });

    it("A14: four runs at once make one administrator with a password that opens", async () => {
      const fresh = await createDatabase(postgres);
      const runs = await Promise.all(
        Array.from({ length: 4 }, () => migrateDatabase(fresh, postgres)),
      );
      const made = runs.flat().filter((line) => line === "administrator admin was made");
      assert.equal(made.length, 1);
    });
  });

  describe("A6: reset links by an operator", () => {
    const ask = (email: string, headers: Record<string, string> = asAdmin) =>
      fetch(`${app.url}/admin/reset-links`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify({ email }),
      });

    it("A6: as JSON: a link that works on the storefront", async () => {
      const { email } = await visitor(postgres, name, app.url);
      const answer = await ask(email.toUpperCase());
      assert.equal(answer.status, 201);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      const { url, expiresAt } = (await answer.json()) as { url: string; expiresAt: string };
      assert.match(url, /^http:\/\/travel\.test\/reset\?token=[\w-]{43}$/);
      const minutes = (Date.parse(expiresAt) - Date.now()) / 60_000;
      assert.ok(minutes > 58 && minutes <= 61, expiresAt);
      const body = { token: new URL(url).searchParams.get("token"), password: "set by the link" };
      const reset = await new Client(storefront.url).json("PUT", "/api/password-reset", body);
      assert.equal(reset.status, 204);
    });

    it("A6: by page, shown once and kept nowhere", async () => {
      const { email } = await visitor(postgres, name, app.url);
      const client = await adminClient(app.url);
      const answer = await client.form("/admin/reset-links", { email });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.match(await answer.text(), /http:\/\/travel\.test\/reset\?token=[\w-]{43}</);
      assert.deepEqual(answer.headers.getSetCookie(), []);
      assert.doesNotMatch((await client.page("/admin/account")).text, /token=/);
    });

    it("A6: for nobody: 404; for what is no address: 422; without credentials: 401", async () => {
      assert.equal(await status(ask("nobody@example.com")), 404);
      assert.equal(await status(ask("nobody")), 422);
      const stranger = await ask("nobody@example.com", {});
      assert.equal(stranger.status, 401);
      assert.match(stranger.headers.get("www-authenticate") ?? "", /^Basic/);
      const client = await adminClient(app.url);
      const page = await client.form("/admin/reset-links", { email: "nobody@example.com" });
      assert.equal(page.status, 404);
      assert.match(await page.text(), /There is no account with this e-mail address/);
      assert.equal((await sql("SELECT FROM password_reset")).length, 0);
    });
  });
});
