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

/** How long a primary is looked for, milliseconds. */
const findPrimaryMs = 60_000;

/** Prints one line of what is done. */
export type Say = (line: string) => void;

/**
 * Brings the schema, the rights, the first administrator and (where tables are empty) the sample
 * data up to date. Safe to run again, at the same time as another run, and beside instances of the old release.
 */
export async function migrate(config: MigrateConfig, say: Say): Promise<void> {
  const client = await connectToPrimary(config, say);
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
    await applyGrants(client, config.principals);
    say(`rights granted to ${Object.values(config.principals).join(" and ")}`);
    say(await giveFirstPassword(client, config.adminPassword));
    if (config.sampleData) {
      say(await addSampleOffers(client));
      say(await addSampleData(client, config.uploadsDirectory));
    }
  } finally {
    await client.end();
  }
}

/** Tries the members in turn until one is not in recovery. */
async function connectToPrimary(config: MigrateConfig, say: Say): Promise<pg.Client> {
  const { hosts, name, user, password } = config.database;
  const giveUp = Date.now() + findPrimaryMs;
  let lastSeen = "";
  for (;;) {
    const seen: string[] = [];
    for (const { host, port } of hosts) {
      const client = new pg.Client({
        host,
        port,
        database: name,
        user,
        password,
        application_name: "hastack migrate",
        connectionTimeoutMillis: 3000,
        // Whoever waits for a table's lock makes all later ones wait, the old release's too.
        options: "-c lock_timeout=10s",
      });
      client.on("error", () => {});
      const refusal = await refuses(client);
      if (!refusal) {
        say(`primary is ${host}:${port}`);
        return client;
      }
      await client.end().catch(() => {});
      seen.push(`${host}:${port} ${refusal}`);
    }
    if (seen.join("; ") !== lastSeen) say(`waiting for a primary: ${seen.join("; ")}`);
    lastSeen = seen.join("; ");
    if (Date.now() > giveUp) throw new Error(`no primary within 60 s: ${lastSeen}`);
    await sleep(1000);
  }
}

/** Connects. @returns why this member will not do, or nothing if it will */
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
    process.stderr.write(`migrations failed: ${(error as Error).message}\n`);
    process.exit(error instanceof ConfigError ? exitConfig : 1);
  }
}

if (import.meta.main) await main();
