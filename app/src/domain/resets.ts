import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import type { Database, Query } from "../data/database.ts";
import { HttpError } from "../lib/errors.ts";
import { newPassword, setPassword } from "./accounts.ts";
import { hashPassword } from "./passwords.ts";
import { clearGuesses, countAttempt, mailSubjects } from "./throttle.ts";

/** How long a reset link works, minutes. */
export const resetMinutes = 60;

export const tokenText = z
  .string("The link's token is missing.")
  .max(200, "This is not the token of a reset link.");

export const resetInput = z.object({ token: tokenText, password: newPassword });

/** A link that sets a new password, once. Whoever has it has the account. */
export interface ResetLink {
  url: string;
  /** ISO 8601, UTC. */
  expiresAt: string;
}

export const resetLinkSchema = z.object({
  url: z.url().meta({ description: "Opens the account once: hand it to its owner alone." }),
  expiresAt: z.iso.datetime(),
});

/** The table holds this instead of the token, so that a copy of it opens no account. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Stores a new link for an address. @returns undefined where nobody has it */
async function addLink(
  query: Query,
  email: string,
  publicUrl: string,
): Promise<ResetLink | undefined> {
  const token = randomBytes(32).toString("base64url");
  const [row] = await query<{ expires_at: Date }>(
    `INSERT INTO password_reset (token_hash, account_id, expires_at)
     SELECT $1, id, now() + make_interval(mins => $3) FROM account WHERE email = $2
     RETURNING expires_at`,
    [digest(token), email, resetMinutes],
  );
  if (!row) return undefined;
  return { url: `${publicUrl}/reset?token=${token}`, expiresAt: row.expires_at.toISOString() };
}

/**
 * Makes a link for somebody who asks for one.
 * @returns undefined where nobody has the address, which the caller must not be told
 * @throws TooManyAttempts, for unknown addresses as well
 */
export async function requestReset(
  database: Database,
  email: string,
  { client, publicUrl }: { client: string; publicUrl: string },
): Promise<ResetLink | undefined> {
  const { value } = await database.write(
    async (query) => {
      await countAttempt(query, mailSubjects(email, client));
      return await addLink(query, email, publicUrl);
    },
    // A link whose commit went unanswered was never shown.
    { idempotent: true },
  );
  return value;
}

/** Makes a link for an operator to hand on. @throws HttpError 404 where nobody has the address */
export async function makeResetLink(
  database: Database,
  email: string,
  publicUrl: string,
): Promise<ResetLink> {
  const { value } = await database.write((query) => addLink(query, email, publicUrl), {
    idempotent: true,
  });
  if (value) return value;
  throw new HttpError(404, "not-found", "There is no account with this e-mail address.");
}

const linkGone = () =>
  new HttpError(410, "link-gone", "This link has been used, or is too old. Ask for a new one.");

/**
 * Sets a new password by a link's token, which is used up with it; ends all sessions. Wrong guesses
 * from before do not keep the caller from logging in with it.
 * @param client address of the caller
 * @throws HttpError 410 link-gone
 */
export async function resetPassword(
  database: Database,
  { token, password }: z.infer<typeof resetInput>,
  client: string,
): Promise<void> {
  const hash = digest(token);
  const find = async (query: Query) => {
    const [row] = await query<{ id: number; email: string }>(
      `SELECT a.id, a.email FROM password_reset r JOIN account a ON a.id = r.account_id
       WHERE r.token_hash = $1 AND r.expires_at > now()`,
      [hash],
    );
    return row;
  };
  // A token that is no good costs no long computation.
  const { value: account } = await database.write(find, { idempotent: true });
  if (!account) throw linkGone();
  const passwordHash = await hashPassword(password);
  const useUp = async (query: Query) => {
    const used = await query("DELETE FROM password_reset WHERE token_hash = $1 RETURNING 1", [
      hash,
    ]);
    if (used.length === 1) {
      await setPassword(query, account.id, passwordHash);
      return await clearGuesses(query, account.email, client);
    }
    // When a first commit went unanswered, the token may be gone because of it.
    const [done] = await query("SELECT FROM account WHERE id = $1 AND password_hash = $2", [
      account.id,
      passwordHash,
    ]);
    if (!done) throw linkGone();
  };
  await database.write(useUp, { idempotent: true });
}
