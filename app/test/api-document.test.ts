import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import type { Express } from "express";
import { pino } from "pino";
import type { z } from "zod";
import { CachedReads } from "../src/data/cached-reads.ts";
import { Database } from "../src/data/database.ts";
import { createApp } from "../src/http/app.ts";
import { Health } from "../src/http/health.ts";
import { operations } from "../src/http/operations.ts";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { newOffer, offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { type Client, password, register } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

interface Layer {
  route?: { path: string | string[]; methods: Record<string, boolean> };
  handle: { stack?: Layer[] };
}

/** Every route of an application, as `GET /api/offers/{id}`. */
function routesOf(layers: readonly Layer[]): string[] {
  return layers.flatMap(({ route, handle }) => {
    if (!route) return routesOf(handle.stack ?? []);
    const paths = [route.path].flat().map((path) => path.replace(/:(\w+)/g, "{$1}"));
    const methods = Object.keys(route.methods).map((method) => method.toUpperCase());
    return paths.flatMap((path) => methods.map((method) => `${method} ${path}`));
  });
}

const documented = Object.entries(operations).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
);

describe("API document", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let client: Client;
  const seen = new Set<string>();

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const mail = {
      host: "127.0.0.1",
      port: 1,
      secure: false,
      servername: "x",
      from: "a@example.com",
    };
    const config = (tier: "storefront" | "admin") => ({
      ...serverConfig(tier, { name, writer: postgres }, uploads),
      smtp: mail,
    });
    [storefront, admin] = await Promise.all([
      startApp(config("storefront")),
      startApp(config("admin")),
    ]);
    ({ client } = await register(storefront.url));
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });

  /** Checks an answer against the document, to the letter. @returns its body */
  const conform = async (
    method: string,
    path: string,
    status: number,
    answer: Response,
  ): Promise<Json> => {
    const what = `${method} ${path}`;
    const text = await answer.text();
    assert.equal(answer.status, status, `${what}: ${text}`);
    const operation = operations[path]?.[method.toLowerCase() as "get"];
    const response = operation?.responses?.[`${status}` as "200"] as Json;
    assert.ok(response, `${what}: ${status} is not documented`);
    if (status < 300) seen.add(what);
    const headers = Object.fromEntries(
      Object.keys(response.headers.shape).map((key) => [key, answer.headers.get(key) ?? undefined]),
    );
    response.headers.parse(headers);
    if (!response.content) {
      assert.equal(text, "", what);
      return undefined;
    }
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, what);
    const body = JSON.parse(text);
    const schema: z.ZodType = response.content["application/json"].schema;
    // What the document does not name is cut away by this, and would show.
    assert.deepEqual(body, schema.parse(body), what);
    return body;
  };
  const fill = (path: string, ...ids: (number | string)[]) => {
    let at = 0;
    return path.replace(/\{\w+\}/g, () => String(ids[at++]));
  };
  /** A visitor's request. */
  const ask = async (
    [method, path]: [string, string],
    status: number,
    {
      ids = [],
      query = "",
      body,
    }: { ids?: (number | string)[]; query?: string; body?: unknown } = {},
  ) => conform(method, path, status, await client.json(method, fill(path, ...ids) + query, body));
  /** An administrator's request. */
  const tell = async (
    [method, path]: [string, string],
    status: number,
    {
      ids = [],
      body,
      headers = asAdmin,
    }: { ids?: number[]; body?: unknown; headers?: object } = {},
  ) => {
    const init =
      body === undefined || body instanceof FormData
        ? { body: (body as FormData) ?? null, headers: { ...headers } }
        : {
            body: JSON.stringify(body),
            headers: { ...headers, "Content-Type": "application/json" },
          };
    const answer = await fetch(admin.url + fill(path, ...ids), { method, ...init });
    return conform(method, path, status, answer);
  };

  it("A17: names every route of both tiers, and nothing else", () => {
    const routes = (["storefront", "admin"] as const).flatMap((tier) => {
      const config = serverConfig(tier, { name, writer: postgres }, uploads);
      const database = new Database(config, () => {});
      const parts = { config, database, cached: new CachedReads(database), mail: undefined };
      const app: Express = createApp({
        ...parts,
        health: new Health(config, database),
        log: pino({ level: "silent" }),
      });
      return routesOf((app as unknown as { router: { stack: Layer[] } }).router.stack);
    });
    const api = new Set(routes.filter((route) => / \/api\//.test(route)));
    const described = documented.filter((route) => / \/api\//.test(route));
    assert.deepEqual([...api].sort(), described.sort());
    for (const route of documented) assert.ok(routes.includes(route), `${route} does not exist`);
  });

  it("A17: is served, is OpenAPI 3.1, and says who may ask what", async () => {
    const document = await ask(["GET", "/api/openapi.json"], 200);
    assert.equal(document.openapi, "3.1.1");
    assert.equal(
      document.servers[0].url,
      serverConfig("storefront", { name, writer: postgres }, uploads).publicUrl,
    );
    assert.deepEqual(Object.keys(document.components.securitySchemes).sort(), ["basic", "visitor"]);
    assert.deepEqual(document.paths["/api/offers"].post.security, [{ basic: [] }]);
    assert.deepEqual(document.paths["/api/bookings"].post.security, [{ visitor: [] }]);
    const text = JSON.stringify(document);
    for (const [, reference = ""] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const found = reference.split("/").reduce((part, key) => part?.[key], document);
      assert.ok(found, `${reference} is not there`);
    }
    for (const header of ["Idempotency-Key", "Retry-After", "X-Served-By", "Location", "X-Cache"]) {
      assert.ok(text.includes(`"${header}"`), header);
    }
  });

  it("A17: the gallery answers as it says", async () => {
    const add = ["POST", "/api/content"] as [string, string];
    const body = () => form({ quote: "q", title: "t" }, { content: png() });
    const { id } = await tell(add, 201, { body: body() });
    await tell(add, 401, { body: body(), headers: {} });
    await tell(add, 403, {
      body: body(),
      headers: { ...asAdmin, Origin: "http://elsewhere.example" },
    });
    await tell(add, 413, { body: form({ quote: "q" }, { content: png(6_000_000) }) });
    await tell(add, 415, { body: form({ quote: "q" }, { content: Buffer.from("GIF89") }) });
    await tell(add, 422, { body: form({ quote: "" }, { content: png() }) });
    await ask(["GET", "/api/content"], 200);
    await ask(["GET", "/api/content"], 422, { query: "?limit=0" });
    const one = "/api/content/{id}";
    await ask(["GET", one], 200, { ids: [id] });
    await ask(["GET", one], 404, { ids: ["x"] });
    await ask(["GET", one], 400, { ids: ["%ff"] });
    await tell(["DELETE", one], 401, { ids: [id], headers: {} });
    await tell(["DELETE", one], 204, { ids: [id] });
    await tell(["DELETE", one], 404, { ids: [id] });
  });

  it("A17: offers answer as it says", async () => {
    const add = ["POST", "/api/offers"] as [string, string];
    const body = newOffer();
    const { id } = await tell(add, 201, { body });
    await tell(add, 200, { body });
    await tell(add, 401, { body, headers: {} });
    await tell(add, 413, { body: { ...body, place: "x".repeat(20_000) } });
    await tell(add, 422, { body: { ...body, quantity: -1 } });
    await tell(add, 415, { body: form({ quote: "q" }) });
    const search = ["GET", "/api/offers"] as [string, string];
    await ask(search, 200, { query: "?kind=flight&place=lofoten&limit=1" });
    await ask(search, 422, { query: "?kind=ship" });
    await ask(["GET", "/api/vuelos"], 200);
    await ask(["GET", "/api/vuelos"], 422, { query: "?from=yesterday" });
    const one = "/api/offers/{id}";
    await ask(["GET", one], 200, { ids: [id] });
    await ask(["GET", one], 404, { ids: [999_999] });
    await ask(["POST", "/api/bookings"], 201, { body: { offerId: id, quantity: 1 } });
    await tell(["DELETE", one], 409, { ids: [id] });
    const { id: other } = await tell(add, 201, { body: newOffer() });
    await tell(["DELETE", one], 204, { ids: [other] });
    await tell(["DELETE", one], 404, { ids: [other] });
  });

  it("A17: bookings and trips answer as it says", async () => {
    const offerId = await offerRow(postgres, name);
    const book = ["POST", "/api/bookings"] as [string, string];
    const { id } = await ask(book, 201, { body: { offerId, quantity: 1 } });
    await ask(book, 404, { body: { offerId: 999_999, quantity: 1 } });
    await ask(book, 409, { body: { offerId, quantity: 50 } });
    await ask(book, 422, { body: { offerId, quantity: 0 } });
    const started = await offerRow(postgres, name, { startsInDays: -1 });
    await ask(book, 410, { body: { offerId: started, quantity: 1 } });
    await ask(["GET", "/api/bookings"], 200);
    await ask(["GET", "/api/bookings"], 422, { query: "?before=x" });
    const one = "/api/bookings/{id}";
    await ask(["GET", one], 200, { ids: [id] });
    await ask(["GET", one], 404, { ids: [999_999] });
    const items = `${one}/items`;
    const item = await ask(["POST", items], 201, { ids: [id], body: { text: "Pack" } });
    const multipart = { method: "POST", body: form({ text: "Look" }, { content: png() }) };
    await conform("POST", items, 201, await client.send(fill(items, id), multipart));
    await ask(["POST", items], 422, { ids: [id], body: { text: "" } });
    await ask(["POST", items], 404, { ids: [999_999], body: { text: "x" } });
    await ask(["GET", items], 200, { ids: [id] });
    const tick = ["PATCH", `${items}/{item}`] as [string, string];
    await ask(tick, 200, { ids: [id, item.id], body: { done: true } });
    await ask(tick, 404, { ids: [id, 999_999], body: { done: true } });
    await ask(tick, 422, { ids: [id, item.id], body: { done: "yes" } });
    await ask(["DELETE", `${items}/{item}`], 204, { ids: [id, item.id] });
    await ask(["DELETE", `${items}/{item}`], 404, { ids: [id, item.id] });
    await ask(["DELETE", one], 200, { ids: [id] });
    await ask(["DELETE", one], 404, { ids: [999_999] });
  });

  it("A17: the system answers as it says", async () => {
    for (const path of ["/api/health", "/api/live", "/api/time"]) await ask(["GET", path], 200);
  });

  it("A17: accounts answer as it says", async () => {
    const account = "/api/account";
    const name = "Ada";
    const email = "document@example.com";
    const { email: known } = await ask(["GET", account], 200);
    await tell(["POST", "/admin/reset-links"], 201, { body: { email: known } });
    await tell(["POST", "/admin/reset-links"], 404, { body: { email: "nobody@example.com" } });
    await tell(["POST", "/admin/reset-links"], 422, { body: { email: 7 } });
    await ask(["POST", account], 409, { body: { name, email: known, password } });
    await ask(["POST", account], 422, { body: { name, email, password: "short" } });
    await ask(["PATCH", account], 200, { body: { name: "Bo" } });
    await ask(["PATCH", account], 422, {
      body: { currentPassword: "wrong", password: "long enough" },
    });
    await ask(["POST", "/api/session"], 401, { body: { email: known, password: "wrong" } });
    await ask(["POST", "/api/session"], 200, { body: { email: known, password } });
    await ask(["POST", "/api/password-reset"], 202, { body: { email: known } });
    await ask(["PUT", "/api/password-reset"], 410, { body: { token: "no such token", password } });
    const { url } = await tell(["POST", "/admin/reset-links"], 201, { body: { email: known } });
    const token = new URL(url).searchParams.get("token");
    await ask(["PUT", "/api/password-reset"], 204, { body: { token, password } });
    await ask(["GET", account], 401);
    await ask(["POST", "/api/bookings"], 401, { body: { offerId: 1, quantity: 1 } });
    await ask(["POST", "/api/session"], 200, { body: { email: known, password } });
    await ask(["DELETE", "/api/session"], 204);
    await ask(["POST", account], 201, { body: { name, email, password } });
    await ask(["DELETE", account], 422, { body: { password: "wrong" } });
    await ask(["DELETE", account], 204, { body: { password } });
  });

  it("A17: and every operation was asked", () => {
    assert.deepEqual(
      documented.filter((route) => !seen.has(route)),
      [],
    );
  });
});
