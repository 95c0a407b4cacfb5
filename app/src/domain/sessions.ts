import { createHash } from "node:crypto";
import type { Query } from "../data/database.ts";
import { HttpError } from "../lib/errors.ts";
import type { Subject } from "./throttle.ts";

/** How long somebody stays logged in, days; looking at pages does not lengthen it. */
export const sessionDays = 14;
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
}

export const visitorSession: SessionKind = {
  cookie: { name: "hastack-session", path: "/" },
  ...{ table: "session", ownerColumn: "account_id" },
  ...{ owners: "account", columns: "o.id, o.name, o.email" },
};

export const administratorSession: SessionKind = {
  // Not sent to the storefront, which could keep it
  cookie: { name: "hastack-admin", path: "/admin" },
  ...{ table: "administrator_session", ownerColumn: "administrator_id" },
  ...{ owners: "administrator", columns: "o.id, o.name" },
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
}

/** The session of that id, unless it has ended. */
export async function findSession(
  query: Query,
  kind: SessionKind,
  id: string,
): Promise<SessionRow | undefined> {
  const [row] = await query<SessionRow>(
    `SELECT ${kind.columns}, s.expires_at
     FROM ${kind.table} s JOIN ${kind.owners} o ON o.id = s.${kind.ownerColumn}
     WHERE s.id_hash = $1 AND s.expires_at > now()`,
    [digest(id)],
  );
  return row;
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
