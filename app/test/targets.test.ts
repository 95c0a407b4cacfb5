import assert from "node:assert/strict";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { asAdmin } from "./support/admin.ts";
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
import { sendRaw } from "./support/raw.ts";
import { type Client, visitor } from "./support/visitor.ts";

const methods = [
  ...["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"],
  ...["PROPFIND", "MKCOL", "LOCK", "SEARCH", "PURGE", "QUERY", "M-SEARCH", "BREW", "get", "G=T"],
];

/** One of each kind of route, with and without things that are there. */
const routes = [
  ...["/", "/offers", "/offers/1", "/offers/2147483648", "/bookings", "/bookings/1", "/login"],
  ...[
    "/register",
    "/account",
    "/account/name",
    "/forgot",
    "/reset",
    "/logout",
    "/bookings/1/items",
  ],
  ...["/bookings/1/items/1/tick", "/bookings/1/pictures/x.png", "/bookings/1/cancel"],
  ...["/images/00000000000000000000000000000000.png", "/assets/site.css", "/metrics"],
  ...["/api/health", "/api/live", "/api/time", "/api/openapi.json", "/api/content"],
  ...["/api/content/1", "/api/offers", "/api/offers/1", "/api/vuelos", "/api/account"],
  ...["/api/session", "/api/password-reset", "/api/bookings", "/api/bookings/1"],
  ...["/api/bookings/1/items", "/api/bookings/1/items/1", "/admin", "/admin/login"],
  ...["/admin/offers", "/admin/offers/1/quantity", "/admin/content", "/admin/account"],
  ...["/admin/reset-links", "/admin/content/1/delete", "/nothing/here"],
];

/** Targets that are no plain path. */
const odd = [
  ...["*", "**", "*/", "http://x", "http://x/", "http://x/offers?place=a", "HTTP://X:80/%"],
  ...["https://x/api/live", "ftp://x/", "http://", "http:///", "http://[::1", "http://x:99999/"],
  ...["x:443", "x", "x:", ":", "x/y", "offers", "?", "#", "?a=b", "/#a", "/?", "/??", "/?#"],
  ...["//", "///", "//x", "//x/offers", "//%", "/.", "/..", "/../..", "/./offers", "/offers/.."],
  ...[
    "/%",
    "/%0",
    "/%00",
    "/%0a",
    "/%zz",
    "/%ff",
    "/%c0%af",
    "/%e2%80%8b",
    "/offers/%",
    "/offers//",
  ],
  ...["/offers/1/", "/offers;x", "/offers\\x", "\\", "/\\x", "/;", "/:", "/@", "/\u00e9", "\u00ff"],
  ...["/offers?place=%", "/offers?%", "/offers?place=%00", "/offers?&&==", "/offers?place[]=1"],
  ...["/offers?limit=1&limit=2", "/login?next=%", "/login?next=//x", "/login?next=%0d%0aX:y"],
  ...[`/${"a".repeat(15_000)}`, `/?${"a=b&".repeat(3500)}`, `/${"/".repeat(5000)}`],
  ...[`/${"%61".repeat(4000)}`, "a".repeat(9000), `http://${"x".repeat(9000)}/`, "/{a}", "/(a)"],
  ...["/api/offers/1%00", "/images/..%2f..%2fx", "/assets/%2e%2e", "mailto:a@b", "//@:0/", "/|"],
];

describe("request targets and methods", function () {
  this.timeout(120_000);
  let postgres: Postgres;
  let uploads: string;
  let apps: TestApp[];
  let client: Client;

  before(async () => {
    postgres = await sharedPostgres();
    const name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name, writer: postgres }, uploads));
    apps = await Promise.all([start("storefront"), start("admin")]);
    ({ client } = await visitor(postgres, name, apps[0]?.url ?? ""));
    await offerRow(postgres, name);
  });
  after(async () => {
    await Promise.all((apps ?? []).map((app) => app.close()));
    if (uploads) await rm(uploads, { recursive: true });
  });
  afterEach(async () => {
    for (const { url } of apps ?? []) assert.equal((await fetch(`${url}/api/live`)).status, 200);
  });

  /** What a browser, a script and nobody in particular send with it. */
  const senders = (): string[] => {
    const { Cookie = "" } = client.headers;
    return [
      "",
      `Cookie: ${Cookie}\r\nSec-Fetch-Site: same-origin\r\nAccept: text/html\r\n`,
      `Authorization: ${asAdmin.Authorization}\r\nAccept: application/json\r\n`,
    ];
  };
  /** @returns what is wrong with the answers of both tiers, if anything is */
  const faults = async (method: string, target: string, headers = ""): Promise<string[]> => {
    const found: string[] = [];
    for (const { url } of apps) {
      const bytes = `${method} ${target} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: 0\r\nConnection: close\r\n\r\n`;
      const { status, text, ms } = await sendRaw(url, Buffer.from(bytes, "latin1"), {
        limitMs: 20_000,
      });
      if (status >= 200 && status < 500 && Number.isFinite(ms)) continue;
      found.push(`${method} ${JSON.stringify(target).slice(0, 80)}: ${status} ${ms} ms ${text}`);
    }
    return found;
  };
  const inTurn = async (tries: { method: string; target: string; headers?: string }[]) => {
    const left = [...tries];
    const found: string[] = [];
    const line = async () => {
      for (let one = left.pop(); one; one = left.pop()) {
        found.push(...(await faults(one.method, one.target, one.headers)));
      }
    };
    await Promise.all(Array.from({ length: 16 }, line));
    assert.deepEqual(found, []);
  };

  it("A17: every method on every route is answered, and never with 5xx", async () => {
    await inTurn(
      senders().flatMap((headers) =>
        routes.flatMap((target) => methods.map((method) => ({ method, target, headers }))),
      ),
    );
  });

  it("A17: every form of target with every method is answered, and never with 5xx", async () => {
    await inTurn(odd.flatMap((target) => methods.map((method) => ({ method, target }))));
    await inTurn(
      senders().flatMap((headers) => odd.map((target) => ({ method: "GET", target, headers }))),
    );
  });

  it("A17: OPTIONS * tells what the server takes; other methods have no such target", async () => {
    for (const { url } of apps) {
      const ask = (method: string) =>
        sendRaw(url, `${method} * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const { status, text } = await ask("OPTIONS");
      assert.equal(status, 204);
      assert.match(text, /^Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r$/m);
      for (const method of ["GET", "HEAD", "DELETE"]) {
        assert.equal((await ask(method)).status, 400, method);
      }
    }
  });

  it("A17: the absolute form is the same as its path, and CONNECT is refused", async () => {
    for (const { url } of apps) {
      const ask = (line: string) =>
        sendRaw(url, `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const { status, text } = await ask("GET http://other.example/api/live");
      assert.equal(status, 200);
      assert.match(text, /"status":"alive"/);
      assert.equal((await ask("CONNECT x:443")).status, 405);
      assert.equal((await ask("GET x:443")).status, 400);
      assert.equal((await ask("GET ftp://x/api/live")).status, 400);
    }
  });

  it("A17: a client that keeps its own side open is cut off: it holds up no stop", async () => {
    const { hostname, port } = new URL(apps[0]?.url ?? "");
    for (const bytes of ["CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "no HTTP\r\n\r\n"]) {
      const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("error", () => {});
      socket.write(bytes);
      await once(socket, "end");
      assert.match(text, /^HTTP\/1\.1 40[05] /);
      // A side that is closed tells so to whoever writes to it.
      const writing = setInterval(() => socket.write("x"), 200);
      const closed = new Promise((resolve) => socket.once("close", () => resolve(true)));
      assert.equal(await Promise.race([closed, sleep(4000, false)]), true, bytes);
      clearInterval(writing);
    }
  });

  it("A17: whatever bytes a request line has, the answer is never 5xx", async () => {
    const piece = fc.oneof(
      fc.constantFrom(...routes, ...odd.filter((one) => one.length < 100)),
      fc.constantFrom(
        "/",
        "//",
        ".",
        "..",
        "%",
        "%00",
        "%2f",
        "%ff",
        "?",
        "#",
        "*",
        ":",
        "@",
        "\\",
      ),
      fc.string({ unit: "binary-ascii", maxLength: 12 }),
      fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((it) => String.fromCharCode(it)) }),
    );
    const target = fc
      .array(piece, { minLength: 1, maxLength: 5 })
      // What would end the request line, or the request, is another test's.
      .map((pieces) => pieces.join("").replace(/[\r\n ]/g, "_"));
    const method = fc.oneof(
      fc.constantFrom(...methods),
      fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/),
    );
    const property = fc.asyncProperty(
      fc.array(fc.record({ method, target }), { minLength: 16, maxLength: 16 }),
      (tries) => inTurn(tries),
    );
    await fc.assert(property, { numRuns: 150, interruptAfterTimeLimit: 40_000 });
  });
});
