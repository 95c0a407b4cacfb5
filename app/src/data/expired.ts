import type { Query } from "./database.ts";

const tables = [
  "session",
  "administrator_session",
  "password_reset",
  "login_failure",
  "administrator_login_failure",
];

/** Removes sessions, reset links and counts of attempts that have expired. */
export async function forgetExpired(query: Query): Promise<void> {
  for (const table of tables) await query(`DELETE FROM ${table} WHERE expires_at <= now()`);
}
