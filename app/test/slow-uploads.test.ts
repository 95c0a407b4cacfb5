import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  spawnServer,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { sendRaw } from "./support/raw.ts";
import { until } from "./support/until.ts";
import { type Client, visitor } from "./support/visitor.ts";

/** Ten times as short as the real ones. */
const hurried = { bodyBytesPerSecond: 5000, bodyGraceSeconds: 0.5 };

interface Line {
  /** Bytes of the body that are sent at once, its fields among them. */
  first?: number;
  bytesPerSecond: number;
  /** After these nothing more comes. @default all */
  most?: number;
}

/** Sends a request over a line of this speed, and reads until the server closes it. */
async function sendSlowly(
  url: string,
  path: string,
  headers: Record<string, string>,
  body: Buffer,
  { first = 0, bytesPerSecond, most = body.length }: Line,
): Promise<{ status: number; text: string; seconds: number }> {
  const { host, hostname, port } = new URL(url);
  const begun = performance.now();
  const socket = connect(Number(port), hostname);
  let text = "";
  let isOpen = true;
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isOpen = false;
      resolve();
    });
  });
  socket.on("data", (chunk) => {
    text += chunk.toString();
  });
  const lines = { Host: host, ...headers, "Content-Length": String(body.length) };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${path} HTTP/1.1\r\n${head.join("")}Connection: close\r\n\r\n`);
  socket.write(body.subarray(0, first));
  let sent = first;
  while (isOpen && sent < most && text === "") {
    await sleep(100);
    // By the clock, so that a busy machine does not make the line slower.
    const due = first + ((performance.now() - begun) / 1000) * bytesPerSecond;
    const next = Math.min(most, Math.max(sent, Math.floor(due)));
    socket.write(body.subarray(sent, next));
    sent = next;
  }
  await closed;
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
  return { status, text, seconds: (performance.now() - begun) / 1000 };
}

async function multipart(fields: Record<string, string>, bytes: number) {
  const encoded = new Response(form(fields, { content: png(bytes) }));
  const body = Buffer.from(await encoded.arrayBuffer());
  const picture = body.indexOf("\x89PNG", 0, "latin1");
  return { body, picture, type: encoded.headers.get("content-type") ?? "" };
}

describe("uploads on a slow line", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let client: Client;
  let trip: number;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name, writer: postgres }, uploads), hurried);
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
    ({ client } = await visitor(postgres, name, storefront.url));
    const offerId = await offerRow(postgres, name);
    const booking = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    trip = ((await booking.json()) as { id: number }).id;
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });
  const unfinished = async () =>
    (await readdir(uploads, { recursive: true })).filter((file) => file.endsWith(".part"));

  const page = { Accept: "text/html" };

  it("A2: a steady one is taken, however long it takes", async () => {
    const { body, type } = await multipart({ quote: "steady" }, 60_000);
    const headers = { ...asAdmin, "Content-Type": type };
    const line = { bytesPerSecond: 15_000 };
    const answer = await sendSlowly(admin.url, "/api/content", headers, body, line);
    assert.equal(answer.status, 201, answer.text);
    assert.ok(answer.seconds > 3.5, `${answer.seconds} s`);
  });

  it("A2: there is no other limit of a minute: limits ten times as short let it take 8 s", async () => {
    const hurry = new URL("./support/hurry.ts", import.meta.url).href;
    const config = serverConfig("admin", { name, writer: postgres }, uploads);
    const server = await spawnServer(config, { nodeArgs: ["--import", hurry] });
    try {
      const { body, type } = await multipart({ quote: "a minute" }, 64_000);
      const headers = { ...asAdmin, "Content-Type": type };
      const line = { bytesPerSecond: 8000 };
      const answer = await sendSlowly(server.url, "/api/content", headers, body, line);
      assert.equal(answer.status, 201, answer.text);
      assert.ok(answer.seconds > 7.5, `${answer.seconds} s`);
    } finally {
      server.child.kill("SIGKILL");
      await server.exit;
    }
  });

  it("A2: one that is too slow is told so in JSON, and leaves nothing behind", async () => {
    const { body, type, picture } = await multipart({ quote: "slow" }, 60_000);
    const headers = { ...asAdmin, "Content-Type": type };
    const line = { first: picture + 10, bytesPerSecond: 1000 };
    const answer = await sendSlowly(admin.url, "/api/content", headers, body, line);
    assert.equal(answer.status, 408, answer.text);
    assert.match(
      answer.text,
      /"error":"upload-too-slow","message":"Your request arrived too slowly/,
    );
    assert.ok(answer.seconds < 10, `${answer.seconds} s`);
    assert.deepEqual(await unfinished(), []);
  });

  it("A2: the administrators' form says it on its page, with what was typed", async () => {
    const quote = "Typed <with care>";
    const { body, type, picture } = await multipart({ quote, title: "Rome" }, 60_000);
    const headers = { ...asAdmin, ...page, "Content-Type": type };
    const line = { first: picture + 10, bytesPerSecond: 500 };
    const answer = await sendSlowly(admin.url, "/admin/content", headers, body, line);
    assert.equal(answer.status, 408, answer.text);
    assert.match(answer.text, /id="image-error">Your request arrived too slowly/);
    assert.match(answer.text, /Typed &lt;with care&gt;/);
    assert.match(answer.text, /name="title"[^>]*value="Rome"/);
    assert.deepEqual(await unfinished(), []);
  });

  it("A8: and so does the trip's", async () => {
    const { body, type, picture } = await multipart({ text: "Pack the tent" }, 60_000);
    const headers = { ...client.headers, ...page, "Content-Type": type };
    const line = { first: picture + 10, bytesPerSecond: 500 };
    const answer = await sendSlowly(storefront.url, `/bookings/${trip}/items`, headers, body, line);
    assert.equal(answer.status, 408, answer.text);
    assert.match(
      answer.text,
      /id="image-error">Your request arrived too slowly[^<]*Your text is kept/,
    );
    assert.match(answer.text, /name="text"[^>]*value="Pack the tent"/);
    assert.deepEqual(await unfinished(), []);
  });

  it("A2: a picture that is too large keeps what was typed, too", async () => {
    const { body, type } = await multipart({ text: "A large one" }, 5 * 1024 * 1024 + 10);
    const answer = await client.send(`/bookings/${trip}/items`, {
      method: "POST",
      body: new Uint8Array(body),
      headers: { ...page, "Content-Type": type },
    });
    assert.equal(answer.status, 413);
    assert.match(await answer.text(), /name="text"[^>]*value="A large one"/);
  });

  it("A15: any other body that is too slow gets JSON or a page as well", async () => {
    const line = { first: 5, bytesPerSecond: 20 };
    const json = { "Content-Type": "application/json" };
    const text = Buffer.from(JSON.stringify({ email: "x".repeat(5000), password: "y" }));
    const answer = await sendSlowly(storefront.url, "/api/session", json, text, line);
    assert.equal(answer.status, 408, answer.text);
    assert.match(answer.text, /"error":"upload-too-slow"/);
    const fields = { "Content-Type": "application/x-www-form-urlencoded", ...page };
    const typed = Buffer.from(`email=${"x".repeat(5000)}`);
    const shown = await sendSlowly(storefront.url, "/login", fields, typed, line);
    assert.equal(shown.status, 408, shown.text);
    assert.match(shown.text, /<h1>That did not work<\/h1>\s*<p>Your request arrived too slowly/);
    const nowhere = await sendSlowly(storefront.url, "/nowhere", json, text, line);
    assert.equal(nowhere.status, 404);
    assert.ok(nowhere.seconds < 10, "the rest of a body that nobody reads is not waited for");
  });

  it("A15: what comes complete after it was given up is dropped: nothing was changed", async () => {
    const offerId = await offerRow(postgres, name);
    const body = JSON.stringify({ offerId, quantity: 1 });
    const { hostname, port, host } = new URL(storefront.url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    const headers = { Host: host, ...client.headers, "Content-Type": "application/json" };
    const lines = Object.entries({ ...headers, "Content-Length": body.length });
    const head = lines.map(([field, value]) => `${field}: ${value}\r\n`).join("");
    socket.write(`POST /api/bookings HTTP/1.1\r\n${head}\r\n${body.slice(0, 5)}`);
    await until(
      "it is given up",
      () => text,
      (it) => /^HTTP\/1\.1 408 .*\}$/s.test(it),
      5,
    );
    socket.write(`${body.slice(5)}GET /api/health HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await until(
      "the next one is answered",
      () => text,
      (it) => /HTTP\/1\.1 200 /.test(it),
      5,
    );
    socket.destroy();
    assert.match(text, /Nothing was changed/);
    await sleep(200);
    const made = `SELECT 1 FROM booking WHERE offer_id = ${offerId}`;
    assert.deepEqual(await postgres.sql(made, name), []);
  });

  /** Removes a destination while its table is locked for some time. */
  const removeSlowly = async (url: string, body: string, lockedMs: number, stop?: () => void) => {
    const [row] = await postgres.sql<{ id: number }>(
      `INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
       VALUES ('q', md5(random()::text) || '.png', 'image/png', 1, 1, 1) RETURNING id`,
      name,
    );
    const { port } = postgres;
    const other = new pg.Client({ host: "127.0.0.1", port, database: name, user: "postgres" });
    await other.connect();
    await other.query("BEGIN; LOCK TABLE content IN SHARE MODE");
    const { host } = new URL(url);
    const head = `DELETE /api/content/${row?.id} HTTP/1.1\r\nHost: ${host}\r\n`;
    const answer = sendRaw(
      url,
      `${head}Authorization: ${asAdmin.Authorization}\r\nConnection: close\r\n${body}`,
      { limitMs: 10_000 },
    );
    await sleep(300);
    stop?.();
    await sleep(lockedMs - 300);
    await other.query("ROLLBACK");
    await other.end();
    return await answer;
  };

  it("A15: a body that is there, or that nobody reads, is waited for by nobody: no 408", async () => {
    const bodies = {
      "an empty one in chunks": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "a short one": "Content-Length: 2\r\n\r\n{}",
      "one that does not come": "Content-Length: 2\r\n\r\n",
    };
    for (const [what, body] of Object.entries(bodies)) {
      const answer = await removeSlowly(admin.url, body, 1500);
      assert.equal(answer.status, 204, `${what}: ${answer.text}`);
    }
  });

  describe("A15: while an instance stops", () => {
    it("A15: a change whose body is there is not called undone", async () => {
      const config = serverConfig("admin", { name, writer: postgres }, uploads);
      const server = await spawnServer({ ...config, drainSeconds: 0, stopGraceSeconds: 4 });
      const stop = () => server.child.kill("SIGTERM");
      const body = "Content-Length: 2\r\n\r\n{}";
      // The grace ends 4 s after the signal; those that still send are given up after 1.5 s.
      const answer = await removeSlowly(server.url, body, 2600, stop);
      assert.equal(answer.status, 204, answer.text);
      assert.equal(await server.exit, 0);
    });

    const stopping = async (line: Line, bytes: number) => {
      const config = serverConfig("admin", { name, writer: postgres }, uploads);
      const server = await spawnServer({ ...config, drainSeconds: 1, stopGraceSeconds: 6 });
      const { body, type } = await multipart({ quote: "under way" }, bytes);
      const headers = { ...asAdmin, ...page, "Content-Type": type };
      const upload = sendSlowly(server.url, "/admin/content", headers, body, line);
      await sleep(500);
      const begun = performance.now();
      server.child.kill("SIGTERM");
      const answer = await upload;
      assert.equal(await server.exit, 0);
      assert.ok(performance.now() - begun < 6500, "it did not stop within its grace");
      return answer;
    };

    it("A15: an upload that is under way is finished", async () => {
      const { status, seconds } = await stopping({ bytesPerSecond: 20_000 }, 55_000);
      assert.equal(status, 303);
      assert.ok(seconds > 2, `${seconds} s`);
    });

    it("A15: one that cannot be finished in time is told so on its page, with what was typed", async () => {
      const { status, text } = await stopping({ first: 1000, bytesPerSecond: 6000 }, 200_000);
      assert.equal(status, 503, text);
      assert.match(text, /This server is being restarted/);
      assert.match(text, /under way/);
      assert.deepEqual(await unfinished(), []);
    });
  });
});
