import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import pg from "pg";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy } from "./support/proxy.ts";
import { watchScrypt } from "./support/scrypt.ts";
import { until } from "./support/until.ts";
import { Client, password, register, visitor } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

const status = async (answer: Promise<Response>) => (await answer).status;

describe("accounts", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let app: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    app = await startApp(serverConfig("storefront", { name, writer: postgres }, uploads));
  });
  after(async () => {
    await app?.close();
    if (uploads) await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    await postgres.sql("TRUNCATE login_failure", name);
  });

  const sql = <Row extends object>(text: string) => postgres.sql<Row & Json>(text, name);

  describe("A6: register, log in, log out", () => {
    it("A6: as JSON", async () => {
      const { client, id, email } = await register(app.url);
      const account = await client.json("GET", "/api/account");
      assert.equal(account.headers.get("cache-control"), "no-store");
      assert.deepEqual(await account.json(), { id, name: "Ada", email });
      assert.equal(await status(client.json("DELETE", "/api/session")), 204);
      assert.ok(!client.cookies.has("hastack-session"));
      assert.equal(await status(client.json("DELETE", "/api/session")), 204);
      const stranger = await client.json("GET", "/api/account");
      assert.equal(stranger.status, 401);
      assert.equal(((await stranger.json()) as Json).error, "login-needed");
      const back = await client.json("POST", "/api/session", {
        email: ` ${email.toUpperCase()} `,
        password,
      });
      assert.deepEqual([back.status, await back.json()], [200, { id, name: "Ada", email }]);
      assert.equal(await status(client.json("GET", "/api/account")), 200);
    });

    it("A6: as pages, and on to the page that was wanted", async () => {
      const client = new Client(app.url);
      const email = "pages@example.com";
      const wanted = await client.page("/account?x=1");
      assert.equal(wanted.answer.headers.get("location"), "/login?next=%2Faccount%3Fx%3D1");
      assert.match((await client.page("/login?next=%2Faccount")).text, /value="\/account"/);
      const made = await client.form("/register", {
        ...{ name: "Bo <b>", email, password, next: "/account" },
      });
      assert.deepEqual([made.status, made.headers.get("location")], [303, "/account"]);
      const page = (await client.page("/account")).text;
      assert.match(page, /Welcome! Your account is made/);
      assert.match(page, /Bo &lt;b>|Bo &lt;b&gt;/);
      assert.equal((await client.form("/logout", {})).headers.get("location"), "/");
      assert.equal((await client.page("/account")).status, 303);
      const back = await client.form("/login", { email, password, next: "/account" });
      assert.equal(back.headers.get("location"), "/account");
      assert.equal((await client.page("/account")).status, 200);
    });

    it("A6: whoever sends a form without being logged in comes back to the form's page", async () => {
      const client = new Client(app.url);
      const send = (Referer: string) =>
        client.send("/account/name", {
          ...{ method: "POST", body: new URLSearchParams({ name: "x" }) },
          headers: { Accept: "text/html", Referer },
        });
      const own = await send(`${app.url}/account?a=b`);
      assert.equal(own.headers.get("location"), "/login?next=%2Faccount%3Fa%3Db");
      const foreign = await send("http://evil.example/account");
      assert.equal(foreign.headers.get("location"), "/login?next=%2F");
    });

    for (const next of [
      ...["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example"],
      ...["/.//evil.example", "javascript:alert(1)", "evil", "", `/${"x".repeat(3000)}`],
    ]) {
      it(`A6: a login never leads elsewhere: ${JSON.stringify(next.slice(0, 30))}`, async () => {
        const { email } = await withPassword();
        const answer = await new Client(app.url).form("/login", { email, password, next });
        assert.equal(answer.headers.get("location"), "/");
        const page = await new Client(app.url).page(`/login?${new URLSearchParams({ next })}`);
        assert.match(page.text, /name="next" value="\/"/);
      });
    }

    it("A6: an address has one account, however it is written; of two at once one is made", async () => {
      const { email } = await withPassword();
      const again = { name: "x", email: email.toUpperCase(), password };
      const answer = await new Client(app.url).json("POST", "/api/account", again);
      assert.equal(answer.status, 409);
      assert.equal(((await answer.json()) as Json).error, "email-taken");
      const page = await new Client(app.url).form("/register", again);
      assert.equal(page.status, 409);
      assert.match(await page.text(), /id="email-error"[^>]*>There is an account/);
      const both = await Promise.all(
        [1, 2].map(() => new Client(app.url).json("POST", "/api/account", newcomer)),
      );
      assert.deepEqual(both.map((one) => one.status).sort(), [201, 409]);
    });

    it("A6: the wrong password and an unknown address get the same answer", async () => {
      const { email } = await withPassword();
      const ask = async (who: string) => {
        const answer = await new Client(app.url).json("POST", "/api/session", {
          ...{ email: who, password: "wrong password" },
        });
        const { requestId, ...body } = (await answer.json()) as Json;
        assert.ok(requestId);
        return { status: answer.status, body };
      };
      const known = await ask(email);
      assert.deepEqual(await ask("nobody@example.com"), known);
      assert.deepEqual([known.status, known.body.error], [401, "login-failed"]);
    });

    it("A6: an unknown address costs the same long computation as a known one", async () => {
      const { email } = await withPassword();
      const costs = async (who: string) => {
        const watch = watchScrypt();
        const body = { email: who, password: "wrong password" };
        const answer = new Client(app.url).json("POST", "/api/session", body);
        assert.equal(await status(answer.finally(watch.end)), 401);
        return watch.runs;
      };
      const known = await costs(email);
      assert.equal(known.length, 1);
      assert.deepEqual(await costs("nobody@example.com"), known);
    });
  });

  const newcomer = { name: "New", email: "newcomer@example.com", password };

  let shared: Awaited<ReturnType<typeof register>> | undefined;
  /** Somebody whose password the test knows and leaves as it is. */
  const withPassword = async () => {
    shared ??= await register(app.url);
    return shared;
  };

  describe("A6: what is refused", () => {
    const long = "x".repeat(300);
    const bad: [string, Json, string][] = [
      ["no name", { name: undefined }, "name"],
      ["an empty name", { name: "  " }, "name"],
      ["a long name", { name: long }, "name"],
      ["a NUL in the name", { name: "a\0b" }, "name"],
      ["a list as name", { name: ["a", "b"] }, "name"],
      ["an object as name", { name: { a: 1 } }, "name"],
      ["no address", { email: undefined }, "email"],
      ["what is no address", { email: "ada" }, "email"],
      ["two addresses", { email: "a@b.example,c@d.example" }, "email"],
      ["a line break in the address", { email: "a@b.example\nBcc: c@d.example" }, "email"],
      ["a NUL in the address", { email: "a\0@b.example" }, "email"],
      ["an address in other letters", { email: "zoë@example.com" }, "email"],
      ["a long address", { email: `${long}@example.com` }, "email"],
      ["a number as address", { email: 7 }, "email"],
      ["a short password", { password: "123456789" }, "password"],
      ["a long password", { password: long }, "password"],
      ["a list as password", { password: [password] }, "password"],
      ["null as password", { password: null }, "password"],
    ];
    for (const [what, change, field] of bad) {
      it(`A6: registering with ${what}: 422, at its field`, async () => {
        const body = { ...newcomer, email: "bad@example.com", ...change };
        const answer = await new Client(app.url).json("POST", "/api/account", body);
        const text = await answer.text();
        assert.equal(answer.status, 422, text);
        const { error, fields } = JSON.parse(text);
        assert.deepEqual([error, Object.keys(fields)], [`${field}-invalid`, [field]]);
        assert.ok(!text.includes(password));
      });
    }

    it("A6: JSON that is no object, and fields of another kind: 422, never 5xx", async () => {
      for (const body of ["[]", "null", "7", '"x"', '{"__proto__":{"email":"x"}}']) {
        for (const [method, path] of [
          ["POST", "/api/account"],
          ["POST", "/api/session"],
          ["PUT", "/api/password-reset"],
        ] as const) {
          const headers = { "Content-Type": "application/json" };
          const answer = await fetch(app.url + path, { method, body, headers });
          assert.ok([400, 422].includes(answer.status), `${method} ${path} ${body}`);
        }
      }
    });

    it("A6: a form's list where one text belongs is told at the field", async () => {
      for (const text of ["name[]=a&name[]=b", "name=a&name=b"]) {
        const body = new URLSearchParams(`${text}&email=list@example.com&password=${password}`);
        const answer = await new Client(app.url).send("/register", {
          ...{ method: "POST", body, headers: { Accept: "text/html" } },
        });
        assert.equal(answer.status, 422);
        assert.match(await answer.text(), /id="name-error"/);
      }
    });

    it("A6: a refused form keeps what was typed, but no password, and says what is wrong where", async () => {
      const typed = { name: "Kept <name>", email: "nonsense", password: "short-one" };
      const answer = await new Client(app.url).form("/register", typed);
      const text = await answer.text();
      assert.equal(answer.status, 422);
      assert.match(text, /value="Kept &lt;name>|value="Kept &lt;name&gt;/);
      assert.match(text, /value="nonsense"/);
      assert.ok(!text.includes("short-one"));
      for (const field of ["email", "password"]) {
        assert.match(text, new RegExp(`id="${field}"[^>]*aria-describedby="[^"]*${field}-error`));
        assert.match(text, new RegExp(`id="${field}"[^>]*aria-invalid="true"`));
        assert.match(text, new RegExp(`<p class="field-error" id="${field}-error">`));
      }
    });

    it("A6: a password of 1 MB: 413 as form and as JSON", async () => {
      const big = { ...newcomer, password: "x".repeat(1_000_000) };
      assert.equal(await status(new Client(app.url).json("POST", "/api/account", big)), 413);
      assert.equal(await status(new Client(app.url).form("/register", big)), 413);
      assert.equal(await status(new Client(app.url).form("/login", big)), 413);
    });

    it("A6: pages ask password managers for the right thing", async () => {
      const { client } = await visitor(postgres, name, app.url);
      const fields = (text: string) =>
        [...text.matchAll(/<input[^>]*type="password"[^>]*>/g)].map(
          ([input]) => /autocomplete="([^"]+)"/.exec(input)?.[1],
        );
      assert.deepEqual(fields((await client.page("/register")).text), ["new-password"]);
      assert.deepEqual(fields((await client.page("/login")).text), ["current-password"]);
      assert.deepEqual(fields((await client.page("/account")).text), [
        ...["current-password", "new-password", "current-password"],
      ]);
    });
  });

  describe("A6: name and password", () => {
    it("A6: another name, by page and as JSON", async () => {
      const { client } = await visitor(postgres, name, app.url);
      const changed = await client.json("PATCH", "/api/account", { name: " Grace " });
      assert.equal(((await changed.json()) as Json).name, "Grace");
      assert.equal(
        ((await (await client.json("GET", "/api/account")).json()) as Json).name,
        "Grace",
      );
      const form = await client.form("/account/name", { name: "Hedy" });
      assert.equal(form.headers.get("location"), "/account");
      assert.match((await client.page("/account")).text, /value="Hedy"/);
      const empty = await client.form("/account/name", { name: "" });
      assert.equal(empty.status, 422);
      assert.match(await empty.text(), /id="name-error"/);
    });

    it("A6: a change that is neither, or both, or half of one, is told", async () => {
      const { client } = await visitor(postgres, name, app.url);
      const body = { currentPassword: password, password };
      for (const [change, field] of [
        [{}, "form"],
        [[], "form"],
        [{ name: "x", ...body }, "form"],
        [{ name: "" }, "name"],
        [{ password }, "currentPassword"],
        [{ ...body, password: "short" }, "password"],
      ] as const) {
        const answer = await client.json("PATCH", "/api/account", change);
        assert.equal(answer.status, 422);
        assert.deepEqual(Object.keys(((await answer.json()) as Json).fields), [field]);
      }
    });

    it("A6: another password needs the current one, and ends all other sessions and links", async () => {
      const { client, id, email } = await register(app.url);
      const elsewhere = new Client(app.url);
      await elsewhere.json("POST", "/api/session", { email, password });
      await sql(`INSERT INTO password_reset VALUES ('x', ${id}, now() + interval '1 hour')`);
      const next = "another long password";
      const wrong = await client.form("/account/password", {
        ...{ currentPassword: "wrong password", password: next },
      });
      assert.equal(wrong.status, 422);
      assert.match(await wrong.text(), /id="currentPassword-error"/);
      const body = { currentPassword: password, password: next };
      assert.equal(await status(client.json("PATCH", "/api/account", body)), 200);
      assert.equal(await status(client.json("GET", "/api/account")), 200);
      assert.equal(await status(elsewhere.json("GET", "/api/account")), 401);
      assert.deepEqual(await sql(`SELECT FROM password_reset WHERE account_id = ${id}`), []);
      const login = (given: string) =>
        status(new Client(app.url).json("POST", "/api/session", { email, password: given }));
      assert.deepEqual([await login(password), await login(next)], [401, 200]);
    });

    for (const [what, run, method, body] of [
      // The current password was verified; the new one's hash is being computed.
      [
        "a change of the password",
        2,
        "PATCH",
        { currentPassword: password, password: "x".repeat(10) },
      ],
      // The hash was read; the password is being verified.
      ["a deletion", 1, "DELETE", { password }],
    ] as const) {
      it(`A6: ${what} with a password that is reset meanwhile is refused, and the reset stays`, async () => {
        const { client, id, email } = await register(app.url);
        const token = createHash("sha256").update(what).digest("hex");
        await sql(
          `INSERT INTO password_reset VALUES ('\\x${token}', ${id}, now() + interval '1 hour')`,
        );
        const owners = "the owner's new password";
        const watch = watchScrypt();
        watch.before = (at) =>
          at === run
            ? new Client(app.url).json("PUT", "/api/password-reset", {
                token: what,
                password: owners,
              })
            : undefined;
        const answer = await client.json(method, "/api/account", body).finally(watch.end);
        assert.equal(answer.status, 422, await answer.clone().text());
        assert.match(await answer.text(), /This password is wrong/);
        assert.equal(watch.runs.length, run + 1);
        const login = { email, password: owners };
        assert.equal(await status(new Client(app.url).json("POST", "/api/session", login)), 200);
      });
    }

    it("A6: a password is the same however the keyboard composes it", async () => {
      const email = "composed@example.com";
      const body = { name: "x", email, password: "caf\u00e9 au lait" };
      assert.equal(await status(new Client(app.url).json("POST", "/api/account", body)), 201);
      const decomposed = { email, password: "cafe\u0301 au lait" };
      assert.equal(await status(new Client(app.url).json("POST", "/api/session", decomposed)), 200);
    });

    it("A6: passwords are stored as scrypt hashes, each with its own salt", async () => {
      await register(app.url);
      await register(app.url);
      const rows = await sql<{ password_hash: string }>(
        "SELECT password_hash FROM account WHERE password_hash <> '-'",
      );
      for (const { password_hash: hash } of rows) {
        assert.match(hash, /^\$scrypt\$ln=14,r=8,p=5\$[\w+/]{22}==\$[\w+/]{43}=$/);
      }
      assert.equal(new Set(rows.map((row) => row.password_hash)).size, rows.length);
    });
  });

  describe("A6: deleting the account", () => {
    const left = async (offer: number) =>
      (await sql<{ quantity: number }>(`SELECT quantity FROM offer WHERE id = ${offer}`))[0]
        ?.quantity;
    const book = (accountId: number, offer: number, quantity: number) =>
      sql(`SELECT book(${accountId}, ${offer}, ${quantity})`);

    it("A6: needs the password; places still to come are given back; nothing of it is left", async () => {
      const { client, id, email } = await register(app.url);
      const [coming, past, cancelled] = [
        await offerRow(postgres, name, { quantity: 5 }),
        await offerRow(postgres, name, { quantity: 5 }),
        await offerRow(postgres, name, { quantity: 5 }),
      ];
      for (const offer of [coming, past, cancelled]) await book(id, offer, 2);
      // Those of another account are none of its business.
      for (const account of [id, `${id}0`]) {
        await sql(
          `INSERT INTO visitor_idempotency_key
           VALUES ('booking:${account}', 'a', 'x'), ('trip:${account}:1', 'a', 'x')`,
        );
      }
      await sql(`UPDATE offer SET starts_on = current_date - 1 WHERE id = ${past}`);
      await sql(`SELECT cancel_booking(${id}, id) FROM booking WHERE offer_id = ${cancelled}`);
      const wrong = await client.form("/account/delete", { password: "wrong password" });
      assert.equal(wrong.status, 422);
      assert.match(await wrong.text(), /id="deletePassword-error"/);
      assert.equal(await left(coming), 3);
      assert.equal(await status(client.json("DELETE", "/api/account", { password })), 204);
      assert.deepEqual([await left(coming), await left(past), await left(cancelled)], [5, 3, 5]);
      assert.deepEqual(await sql("SELECT scope FROM visitor_idempotency_key ORDER BY scope"), [
        { scope: `booking:${id}0` },
        { scope: `trip:${id}0:1` },
      ]);
      assert.ok(!client.cookies.has("hastack-session"));
      for (const table of ["session", "booking", "password_reset"]) {
        assert.deepEqual(await sql(`SELECT FROM ${table} WHERE account_id = ${id}`), [], table);
      }
      const again = { email, password };
      assert.equal(await status(new Client(app.url).json("POST", "/api/session", again)), 401);
    });

    it("A6: by page; it says so", async () => {
      const { client } = await register(app.url);
      const answer = await client.form("/account/delete", { password });
      assert.equal(answer.headers.get("location"), "/");
      assert.match((await client.page("/")).text, /Your account was deleted/);
      assert.equal((await client.page("/account")).status, 303);
    });

    it("A6: many at once, with bookings of the same offers, give back every place", async () => {
      const offers = [
        await offerRow(postgres, name, { quantity: 50 }),
        await offerRow(postgres, name, { quantity: 50 }),
      ];
      const people = await Promise.all(Array.from({ length: 6 }, () => register(app.url)));
      for (const [index, { id }] of people.entries()) {
        for (const offer of index % 2 ? offers : offers.toReversed()) await book(id, offer, 2);
      }
      const gone = await Promise.all(
        people.map(({ client }) => status(client.json("DELETE", "/api/account", { password }))),
      );
      assert.deepEqual(gone, Array(6).fill(204));
      assert.deepEqual([await left(offers[0] ?? 0), await left(offers[1] ?? 0)], [50, 50]);
    });

    it("A6: offers are locked in their order, so that two deletions never wait for each other", async () => {
      const first = await offerRow(postgres, name, { quantity: 5 });
      const second = await offerRow(postgres, name, { quantity: 5 });
      const { client, id } = await register(app.url);
      for (const offer of [second, first]) await book(id, offer, 1);
      const { host, port } = postgres;
      const holder = new pg.Client({ host, port, user: "postgres", database: name });
      await holder.connect();
      try {
        await holder.query("BEGIN");
        await holder.query("SELECT FROM offer WHERE id = $1 FOR UPDATE", [first]);
        const answer = status(client.json("DELETE", "/api/account", { password }));
        await until(
          "the deletion waits",
          () =>
            sql(
              `SELECT FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()`,
            ),
          (rows) => rows.length === 1,
        );
        await sql(`SELECT FROM offer WHERE id = ${second} FOR UPDATE NOWAIT`);
        await holder.query("ROLLBACK");
        assert.equal(await answer, 204);
      } finally {
        await holder.end();
      }
      assert.deepEqual([await left(first), await left(second)], [5, 5]);
    });

    it("A6: that went unanswered at first, or whose session cannot be ended, is done all the same", async () => {
      const way = await startProxy(postgres);
      const writer = { host: "127.0.0.1", port: way.port };
      const shaky = await startApp(serverConfig("storefront", { name, writer }, uploads), {
        writeMs: 5000,
      });
      try {
        const { client, id } = await register(shaky.url);
        way.cutSince = "DELETE FROM account";
        way.cutAfter = "COMMIT";
        const gone = async () => (await sql(`SELECT FROM account WHERE id = ${id}`)).length === 0;
        // Once it is committed, whatever else wants to end the session meets a dead line.
        const answer = client.json("DELETE", "/api/account", { password });
        await until("it is deleted", gone);
        way.cutAfter = "DELETE FROM session WHERE id_hash = ";
        assert.equal(await status(answer), 204);
        assert.ok(!client.cookies.has("hastack-session"));
        assert.ok(client.cookies.has("hastack-position"));
        assert.ok(way.cuts > 0);
      } finally {
        await shaky.close();
        await way.close();
      }
    });
  });
});
