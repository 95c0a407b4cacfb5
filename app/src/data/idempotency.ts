import { createHash } from "node:crypto";
import { HttpError } from "../lib/errors.ts";
import type { Query } from "./database.ts";

/** A client's own name for one change, so that repeating it is safe. */
export interface IdempotencyKey {
  /** Each tier has a table of its own, and no right to the other's. */
  table: "idempotency_key" | "visitor_idempotency_key";
  /** What kind of change; keys of different kinds do not meet. */
  scope: string;
  key: string;
  /** Digest of the request: the same key with another request is a mistake. */
  requestHash: Buffer;
}

const keyPattern = /^[\x21-\x7e]{1,200}$/;

/** Digest of a request's parts, each kept apart from the next. */
export function requestHash(parts: readonly string[]): Buffer {
  return createHash("sha256").update(JSON.stringify(parts)).digest();
}

/** Checks a key that a client sent; an empty one counts as none. @throws HttpError 422 */
export function parseKey(value: string | undefined): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (keyPattern.test(value)) return value;
  throw new HttpError(
    422,
    "bad-idempotency-key",
    "Idempotency-Key: send 1 to 200 visible ASCII characters.",
  );
}

/**
 * Does `work` once per key, inside the caller's transaction: the answer is stored with the change.
 * A second request with the same key waits for the first one's transaction.
 * @throws HttpError 422 when the key was used for another request
 */
export async function once<Answer>(
  query: Query,
  { table, scope, key, requestHash: hash }: IdempotencyKey,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const claimed = await query(
    `INSERT INTO ${table} (scope, key, request_hash) VALUES ($1, $2, $3)
     ON CONFLICT DO NOTHING RETURNING key`,
    [scope, key, hash],
  );
  if (claimed.length === 0) {
    const [first] = await query<{ request_hash: Buffer; answer: Answer }>(
      `SELECT request_hash, answer FROM ${table} WHERE scope = $1 AND key = $2`,
      [scope, key],
    );
    if (first?.request_hash.equals(hash)) return first.answer;
    throw new HttpError(
      422,
      "idempotency-key-reused",
      "This Idempotency-Key was used for another request.",
    );
  }
  const answer = await work();
  await query(`UPDATE ${table} SET answer = $3 WHERE scope = $1 AND key = $2`, [
    scope,
    key,
    JSON.stringify(answer),
  ]);
  return answer;
}

/** Whether a change was made, or is being made, under this key. */
export async function isKnown(
  query: Query,
  { table, scope, key }: Omit<IdempotencyKey, "requestHash">,
): Promise<boolean> {
  const rows = await query(`SELECT FROM ${table} WHERE scope = $1 AND key = $2`, [scope, key]);
  return rows.length > 0;
}

/** Forgets a visitor's keys, and with them the answers: those of bookings and of trips' lists. */
export async function forgetAccountKeys(query: Query, accountId: number): Promise<void> {
  await query("DELETE FROM visitor_idempotency_key WHERE scope = $1 OR scope LIKE $2", [
    `booking:${accountId}`,
    `trip:${accountId}:%`,
  ]);
}

/** Forgets keys after this long, hours. */
export const keepKeysHours = 24;

/** Removes keys that are too old to be repeated, of both tiers. */
export async function forgetOldKeys(query: Query): Promise<void> {
  for (const table of ["idempotency_key", "visitor_idempotency_key"]) {
    await query(`DELETE FROM ${table} WHERE created_at < now() - make_interval(hours => $1)`, [
      keepKeysHours,
    ]);
  }
}
