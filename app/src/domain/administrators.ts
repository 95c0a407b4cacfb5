import { createHmac, randomBytes } from "node:crypto";
import type pg from "pg";
import { z } from "zod";
import type { Database, Position, Query } from "../data/database.ts";
import { HttpError } from "../lib/errors.ts";
import { givenPassword, newPassword } from "./accounts.ts";
import { hashPassword, verifyPassword } from "./passwords.ts";
import { administratorSession, endSessions, type Login } from "./sessions.ts";
import { text } from "./texts.ts";
import { administratorGuess, forgiveAttempt, verifyGuess } from "./throttle.ts";
import { Invalid } from "./validation.ts";

/** Who may change what the agency sells. */
export interface Administrator {
  id: number;
  name: string;
}

export const administratorLoginInput = z.object({
  name: text("name", 80),
  password: givenPassword,
});
export const administratorPasswordInput = z.object({
  currentPassword: givenPassword,
  password: newPassword,
});

const loginFailed = () => new HttpError(401, "login-failed", "The name or the password is wrong.");

type Row = Administrator & { password_hash: string };

async function findAdministrator(query: Query, name: string): Promise<Row | undefined> {
  const text = "SELECT id, name, password_hash FROM administrator WHERE name = $1";
  const [row] = await query<Row>(text, [name]);
  return row;
}

/**
 * Verifies a name and a password. Takes as long for a name that nobody has.
 * @throws HttpError 401 login-failed; TooManyAttempts
 */
export async function authenticateAdministrator(
  database: Database,
  { name, password }: z.infer<typeof administratorLoginInput>,
  client: string,
): Promise<Login> {
  const subjects = administratorGuess(name, client);
  const row = await verifyGuess(database, subjects, password, (query) =>
    findAdministrator(query, name),
  );
  if (!row) throw loginFailed();
  return { ownerId: row.id, passwordHash: row.password_hash, subjects };
}

/**
 * Verifies the credentials that scripts send with each request. A password that was right is known
 * again, so it costs its long computation once and not with every request.
 */
export class BasicLogin {
  readonly #database: Database;
  /** For this process alone: what is kept in memory tells nothing elsewhere. */
  readonly #secret = randomBytes(32);
  /** By password and stored hash together: another hash in the table makes this worthless. */
  readonly #verified = new Map<string, Promise<void>>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws HttpError 401 login-failed; TooManyAttempts */
  async verify(name: string, password: string, client: string): Promise<Administrator> {
    // The primary knows at once of a password that was changed.
    const { value: row } = await this.#database.write((query) => findAdministrator(query, name), {
      idempotent: true,
    });
    const parts = JSON.stringify([row?.password_hash ?? name, password, client]);
    const key = createHmac("sha256", this.#secret).update(parts).digest("base64");
    // Many requests that come at once with the same password are one attempt.
    let verified = this.#verified.get(key);
    if (!verified) {
      verified = this.#authenticate(name, password, client);
      this.#remember(key, verified);
    }
    await verified;
    if (!row) throw loginFailed();
    return { id: row.id, name: row.name };
  }

  async #authenticate(name: string, password: string, client: string): Promise<void> {
    const { subjects } = await authenticateAdministrator(
      this.#database,
      { name, password },
      client,
    );
    await this.#database.write((query) => forgiveAttempt(query, subjects), { idempotent: true });
  }

  #remember(key: string, verified: Promise<void>): void {
    const [oldest] = this.#verified.keys();
    if (oldest !== undefined && this.#verified.size >= 100) this.#verified.delete(oldest);
    this.#verified.set(key, verified);
    verified.catch(() => this.#verified.delete(key));
  }
}

/**
 * Changes an administrator's password, and ends all other sessions.
 * @throws Invalid where the current password is wrong; TooManyAttempts
 */
export async function changeAdministratorPassword(
  database: Database,
  { id, name }: Administrator,
  input: z.infer<typeof administratorPasswordInput>,
  { client, sessionId }: { client: string; sessionId: string },
): Promise<Position> {
  const guess = { name, password: input.currentPassword };
  const wrong = () => new Invalid({ currentPassword: "This password is wrong." });
  const login = await authenticateAdministrator(database, guess, client).catch((error) => {
    if (!(error instanceof HttpError) || error.code !== "login-failed") throw error;
    throw wrong();
  });
  const passwordHash = await hashPassword(input.password);
  const { position } = await database.write(
    async (query) => {
      // The new one is there already when a first commit went unanswered.
      const [changed] = await query(
        `UPDATE administrator SET password_hash = $2
         WHERE id = $1 AND password_hash IN ($2, $3) RETURNING 1`,
        [id, passwordHash, login.passwordHash],
      );
      // Changed meanwhile, here or by the stack: that one stays.
      if (!changed) throw wrong();
      await endSessions(query, administratorSession, id, sessionId);
      await forgiveAttempt(query, login.subjects);
    },
    { idempotent: true },
  );
  return position;
}

/**
 * Makes the administrator `admin` with the password that the stack gives. Another one than the stack
 * gave before replaces what is there and ends all sessions; the same one changes nothing, so that a
 * password which the administrator chose stays. Runs as the schema's owner, inside no transaction.
 * @returns what was done
 */
export async function giveFirstPassword(client: pg.Client, password: string): Promise<string> {
  const find = "SELECT id, first_hash FROM administrator WHERE name = 'admin'";
  const [known] = (await client.query<{ id: number; first_hash: string }>(find)).rows;
  if (known && (await verifyPassword(password, known.first_hash))) {
    return "administrator admin is up to date";
  }
  const hash = await hashPassword(password);
  // Of two runs at once only one finds what both have read.
  const { rowCount } = known
    ? await client.query(
        `WITH changed AS (
           UPDATE administrator SET password_hash = $1, first_hash = $1
           WHERE id = $2 AND first_hash = $3 RETURNING id
         ), ended AS (
           DELETE FROM administrator_session WHERE administrator_id IN (SELECT id FROM changed)
         ) SELECT FROM changed`,
        [hash, known.id, known.first_hash],
      )
    : await client.query(
        `INSERT INTO administrator (name, password_hash, first_hash) VALUES ('admin', $1, $1)
         ON CONFLICT DO NOTHING`,
        [hash],
      );
  if (rowCount === 0) return "administrator admin is up to date";
  return known ? "administrator admin has a new password" : "administrator admin was made";
}
