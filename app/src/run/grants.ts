import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { MigrateConfig } from "./config.ts";

const file = join(import.meta.dirname, "../../sql/grants.sql");

/**
 * Gives each principal the rights of `app/sql/grants.sql`, and no others, in one transaction: instances
 * that are running never see a moment without rights.
 */
export async function applyGrants(
  client: pg.Client,
  principals: MigrateConfig["principals"],
): Promise<void> {
  const text = await readFile(file, "utf8");
  const sql = text.replace(/:"(\w+)"/g, (_match, name: string) => {
    if (!Object.hasOwn(principals, name))
      throw new Error(`app/sql/grants.sql: no principal "${name}"`);
    return client.escapeIdentifier(principals[name as keyof typeof principals]);
  });
  await client.query("BEGIN");
  try {
    // Two runs at once would meet in the catalogue ("tuple concurrently updated").
    await client.query("SELECT pg_advisory_xact_lock(hashtext('hastack grants'))");
    await client.query(sql);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}
