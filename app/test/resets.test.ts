import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { SMTPServer } from "smtp-server";
import { Mailer, type SmtpConfig } from "../src/data/mail.ts";
import type { ServerConfig } from "../src/http/server-config.ts";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  spawnServer,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { type Made, makeCertificate } from "./support/certificates.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { Client, password, register, visitor } from "./support/visitor.ts";

const newPassword = "a password after the reset";
const status = async (answer: Promise<Response>) => (await answer).status;

interface Received {
  from: string;
  to: string[];
  text: string;
}

/** Who vouches for the mail server, its certificate, and an authority that nobody asked. */
let certificates: { authority: Made; own: Made; other: Made };

/** A mail server that keeps what it gets, by STARTTLS. */
async function startMailServer(options: ConstructorParameters<typeof SMTPServer>[0] = {}) {
  const mails: Received[] = [];
  const server = new SMTPServer({
    disabledCommands: ["AUTH"],
    ...{ cert: certificates.own.certificate, key: certificates.own.key },
    ...options,
    onData(stream, session, done) {
      let text = "";
      stream.on("data", (chunk) => {
        text += chunk;
      });
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        const from = mailFrom ? mailFrom.address : "";
        mails.push({ from, to: rcptTo.map(({ address }) => address), text });
        done();
      });
    },
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { mails, port, close };
}

const smtpAt = (port: number): NonNullable<ServerConfig["smtp"]> => ({
  ...{ host: "127.0.0.1", port, secure: false, servername: "mail.test" },
  certificateAuthority: certificates.authority.certificate,
  from: "Lodestar Travel <post@travel.test>",
});

/** The link in a mail, which quoted-printable may have broken over lines. */
function linkIn({ text }: Received): URL {
  const [link = ""] = /http:\/\/\S+/.exec(text.replace(/=\r\n/g, "").replace(/=3D/g, "=")) ?? [];
  return new URL(link);
}

describe("reset links", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let mail: Awaited<ReturnType<typeof startMailServer>>;
  let app: TestApp;
  let mailless: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const [authority, other] = await Promise.all([
      makeCertificate({ authority: true }),
      makeCertificate({ authority: true }),
    ]);
    const names = ["DNS:mail.test", "IP:192.0.2.25"];
    certificates = { authority, other, own: await makeCertificate({ names, issuer: authority }) };
    mail = await startMailServer();
    app = await startApp({ ...config(), smtp: smtpAt(mail.port) });
    mailless = await startApp(config());
  });
  after(async () => {
    await Promise.all([app?.close(), mailless?.close(), mail?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    mail.mails.length = 0;
    await postgres.sql("TRUNCATE login_failure", name);
  });

  const config = () => serverConfig("storefront", { name, writer: postgres }, uploads);
  const nextMail = async () => (await until("a mail comes", () => mail.mails.at(-1))) as Received;
  const askFor = (email: string, url = app.url) => new Client(url).form("/forgot", { email });
  const logIn = (email: string, given: string) =>
    status(new Client(app.url).json("POST", "/api/session", { email, password: given }));
  const links = () => postgres.sql<{ token_hash: Buffer }>("SELECT * FROM password_reset", name);

  it("A6: by mail: the link sets a new password, once, and ends all sessions", async () => {
    const { client, email } = await register(app.url);
    const asked = await askFor(` ${email.toUpperCase()}`);
    assert.deepEqual([asked.status, asked.headers.get("location")], [303, "/login"]);
    const received = await nextMail();
    assert.deepEqual([received.from, received.to], ["post@travel.test", [email]]);
    const link = linkIn(received);
    assert.match(link.href, /^http:\/\/travel\.test\/reset\?token=[\w-]{43}$/);

    const browser = new Client(app.url);
    const opened = await browser.page(link.pathname + link.search);
    assert.deepEqual([opened.status, opened.answer.headers.get("location")], [303, "/reset"]);
    const [cookie = ""] = opened.answer.headers.getSetCookie();
    assert.match(cookie, /^hastack-reset=.*; Path=\/reset; .*HttpOnly; SameSite=Lax$/);
    assert.match((await browser.page("/reset")).text, /autocomplete="new-password"/);
    const short = await browser.form("/reset", { password: "short" });
    assert.equal(short.status, 422);
    assert.match(await short.text(), /id="password-error"/);
    const done = await browser.form("/reset", { password: newPassword });
    assert.equal(done.headers.get("location"), "/login");
    assert.match((await browser.page("/login")).text, /Log in with the new one/);

    assert.equal(await status(client.json("GET", "/api/account")), 401);
    assert.deepEqual([await logIn(email, password), await logIn(email, newPassword)], [401, 200]);
    const again = new Client(app.url);
    await again.page(link.pathname + link.search);
    const used = await again.form("/reset", { password: "a third long password" });
    assert.equal(used.status, 410);
    const page = await used.text();
    assert.match(page, /has been used, or is too old/);
    assert.match(page, /href="\/forgot"/);
    assert.equal(await logIn(email, newPassword), 200);
  });

  it("A6: as JSON", async () => {
    const { email } = await register(app.url);
    const client = new Client(app.url);
    assert.equal(await status(client.json("POST", "/api/password-reset", { email })), 202);
    const token = linkIn(await nextMail()).searchParams.get("token");
    const reset = (given: unknown) =>
      status(client.json("PUT", "/api/password-reset", { token: given, password: newPassword }));
    assert.equal(await reset("nonsense"), 410);
    assert.equal(await reset("x".repeat(300)), 422);
    assert.equal(await reset([token]), 422);
    assert.equal(await reset(token), 204);
    assert.equal(await reset(token), 410);
    assert.equal(await logIn(email, newPassword), 200);
  });

  it("A6: of many uses at once, one counts", async () => {
    const { email } = await visitor(postgres, name, app.url);
    await askFor(email);
    const token = linkIn(await nextMail()).searchParams.get("token");
    const uses = await Promise.all(
      [1, 2, 3].map((i) =>
        status(
          new Client(app.url).json("PUT", "/api/password-reset", {
            ...{ token, password: `${newPassword} ${i}` },
          }),
        ),
      ),
    );
    assert.deepEqual(uses.sort(), [204, 410, 410]);
  });

  it("A6: a link works for an hour, and not with the account's next one used", async () => {
    const { email, id } = await visitor(postgres, name, app.url);
    const tokens: (string | null)[] = [];
    for (const count of [1, 2]) {
      await askFor(email);
      await until("the mail is there", () => mail.mails.length === count);
      tokens.push(linkIn(await nextMail()).searchParams.get("token"));
    }
    const [row] = await postgres.sql<{ minutes: number }>(
      `SELECT round(extract(epoch FROM expires_at - now()) / 60)::int AS minutes
       FROM password_reset WHERE account_id = ${id}`,
      name,
    );
    assert.equal(row?.minutes, 60);
    const reset = (token?: string | null) =>
      status(
        new Client(app.url).json("PUT", "/api/password-reset", { token, password: newPassword }),
      );
    await postgres.sql("UPDATE password_reset SET expires_at = now()", name);
    assert.equal(await reset(tokens[0]), 410);
    await postgres.sql("UPDATE password_reset SET expires_at = now() + interval '1 min'", name);
    assert.equal(await reset(tokens[1]), 204);
    assert.equal(await reset(tokens[0]), 410);
  });

  it("A6: the table holds a digest of the token", async () => {
    const { email } = await visitor(postgres, name, app.url);
    await askFor(email);
    const token = linkIn(await nextMail()).searchParams.get("token") ?? "";
    for (const { token_hash: hash } of await links()) {
      assert.equal(hash.length, 32);
      assert.ok(!hash.equals(Buffer.from(token, "base64url")));
    }
  });

  it("A6: the Host header has no say in the link", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const headers = {
      ...{ Host: "evil.example", "X-Forwarded-Host": "evil.example" },
      "Content-Type": "application/json",
    };
    const { hostname, port } = new URL(app.url);
    const path = "/api/password-reset";
    // fetch would write the Host header itself.
    httpRequest({ hostname, port, path, method: "POST", headers }).end(JSON.stringify({ email }));
    assert.equal(linkIn(await nextMail()).host, "travel.test");
  });

  it("A6: an unknown address gets the same answer, and no mail", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const answers = [];
    for (const who of ["nobody@example.com", email]) {
      const answer = await askFor(who);
      const cookies = answer.headers.getSetCookie();
      answers.push([answer.status, answer.headers.get("location"), cookies, await answer.text()]);
    }
    assert.deepEqual(answers[0], answers[1]);
    await nextMail();
    assert.deepEqual(
      mail.mails.map(({ to }) => to),
      [[email]],
    );
  });

  it("A6: a mail server that hangs or refuses is not to be noticed either", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const hanging = await startMailServer({ onConnect: () => {} });
    const refusing = await startMailServer({
      onRcptTo: (_to, _session, done) => done(new Error("no such user")),
    });
    for (const { port } of [hanging, refusing, { port: 1 }]) {
      const other = await startApp({ ...config(), smtp: smtpAt(port) });
      const start = Date.now();
      assert.equal((await askFor(email, other.url)).headers.get("location"), "/login");
      // Whoever waited for the mail would wait five seconds for the greeting that does not come.
      assert.ok(Date.now() - start < 4500);
      await postgres.sql("TRUNCATE login_failure", name);
      await other.close();
    }
    await refusing.close();
    hanging.close();
  });

  it("A6: nobody's mailbox is flooded", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const seen: number[] = [];
    for (let i = 0; i < 4; i += 1) seen.push((await askFor(email)).status);
    assert.deepEqual(seen, [303, 303, 303, 429]);
    for (let i = 0; i < 4; i += 1) {
      seen.push((await askFor("nobody@example.com")).status);
    }
    assert.deepEqual(seen.slice(4), [303, 303, 303, 429]);
  });

  /** What reaches a mail server, and what the log says. */
  const trial = async (
    options: Parameters<typeof startMailServer>[0],
    changes: (smtp: SmtpConfig) => Partial<SmtpConfig> = () => ({}),
  ) => {
    const server = await startMailServer(options);
    const lines: string[] = [];
    const log = pino({}, { write: (line) => lines.push(line) });
    const smtp = smtpAt(server.port);
    const mailer = new Mailer({ ...smtp, ...changes(smtp) }, log);
    mailer.send({ to: "ada@example.com", subject: "s", text: "the-link-in-it" });
    await mailer.close();
    await server.close();
    assert.doesNotMatch(lines.join(""), /the-link-in-it|ada@/);
    const { msg, reason } = JSON.parse(lines[0] ?? "{}") as { msg: string; reason?: string };
    return { mails: server.mails.length, said: [msg, reason].filter(Boolean).join(": ") };
  };

  it("A6: mail goes by TLS, to whom the certificate names, by name or by address", async () => {
    const sent = { mails: 1, said: "mail sent" };
    assert.deepEqual(await trial({}), sent);
    assert.deepEqual(await trial({}, () => ({ servername: "192.0.2.25" })), sent);
    assert.deepEqual(await trial({ secure: true }, () => ({ secure: true })), sent);
  });

  it("A6: nothing is sent without TLS, nor to anybody else, and the log says why", async () => {
    const refused = async (...how: Parameters<typeof trial>) => {
      const { mails, said } = await trial(...how);
      assert.equal(mails, 0);
      return said;
    };
    const why = "the mail server takes no STARTTLS, and without TLS nothing is sent";
    const failed = "mail could not be sent";
    assert.equal(await refused({ disabledCommands: ["AUTH", "STARTTLS"] }), `${failed}: ${why}`);
    assert.equal(
      await refused({ hideSTARTTLS: true, disabledCommands: ["STARTTLS"] }),
      `${failed}: ${why}`,
    );
    for (const [changes, expected] of [
      [
        { servername: "other.test" },
        /: Hostname\/IP does not match certificate's altnames: .*other\.test/,
      ],
      [
        { servername: "192.0.2.26" },
        /: Hostname\/IP does not match certificate's altnames: .*192\.0\.2\.26/,
      ],
      [{ certificateAuthority: certificates.other.certificate }, /: unable to verify/],
      [{ certificateAuthority: undefined }, /: unable to verify/],
    ] as [Partial<SmtpConfig>, RegExp][]) {
      assert.match(await refused({}, () => changes), expected);
      assert.match(await refused({ secure: true }, () => ({ ...changes, secure: true })), expected);
    }
  });

  it("A6: who asks for a link sees the same page, and an operator can make one, when no mail can be sent", async () => {
    const open = await startMailServer({ disabledCommands: ["AUTH", "STARTTLS"] });
    const { email } = await visitor(postgres, name, app.url);
    const other = await startApp({ ...config(), smtp: smtpAt(open.port) });
    const admin = await startApp(serverConfig("admin", { name, writer: postgres }, uploads));
    try {
      const client = new Client(other.url);
      const answer = await client.form("/forgot", { email });
      assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/login"]);
      assert.match(
        (await client.page("/login")).text,
        /a link that sets a new password is on its way/,
      );
      // As `npm run reset-link` asks
      const made = await fetch(`${admin.url}/admin/reset-links`, {
        ...{ method: "POST", body: JSON.stringify({ email }) },
        headers: { "Content-Type": "application/json", ...asAdmin },
      });
      const { url } = (await made.json()) as { url: string };
      const token = new URL(url).searchParams.get("token");
      const body = { token, password: newPassword };
      assert.equal(await status(client.json("PUT", "/api/password-reset", body)), 204);
    } finally {
      await Promise.all([other.close(), admin.close()]);
      await open.close();
    }
    assert.equal(open.mails.length, 0);
  });

  it("A6: no password goes to a mail server that offers no TLS", async () => {
    let asked = 0;
    const open = await startMailServer({
      disabledCommands: ["STARTTLS"],
      authOptional: true,
      allowInsecureAuth: true,
      onAuth(_auth, _session, done) {
        asked += 1;
        done(null, { user: "x" });
      },
    });
    const smtp = { ...smtpAt(open.port), user: "post", password: "mail-secret" };
    const other = await startApp({ ...config(), smtp });
    const { email } = await visitor(postgres, name, app.url);
    await askFor(email, other.url);
    // Closing waits for the mail that is on its way.
    await other.close();
    await open.close();
    assert.deepEqual([asked, open.mails.length], [0, 0]);
  });

  it("A6: without a mail server the page says so, and nothing is made", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const before = (await links()).length;
    const { text } = await new Client(mailless.url).page("/forgot");
    assert.match(text, /This site sends no mail/);
    assert.doesNotMatch(text, /action="\/forgot"/);
    assert.equal((await askFor(email, mailless.url)).status, 409);
    const body = { email };
    const api = await new Client(mailless.url).json("POST", "/api/password-reset", body);
    assert.equal(api.status, 409);
    assert.equal((await links()).length, before);
  });

  it("A6: the page without a link says where to get one", async () => {
    const { status: seen, text } = await new Client(app.url).page("/reset");
    assert.equal(seen, 200);
    assert.match(text, /href="\/forgot"/);
    assert.doesNotMatch(text, /type="password"/);
  });

  it("A15: neither token nor password gets into the log, whatever goes wrong", async () => {
    const { email } = await visitor(postgres, name, app.url);
    const refusing = await startMailServer({
      onRcptTo: ({ address }, _session, done) => done(new Error(`no such user ${address}`)),
    });
    const server = await spawnServer({ ...config(), smtp: smtpAt(refusing.port) });
    const client = new Client(server.url);
    await client.json("POST", "/api/password-reset", { email });
    await until("the failure is logged", () => /mail could not be sent/.test(server.output()));
    await client.page("/reset?token=token-secret-1");
    await client.form("/reset", { password: "password-secret-2" });
    await client.json("POST", "/api/session", { email, password: "password-secret-3" });
    await fetch(`${server.url}/login`, { headers: { Referer: "/reset?token=token-secret-4" } });
    // A database that breaks down in the middle, with an error of its own that quotes the row.
    await postgres.sql(
      `ALTER TABLE account ADD CONSTRAINT broken CHECK (name <> 'Broken') NOT VALID`,
      name,
    );
    const broken = { name: "Broken", email: "broken@example.com", password: "password-secret-5" };
    assert.equal(await status(client.json("POST", "/api/account", broken)), 500);
    await postgres.sql("ALTER TABLE account DROP CONSTRAINT broken", name);
    await until("it is logged", () => /violates check constraint/.test(server.output()));
    server.child.kill("SIGTERM");
    await server.exit;
    await refusing.close();
    assert.doesNotMatch(server.output(), /secret|\$scrypt|@example\.com/);
  });
});
