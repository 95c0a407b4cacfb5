import type { Query } from "./database.ts";

/** Removes sessions, reset links and counts of attempts that have expired. */
export async function forgetExpired(query: Query): Promise<void> {
  for (const table of ["session", "administrator_session", "password_reset", "login_failure"]) {
    await query(`DELETE FROM ${table} WHERE expires_at <= now()`);
  }
}
