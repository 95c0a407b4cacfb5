import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";

const file = join(import.meta.dirname, "../../sql/grants.sql");

/**
 * Gives the database role of each tier the rights of `app/sql/grants.sql`, and no others, in one
 * transaction: instances that are running never see a moment without rights.
 */
export async function applyGrants(client: pg.Client): Promise<void> {
  const sql = await readFile(file, "utf8");
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
