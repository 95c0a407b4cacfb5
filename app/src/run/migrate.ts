import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { giveFirstPassword } from "../domain/administrators.ts";
import { ConfigError, exitConfig, loadMigrateConfig, type MigrateConfig } from "./config.ts";
import { applyGrants } from "./grants.ts";
import { addSampleData, addSampleOffers } from "./sample.ts";

/** Ordered migrations; each runs once. */
export const sqlDirectory = join(import.meta.dirname, "../../sql");

/** How long the primary is waited for, milliseconds. */
const defaultWaitMs = 60_000;

/** Prints one line of what is done. */
export type Say = (line: string) => void;

/**
 * Brings the schema, the rights, the first administrator and (where tables are empty) the sample
 * data up to date. Safe to run again, at the same time as another run, and beside instances of the old release.
 * @param waitMs how long the primary is waited for. @default a minute
 */
export async function migrate(
  config: MigrateConfig,
  say: Say,
  waitMs: number = defaultWaitMs,
): Promise<void> {
  const client = await connectToPrimary(config.databaseUrl, say, waitMs);
  try {
    const done = await runner({
      dbClient: client,
      dir: join(sqlDirectory, "migrations"),
      direction: "up",
      migrationsTable: "migration",
      checkOrder: true,
      advisoryLockMode: "wait",
      log: () => {},
    });
    for (const { name } of done) say(`applied ${name}`);
    if (done.length === 0) say("schema is up to date");
    await applyGrants(client);
    say("rights granted");
    say(await setUploadBudget(client, config));
    say(await giveFirstPassword(client, config.adminPassword));
    if (config.sampleData) {
      say(await addSampleOffers(client));
      say(await addSampleData(client, config.uploadsDirectory));
    }
  } finally {
    await client.end();
  }
}

const bytesOf = (megabytes: number) => megabytes * 1024 * 1024;

/** Writes down what uploads may take: the instances read it there, and cannot change it. */
async function setUploadBudget(client: pg.Client, config: MigrateConfig): Promise<string> {
  const { uploadsMegabytes: total, uploadsPerAccountMegabytes: account } = config;
  const { trashMegabytes: trash } = config;
  await client.query(
    "UPDATE upload_budget SET total_bytes = $1, visitor_bytes = $2, trash_total_bytes = $3",
    [bytesOf(total), bytesOf(account), bytesOf(trash)],
  );
  return `uploads: ${total} MB in all, ${account} MB for each account; ${trash} MB of trash`;
}

/** Tries again until a server answers there that is not in recovery. */
async function connectToPrimary(
  connectionString: string,
  say: Say,
  waitMs: number,
): Promise<pg.Client> {
  const giveUp = Date.now() + waitMs;
  let lastSeen = "";
  for (;;) {
    const client = new pg.Client({
      connectionString,
      application_name: "hastack migrate",
      connectionTimeoutMillis: 3000,
      // Whoever waits for a table's lock makes all later ones wait, the old release's too.
      options: "-c lock_timeout=10s",
    });
    client.on("error", () => {});
    const refusal = await refuses(client);
    const address = `${client.host}:${client.port}`;
    if (!refusal) {
      say(`primary is ${address}`);
      return client;
    }
    await client.end().catch(() => {});
    const seen = `${address} ${refusal}`;
    if (seen !== lastSeen) say(`waiting for the primary: ${seen}`);
    lastSeen = seen;
    if (Date.now() > giveUp) {
      throw new Error(
        `no primary at DATABASE_URL within ${waitMs / 1000} s: ${lastSeen}. Start it, or correct DATABASE_URL, and run this again.`,
      );
    }
    await sleep(Math.min(1000, waitMs));
  }
}

/** Connects. @returns why this server will not do, or nothing if it will */
async function refuses(client: pg.Client): Promise<string | undefined> {
  try {
    await client.connect();
    const { rows } = await client.query("SELECT pg_is_in_recovery() AS standby");
    return rows[0].standby ? "is a standby" : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function main(): Promise<void> {
  try {
    await migrate(loadMigrateConfig(), (line) => process.stdout.write(`${line}\n`));
  } catch (error) {
    // The runner's messages quote the stack of what it met.
    const [message] = (error as Error).message.split(/\n {4}at /);
    process.stderr.write(`migrations failed: ${message}\n`);
    process.exit(error instanceof ConfigError ? exitConfig : 1);
  }
}

if (import.meta.main) await main();
