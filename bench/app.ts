/**
 * npm run bench:app: one storefront instance against a bare Express and pg handler that gives the
 * same answers, each a process of its own with as many connections to the same PostgreSQL. Runs of
 * the two alternate, so that what else the machine does meets both; the ratio is the middle of the
 * pairs' ratios.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrateDatabase, serverConfig } from "../app/test/support/app.ts";
import { startCache } from "../app/test/support/cache.ts";
import { removeContainers } from "../app/test/support/docker.ts";
import { offerRow } from "../app/test/support/offers.ts";
import { createDatabase, startPrimary } from "../app/test/support/postgres.ts";
import { visitor } from "../app/test/support/visitor.ts";
import { inRoot } from "../lib/paths.ts";
import { connections, type Load, type Measured, measure, median, middle } from "./measure.ts";
import { type Measurable, startProcess } from "./process.ts";

const pairs = 3;
const runSeconds = 2;

interface Scenario {
  name: string;
  application: Load;
  bare: Load;
}

/** Everything that runs during the measurement. */
interface Setting {
  scenarios: Scenario[];
  stop: () => Promise<void>;
}

async function prepare(): Promise<Setting> {
  const uploads = await mkdtemp(join(tmpdir(), "hastack-bench-uploads-"));
  const started: Measurable[] = [];
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()));
    await removeContainers();
    await rm(uploads, { recursive: true });
  };
  try {
    const [postgres, cache] = await Promise.all([startPrimary("bench"), startCache()]);
    const name = await createDatabase(postgres);
    await migrateDatabase(name, postgres, { sampleData: true, uploadsDirectory: uploads });
    const config = serverConfig("storefront", { name, writer: postgres }, uploads);
    const program = inRoot("app/src/run/server.ts");
    const start = async (file: string, more: object = {}) => {
      const server = await startProcess(file, { ...config, ...more });
      started.push(server);
      return server.url;
    };
    const cached = await start(program, { cache: cache.config() });
    const plain = await start(program);
    const bare = await start(inRoot("app/test/support/bare.ts"));
    const get = (path: string, application = cached, other = bare) => ({
      application: { url: application, path },
      bare: { url: other, path },
    });
    const content = (await (await fetch(`${cached}/api/content`)).json()) as {
      items: { image: string }[];
    };
    const { client, id } = await visitor(postgres, name, cached);
    const stock = await Promise.all(
      Array.from({ length: 20 }, () => offerRow(postgres, name, { quantity: 1_000_000 })),
    );
    const booking = (url: string, headers: Record<string, string>): Load => ({
      ...{ url, path: "/api/bookings", method: "POST" },
      headers: () => ({
        ...headers,
        "Content-Type": "application/json",
        "Idempotency-Key": randomUUID(),
      }),
      body: () => JSON.stringify({ offerId: stock[Math.floor(Math.random() * 20)], quantity: 1 }),
    });
    const scenarios = [
      { name: "home, cached", ...get("/") },
      { name: "home, not cached", ...get("/", plain) },
      { name: "offers API, cached", ...get("/api/offers") },
      { name: "offers API, not cached", ...get("/api/offers", plain) },
      {
        name: "booking",
        application: booking(cached, client.headers),
        bare: booking(bare, { "X-Account": String(id) }),
      },
      { name: "image", ...get(content.items[0]?.image ?? "") },
    ];
    return { scenarios, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const columns = [24, 10, 7, 7, 7, 12, 7, 7, 7, 8];

function line(cells: readonly string[]): string {
  return cells
    .map((cell, at) => (at === 0 ? cell.padEnd(columns[at] ?? 0) : cell.padStart(columns[at] ?? 0)))
    .join("");
}

function numbers({ perSecond, p50, p95, p99 }: Measured): string[] {
  return [perSecond.toFixed(0), ...[p50, p95, p99].map((ms) => ms.toFixed(1))];
}

async function compare({ name, application, bare }: Scenario): Promise<void> {
  for (const load of [application, bare]) await measure(load, 1);
  const runs = { application: [] as Measured[], bare: [] as Measured[] };
  for (let pair = 0; pair < pairs; pair += 1) {
    runs.application.push(await measure(application, runSeconds));
    runs.bare.push(await measure(bare, runSeconds));
  }
  const ratios = runs.application.map(
    ({ perSecond }, pair) => perSecond / (runs.bare[pair]?.perSecond ?? Number.NaN),
  );
  const [own, other] = [middle(runs.application), middle(runs.bare)];
  say(line([name, ...numbers(own), ...numbers(other), median(ratios).toFixed(2)]));
}

const say = (text: string) => process.stdout.write(`${text}\n`);

/** Prints a table; nothing of it stays. */
export async function main(): Promise<number> {
  const { scenarios, stop } = await prepare();
  try {
    say(
      `${connections} clients, ${pairs} pairs of ${runSeconds} s, all on this machine; milliseconds`,
    );
    say(line(["", "req/s", "p50", "p95", "p99", "bare req/s", "p50", "p95", "p99", "ratio"]));
    for (const scenario of scenarios) await compare(scenario);
    return 0;
  } finally {
    await stop();
  }
}
