/** Requests that nobody thought of, made from the API's own document, against both tiers. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminPassword } from "../../app/test/support/admin.ts";
import { migrateDatabase, serverConfig, spawnServer } from "../../app/test/support/app.ts";
import { startCache } from "../../app/test/support/cache.ts";
import { removeContainers } from "../../app/test/support/docker.ts";
import { startFront } from "../../app/test/support/front.ts";
import { offerRow } from "../../app/test/support/offers.ts";
import { createDatabase, startPrimary } from "../../app/test/support/postgres.ts";
import { register } from "../../app/test/support/visitor.ts";
import { ensureSchemathesis, fuzz } from "./schemathesis.ts";

const checks = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
];

describe("fuzzing the API", function () {
  this.timeout(600_000);
  let program: string;
  let url: string;
  const tiers: string[] = [];
  const cookies: string[] = [];
  const cleanUp: (() => Promise<unknown>)[] = [];

  before(async () => {
    program = await ensureSchemathesis();
    const uploads = await mkdtemp(join(tmpdir(), "hastack-fuzz-"));
    cleanUp.push(
      () => rm(uploads, { recursive: true }),
      () => removeContainers(),
    );
    const [postgres, cache] = await Promise.all([startPrimary("fuzz"), startCache()]);
    const name = await createDatabase(postgres);
    await migrateDatabase(name, postgres, { sampleData: true, uploadsDirectory: uploads });
    const start = async (tier: "storefront" | "admin") => {
      const config = serverConfig(tier, { name, writer: postgres }, uploads);
      const server = await spawnServer({ ...config, cache: cache.config() });
      cleanUp.unshift(async () => {
        server.child.kill("SIGKILL");
        await server.exit;
      });
      return server.url;
    };
    const [storefront, admin] = [await start("storefront"), await start("admin")];
    tiers.push(storefront, admin);
    const front = await startFront({ storefront, admin });
    cleanUp.unshift(front.close);
    ({ url } = front);
    const { client } = await register(url);
    for (let i = 0; i < 5; i += 1) {
      const offerId = await offerRow(postgres, name, { quantity: 1000 });
      const booked = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
      const { id } = (await booked.json()) as { id: number };
      await client.json("POST", `/api/bookings/${id}/items`, { text: "Pack" });
    }
    cookies.push(...[...client.cookies].map(([key, value]) => `${key}=${value}`));
  });
  after(async () => {
    for (const step of cleanUp) await step();
  });

  const attack = async (...more: string[]) => {
    const { code, output } = await fuzz(program, [
      ...["run", `${url}/api/openapi.json`, "--url", url, "--header", `Origin: ${url}`],
      ...["--checks", checks.join(","), "--workers", "1", "--request-timeout", "15"],
      ...["--no-color", "--warnings", "off", "--generation-database", "none", ...more],
    ]);
    console.log(output.slice(output.lastIndexOf("= SUMMARY")).replace(/^/gm, "      "));
    assert.equal(code, 0, output);
  };

  /** How often each operation was answered with a success, as `POST /api/offers`. */
  const successes = async (): Promise<Map<string, number>> => {
    const found = new Map<string, number>();
    const count =
      /^http_request_duration_seconds_count\{method="(\w+)",route="([^"]+)",status="2..".*\} (\d+)/gm;
    for (const tier of tiers) {
      const text = await (await fetch(`${tier}/metrics`)).text();
      for (const [, method, route, times] of text.matchAll(count)) {
        const name = `${method} ${route}`;
        found.set(name, (found.get(name) ?? 0) + Number(times));
      }
    }
    return found;
  };

  it("A17: as a visitor and an administrator: no 5xx, and every answer as documented", async () => {
    await attack(
      ...["--header", `Cookie: ${cookies.join("; ")}`, "--auth", `admin:${adminPassword}`],
      ...["--max-examples", "40", "--max-time", "150", "--seed", "1"],
      // They would end the session that all others need.
      ...["--exclude-path", "/api/session", "--exclude-path", "/api/account"],
    );
  });

  it("A17: and the fuzzer got past the door", async () => {
    const found = await successes();
    const wanted = [
      "POST /api/bookings",
      "DELETE /api/bookings/:id",
      "POST /api/bookings/:id/items",
      "PATCH /api/bookings/:id/items/:item",
      "POST /api/offers",
      "DELETE /api/offers/:id",
      "DELETE /api/content/:id",
    ];
    // The set-up itself made five bookings, each with an item.
    assert.deepEqual(
      wanted.filter(
        (name) => (found.get(name) ?? 0) < (name.includes("POST /api/bookings") ? 6 : 1),
      ),
      [],
    );
  });

  it("A17: as nobody: no 5xx, and every answer as documented", async () => {
    await attack("--max-examples", "15", "--max-time", "60", "--seed", "1");
  });
});
