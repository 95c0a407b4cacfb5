import { createHash } from "node:crypto";
import type { Query } from "../data/database.ts";
import { HttpError } from "../lib/errors.ts";
import type { Subject } from "./throttle.ts";

/** How long somebody stays logged in, days; looking at pages does not lengthen it. */
export const sessionDays = 14;
/** An administrator's session ends when it was not used for this long, minutes. */
export const idleMinutes = 30;
/** Sessions that somebody has at once; a further login ends the oldest. */
export const mostSessions = 20;

/** Where the sessions of one tier are kept. */
export interface SessionKind {
  /** Both tiers answer at one address: their cookies must not meet. */
  cookie: { name: string; path: string };
  table: "session" | "administrator_session";
  ownerColumn: "account_id" | "administrator_id";
  owners: "account" | "administrator";
  /** What is known of the owner. */
  columns: string;
  /** Whether it ends when it is idle. */
  endsIdle: boolean;
}

export const visitorSession: SessionKind = {
  cookie: { name: "hastack-session", path: "/" },
  ...{ table: "session", ownerColumn: "account_id" },
  ...{ owners: "account", columns: "o.id, o.name, o.email" },
  endsIdle: false,
};

export const administratorSession: SessionKind = {
  // Not sent to the storefront, which could keep it
  cookie: { name: "hastack-admin", path: "/admin" },
  ...{ table: "administrator_session", ownerColumn: "administrator_id" },
  ...{ owners: "administrator", columns: "o.id, o.name" },
  endsIdle: true,
};

/** Somebody who has just proved who they are. */
export interface Login {
  ownerId: number;
  /** The hash that was verified; when it has changed meanwhile, the login has failed after all. */
  passwordHash: string;
  /** What the attempt was counted for. */
  subjects: readonly Subject[];
}

/** Tables hold this instead of the id, so that a copy of them opens no session. */
function digest(id: string): Buffer {
  return createHash("sha256").update(id).digest();
}

/** A session that goes on, with what is known of its owner. */
export interface SessionRow {
  id: number;
  name: string;
  email?: string;
  expires_at: Date;
  /** Whether that it is used must be noted, which is once a minute. */
  note_use: boolean;
}

const notIdle = `s.seen_at > now() - interval '${idleMinutes} minutes'`;
const toNote = "s.seen_at < now() - interval '1 minute'";

/** The session of that id, unless it has ended. */
export async function findSession(
  query: Query,
  kind: SessionKind,
  id: string,
): Promise<SessionRow | undefined> {
  const [row] = await query<SessionRow>(
    `SELECT ${kind.columns}, s.expires_at, ${kind.endsIdle ? toNote : "false"} AS note_use
     FROM ${kind.table} s JOIN ${kind.owners} o ON o.id = s.${kind.ownerColumn}
     WHERE s.id_hash = $1 AND s.expires_at > now() AND ${kind.endsIdle ? notIdle : "true"}`,
    [digest(id)],
  );
  return row;
}

/** Notes that an administrator's session is used, unless that was noted a moment ago, or it has ended. */
export async function noteUse(query: Query, id: string): Promise<void> {
  await query(
    `UPDATE administrator_session s SET seen_at = now()
     WHERE s.id_hash = $1 AND ${toNote} AND ${notIdle}`,
    [digest(id)],
  );
}

/** Removes sessions of administrators that have ended as idle. */
export async function forgetIdle(query: Query): Promise<void> {
  await query(`DELETE FROM administrator_session s WHERE NOT ${notIdle}`);
}

/**
 * Adds a session for somebody who has just logged in.
 * @throws HttpError 401 where the password was changed at the same moment
 */
export async function insertSession(
  query: Query,
  kind: SessionKind,
  id: string,
  { ownerId, passwordHash }: Login,
): Promise<void> {
  // The lock makes a change of the password, which ends all sessions, come before or after this.
  const [still] = await query(
    `SELECT FROM ${kind.owners} WHERE id = $1 AND password_hash = $2 FOR SHARE`,
    [ownerId, passwordHash],
  );
  if (!still) throw new HttpError(401, "login-failed", "The password was changed just now.");
  await query(
    `INSERT INTO ${kind.table} (id_hash, ${kind.ownerColumn}, expires_at)
     VALUES ($1, $2, now() + make_interval(days => $3)) ON CONFLICT DO NOTHING`,
    [digest(id), ownerId, sessionDays],
  );
  await query(
    `DELETE FROM ${kind.table} WHERE id_hash IN (
       SELECT id_hash FROM ${kind.table} WHERE ${kind.ownerColumn} = $1
       ORDER BY id_hash = $2 DESC, expires_at DESC OFFSET $3)`,
    [ownerId, digest(id), mostSessions],
  );
}

/** Ends all sessions of somebody, inside the transaction that changes the password. */
export async function endSessions(
  query: Query,
  kind: SessionKind,
  ownerId: number,
  exceptId = "",
): Promise<void> {
  await query(`DELETE FROM ${kind.table} WHERE ${kind.ownerColumn} = $1 AND id_hash <> $2`, [
    ownerId,
    digest(exceptId),
  ]);
}

/** Ends one session. */
export async function deleteSession(query: Query, kind: SessionKind, id: string): Promise<void> {
  await query(`DELETE FROM ${kind.table} WHERE id_hash = $1`, [digest(id)]);
}
