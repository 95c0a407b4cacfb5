import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { asAdmin } from "./support/admin.ts";
import {
  type AppProcess,
  files,
  migrateDatabase,
  secretsFolder,
  serverConfig,
  serverEnvironment,
  spawnEntry,
  spawnServer,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { createDatabase, type Postgres, passwords } from "./support/postgres.ts";
import { startProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

describe("lifecycle", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
  });
  after(async () => {
    await rm(uploads, { recursive: true });
  });

  const config = (
    tier: "storefront" | "admin",
    writer: { host: string; port: number } = postgres,
  ) => serverConfig(tier, { name, writer }, uploads);
  const health = async (url: string): Promise<[number, Json]> => {
    const answer = await fetch(`${url}/api/health`);
    return [answer.status, await answer.json()];
  };

  describe("A1: shared trouble", () => {
    it("A1: starts and serves without a database, answers 503 with Retry-After, and recovers by itself", async () => {
      const proxy = await startProxy(postgres);
      proxy.mode = "refuse";
      const app = await startApp(config("storefront", { host: "127.0.0.1", port: proxy.port }), {
        readMs: 1000,
      });
      const [status, body] = await health(app.url);
      assert.equal(status, 200);
      assert.equal(body.status, "degraded");
      assert.ok(body.database.writer.error && body.database.reader.error);

      const page = await fetch(app.url, { headers: { Accept: "text/html" } });
      assert.equal(page.status, 503);
      assert.equal(page.headers.get("retry-after"), "2");
      assert.match(await page.text(), /Back in a moment/);
      assert.equal((await fetch(`${app.url}/api/content`)).status, 503);

      proxy.mode = "pass";
      assert.equal((await fetch(app.url)).status, 200);
      await until(
        "health is ok again",
        () => health(app.url),
        ([, now]) => now.status === "ok",
        5,
      );
      await app.close();
      await proxy.close();
    });

    it("A1: health answers at once and with 200 while the database hangs", async () => {
      const proxy = await startProxy(postgres);
      const app = await startApp(config("storefront", { host: "127.0.0.1", port: proxy.port }));
      proxy.mode = "silence";
      await until(
        "health has noticed",
        () => health(app.url),
        ([, body]) => body.status === "degraded",
        8,
      );
      for (let i = 0; i < 20; i += 1) {
        const start = Date.now();
        const [status] = await health(app.url);
        assert.equal(status, 200);
        assert.ok(Date.now() - start < 200);
      }
      proxy.mode = "pass";
      proxy.closeAll();
      await until(
        "health is ok again",
        () => health(app.url),
        ([, body]) => body.status === "ok",
        8,
      );
      await app.close();
      await proxy.close();
    });

    it("A1: health says 503 while starting, and waits for no dependency for long", async () => {
      const proxy = await startProxy(postgres);
      proxy.mode = "silence";
      const port = 20_000 + (process.pid % 20_000);
      const listen = { host: "127.0.0.1", port };
      const slow = config("storefront", { host: "127.0.0.1", port: proxy.port });
      const folder = await secretsFolder();
      const environment = await serverEnvironment({ ...slow, listen }, folder);
      const server = await spawnEntry("run/server.ts", environment);
      server.exit.then(() => rm(folder, { recursive: true }));
      const url = `http://127.0.0.1:${port}`;
      const [status, body] = await until("it listens", () => health(url));
      assert.deepEqual([status, body.status], [503, "starting"]);
      assert.equal((await fetch(`${url}/api/live`)).status, 200);
      await until(
        "it is ready",
        () => health(url),
        ([now]) => now === 200,
        4,
      );
      server.child.kill("SIGKILL");
      await server.exit;
      await proxy.close();
    });

    it("A1: health names a store that is not there, with 200", async () => {
      const app = await startApp({ ...config("storefront"), uploadsDirectory: "/nonexistent" });
      const [status, body] = await health(app.url);
      assert.equal(status, 200);
      assert.deepEqual([body.status, body.storage.state], ["degraded", "unavailable"]);
      await app.close();
    });
  });

  describe("A15: graceful stop", () => {
    it("A15: health 503 at once, still serving and live; then finishes what is under way; exit 0", async () => {
      const server = await spawnServer({
        ...config("admin"),
        drainSeconds: 2,
        stopGraceSeconds: 10,
      });
      const upload = slowUpload(server, 3500);
      await sleep(300);
      const start = Date.now();
      server.child.kill("SIGTERM");
      await until(
        "health says draining",
        () => health(server.url),
        ([, body]) => body.status === "draining",
        1,
      );
      assert.equal((await health(server.url))[0], 503);
      assert.equal((await fetch(`${server.url}/api/live`)).status, 200);
      const page = await fetch(`${server.url}/admin`, { headers: asAdmin });
      assert.equal(page.status, 200);
      assert.equal(page.headers.get("connection"), "close");
      await sleep(Math.max(0, 2500 - (Date.now() - start)));
      await assert.rejects(fetch(`${server.url}/api/live`));
      assert.match(await upload, /^HTTP\/1\.1 201 [\s\S]*"quote":"slow"/);
      assert.equal(await server.exit, 0);
      assert.ok(Date.now() - start < 8000);
    });

    it("A15: exits within its grace even if a request never ends", async () => {
      const server = await spawnServer({
        ...config("admin"),
        drainSeconds: 0,
        stopGraceSeconds: 2,
      });
      const upload = slowUpload(server, 30_000);
      await sleep(300);
      const start = Date.now();
      server.child.kill("SIGTERM");
      assert.equal(await server.exit, 0);
      assert.ok(Date.now() - start < 2300);
      await upload;
      for (const file of await files(uploads)) {
        if (file.endsWith(".part")) await rm(join(uploads, file));
      }
    });
  });

  it("A15: an error that nobody caught does not end the process", async () => {
    const poison = new URL("./support/poison.ts", import.meta.url).href;
    const server = await spawnServer(config("storefront"), { nodeArgs: ["--import", poison] });
    server.child.kill("SIGUSR2");
    await until(
      "both errors are logged",
      () => server.output(),
      (text) => /poisoned event/.test(text) && /poisoned promise/.test(text),
    );
    assert.equal((await health(server.url))[0], 200);
    assert.match(
      await (await fetch(`${server.url}/metrics`)).text(),
      /uncaught_errors_total [2-9]/,
    );
    server.child.kill("SIGTERM");
    assert.equal(await server.exit, 0);
  });

  describe("A15: logs", () => {
    let server: AppProcess;
    afterEach(async () => {
      server.child.kill("SIGKILL");
      await server.exit;
    });
    const lines = (): Json[] =>
      server
        .output()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    const ask = (headers: Record<string, string>) =>
      fetch(`${server.url}/?token=query-secret`, { headers });

    it("A15: are JSON, with id, client, method, path, status and time; and without secrets", async () => {
      server = await spawnServer(config("storefront"));
      const answer = await ask({
        Cookie: "session=cookie-secret",
        Authorization: "Basic header-secret",
      });
      const id = answer.headers.get("x-request-id");
      const line = await until("the request is logged", () =>
        lines().find(({ requestId }) => requestId === id),
      );
      const { client, method, path, status, ms, instance } = line;
      assert.deepEqual(
        { client, method, path, status, instance },
        { client: "127.0.0.1", method: "GET", path: "/", status: 200, instance: "storefront-1" },
      );
      assert.equal(typeof ms, "number");
      assert.doesNotMatch(server.output(), /query-secret|cookie-secret|header-secret/);
      assert.ok(!server.output().includes(passwords.storefront));
      assert.ok(!server.output().includes(config("storefront").cookieSecrets[0] ?? "none"));
    });

    it("L7: take request id and client address from a trusted proxy", async () => {
      server = await spawnServer({ ...config("storefront"), trustedProxies: ["127.0.0.1"] });
      const answer = await ask({
        "X-Request-Id": "from-proxy-1",
        "X-Forwarded-For": "203.0.113.9",
      });
      assert.equal(answer.headers.get("x-request-id"), "from-proxy-1");
      const line = await until("it is logged", () =>
        lines().find(({ requestId }) => requestId === "from-proxy-1"),
      );
      assert.equal(line.client, "203.0.113.9");
      const odd = await ask({ "X-Request-Id": `x${"y".repeat(200)}` });
      assert.match(String(odd.headers.get("x-request-id")), /^[0-9a-f-]{36}$/);
    });

    it("L7: and from nobody else", async () => {
      server = await spawnServer({ ...config("storefront"), trustedProxies: ["192.0.2.1"] });
      const answer = await ask({ "X-Request-Id": "forged-1", "X-Forwarded-For": "203.0.113.9" });
      const id = answer.headers.get("x-request-id");
      assert.notEqual(id, "forged-1");
      const line = await until("it is logged", () =>
        lines().find(({ requestId }) => requestId === id),
      );
      assert.equal(line.client, "127.0.0.1");
      assert.doesNotMatch(server.output(), /forged-1|203\.0\.113\.9/);
    });
  });

  it("A15: metrics count requests by route, and show the pools", async () => {
    const app = await startApp(config("storefront"));
    await fetch(`${app.url}/api/content/4711`);
    await fetch(`${app.url}/wp-login.php`);
    const text = await (await fetch(`${app.url}/metrics`)).text();
    await app.close();
    assert.match(
      text,
      /http_request_duration_seconds_count\{method="GET",route="\/api\/content\/:id",status="404"\}/,
    );
    // the figures are any digits; only labels name a path
    assert.doesNotMatch(text, /="[^"]*(4711|wp-login)/);
    assert.match(text, /database_pool_connections\{pool="reader",state="idle"\} \d/);
    assert.match(text, /process_cpu_seconds_total/);
  });

  describe("A15: clients that misbehave", () => {
    let app: TestApp;
    before(async () => {
      app = await startApp(config("storefront"));
    });
    after(async () => {
      await app.close();
    });

    /** Writes to a fresh connection until the server closes it. @returns its answer */
    const raw = async (start: string, drip?: string): Promise<string> => {
      const socket = connect(Number(new URL(app.url).port), "127.0.0.1");
      let answer = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        answer += chunk.toString();
      });
      socket.write(start);
      const timer = setInterval(() => drip && socket.write(drip), 500);
      await new Promise((resolve) => socket.once("close", resolve));
      clearInterval(timer);
      return answer;
    };

    it("A15: one that sends its headers too slowly is let go with 408", async () => {
      const start = Date.now();
      const answer = await raw("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "y");
      assert.match(answer, /^HTTP\/1\.1 408 /);
      assert.ok(Date.now() - start < 15_000);
    });

    it("A15: 20 KB of headers get 431", async () => {
      const answer = await raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(20_000)}\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 431 /);
    });

    it("A10: what is no HTTP gets 400, with the instance's name", async () => {
      assert.match(
        await raw("SSH-2.0-x\r\n\r\n"),
        /^HTTP\/1\.1 400 [\s\S]*X-Served-By: storefront-1/,
      );
    });
  });
});

/** Sends a form of which the last part comes late. @returns the raw answer */
function slowUpload(server: AppProcess, delayMs: number): Promise<string> {
  return new Promise((resolve) => {
    const encoded = new Response(form({ quote: "slow" }, { content: png(50_000) }));
    encoded.arrayBuffer().then((body) => {
      const bytes = Buffer.from(body);
      const { port } = new URL(server.url);
      const socket = connect(Number(port), "127.0.0.1");
      let answer = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        answer += chunk.toString();
      });
      socket.once("close", () => resolve(answer));
      socket.write(
        `POST /api/content HTTP/1.1\r\nHost: x\r\nAuthorization: ${asAdmin.Authorization}\r\n` +
          `Content-Type: ${encoded.headers.get("content-type")}\r\n` +
          `Content-Length: ${bytes.length}\r\n\r\n`,
      );
      socket.write(bytes.subarray(0, 20_000));
      setTimeout(() => socket.writable && socket.write(bytes.subarray(20_000)), delayMs).unref();
    });
  });
}
