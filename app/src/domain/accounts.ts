import { z } from "zod";
import type { Database, Position, Query } from "../data/database.ts";
import { forgetAccountKeys } from "../data/idempotency.ts";
import { HttpError } from "../lib/errors.ts";
import { hashPassword } from "./passwords.ts";
import { endSessions, type Login, visitorSession } from "./sessions.ts";
import { text } from "./texts.ts";
import {
  countAttempt,
  forgiveAttempt,
  registerSubjects,
  takenSubjects,
  verifyGuess,
  visitorGuess,
} from "./throttle.ts";
import { check, Invalid } from "./validation.ts";

/** Who is logged in at the storefront. */
export interface Visitor {
  id: number;
  name: string;
  email: string;
}

const email = text("e-mail address", 254)
  .toLowerCase()
  .regex(z.regexes.email, "This is not an e-mail address: write it like name@example.com.")
  .meta({ description: "ASCII only; case does not matter.", examples: ["ada@example.com"] });

const passwordText = z.string({
  error: ({ input }) =>
    input === undefined ? "The password is missing." : "The password is not text.",
});

/** A password that somebody chooses. */
export const newPassword = passwordText
  .min(10, "Choose a password of at least 10 characters.")
  .max(200, "The password is longer than 200 characters.")
  .meta({ description: "10 to 200 characters." });

/** A password that is to be verified. */
export const givenPassword = passwordText
  .min(1, "The password is missing.")
  .max(200, "The password is longer than 200 characters.");

const name = text("name", 80).meta({ description: "What the visitor is called on the pages." });

export const registerInput = z.object({ name, email, password: newPassword });
export const loginInput = z.object({ email, password: givenPassword });
export const nameInput = z.object({ name });
export const passwordInput = z.object({ currentPassword: givenPassword, password: newPassword });
export const deleteAccountInput = z.object({ password: givenPassword });
export const emailInput = z.object({ email });

/** Either another name, or another password. */
export const changeAccountInput = z.union([nameInput, passwordInput]);

/** Reads a change of the account: which of the two it is tells what is wrong with it. @throws Invalid */
export function readAccountChange(body: unknown): z.infer<typeof changeAccountInput> {
  const given = Object(body);
  if ("name" in given === "password" in given) {
    throw new Invalid({ form: "Send either name, or currentPassword and password." });
  }
  return "name" in given ? check(nameInput, body) : check(passwordInput, body);
}

export const accountSchema = z.object({
  id: z.int().positive(),
  name: z.string(),
  email: z.string(),
});

const emailTaken = () =>
  new HttpError(409, "email-taken", "There is an account with this e-mail address already.");
const loginFailed = () =>
  new HttpError(401, "login-failed", "The e-mail address or the password is wrong.");
const wrongPassword = (field: string) => new Invalid({ [field]: "This password is wrong." });

/**
 * Makes an account. That an address is taken is said openly: its owner would be lost otherwise.
 * @param client address of the caller: who tries many addresses is stopped
 * @returns what `startSession` wants
 * @throws HttpError 409 email-taken; TooManyAttempts
 */
export async function register(
  database: Database,
  input: z.infer<typeof registerInput>,
  client: string,
): Promise<{ account: Visitor; login: Login }> {
  const registrations = registerSubjects(client);
  await database.write((query) => countAttempt(query, registrations), { idempotent: true });
  const passwordHash = await hashPassword(input.password);
  const { value: account } = await database.write(
    async (query) => {
      const added = await insertAccount(query, input, passwordHash);
      if (!added) await countAttempt(query, takenSubjects(client));
      return added;
    },
    { idempotent: true },
  );
  if (!account) throw emailTaken();
  return { account, login: { ownerId: account.id, passwordHash, subjects: [] } };
}

async function insertAccount(
  query: Query,
  input: z.infer<typeof registerInput>,
  passwordHash: string,
): Promise<Visitor | undefined> {
  await query(
    "INSERT INTO account (email, name, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    [input.email, input.name, passwordHash],
  );
  // No two hashes are alike: this one is there only if this very request put it there.
  const [row] = await query<Visitor>(
    "SELECT id, name, email FROM account WHERE email = $1 AND password_hash = $2",
    [input.email, passwordHash],
  );
  return row;
}

/**
 * Verifies an e-mail address and a password. Takes as long for an address that nobody has.
 * @throws HttpError 401 login-failed; TooManyAttempts
 */
export async function authenticate(
  database: Database,
  input: z.infer<typeof loginInput>,
  client: string,
): Promise<{ account: Visitor; login: Login }> {
  const subjects = visitorGuess(input.email, client);
  const row = await verifyGuess(database, subjects, input.password, async (query) => {
    const [found] = await query<Visitor & { password_hash: string }>(
      "SELECT id, name, email, password_hash FROM account WHERE email = $1",
      [input.email],
    );
    return found;
  });
  if (!row) throw loginFailed();
  const { password_hash: passwordHash, ...account } = row;
  return { account, login: { ownerId: account.id, passwordHash, subjects } };
}

/** Changes the name. */
export async function rename(database: Database, id: number, newName: string): Promise<Position> {
  const { position } = await database.write(
    (query) => query("UPDATE account SET name = $2 WHERE id = $1", [id, newName]),
    { idempotent: true },
  );
  return position;
}

/**
 * Changes the password, and ends every other session and reset link of the account.
 * @param sessionId the session that goes on
 * @throws Invalid where the current password is wrong; TooManyAttempts
 */
export async function changePassword(
  database: Database,
  account: Visitor,
  input: z.infer<typeof passwordInput>,
  { client, sessionId }: { client: string; sessionId: string },
): Promise<Position> {
  const current = input.currentPassword;
  const verified = await reauthenticate(database, account, current, "currentPassword", client);
  const passwordHash = await hashPassword(input.password);
  const { position } = await database.write(
    async (query) => {
      // The new one is there already when a first commit went unanswered.
      const [still] = await query(
        "SELECT FROM account WHERE id = $1 AND password_hash IN ($2, $3) FOR NO KEY UPDATE",
        [account.id, verified, passwordHash],
      );
      // Reset or changed meanwhile: whoever did that has the account, and not this caller.
      if (!still) throw wrongPassword("currentPassword");
      await setPassword(query, account.id, passwordHash, sessionId);
    },
    { idempotent: true },
  );
  return position;
}

/** Sets a password, and ends whatever the old one had opened, but for one session. */
export async function setPassword(
  query: Query,
  accountId: number,
  passwordHash: string,
  exceptSession?: string,
): Promise<void> {
  // First of all: a login that is under way waits here, or has its session ended below.
  await query("UPDATE account SET password_hash = $2 WHERE id = $1", [accountId, passwordHash]);
  await endSessions(query, visitorSession, accountId, exceptSession);
  await query("DELETE FROM password_reset WHERE account_id = $1", [accountId]);
}

/**
 * Whoever finds a browser logged in must not guess the password there either.
 * @returns the hash that was verified; it may have changed since
 */
async function reauthenticate(
  database: Database,
  { id, email: who }: Visitor,
  password: string,
  field: string,
  client: string,
): Promise<string> {
  const subjects = visitorGuess(who, client);
  const row = await verifyGuess(database, subjects, password, async (query) => {
    const [found] = await query<{ password_hash: string }>(
      "SELECT password_hash FROM account WHERE id = $1",
      [id],
    );
    return found;
  });
  if (!row) throw wrongPassword(field);
  await database.write((query) => forgiveAttempt(query, subjects), { idempotent: true });
  return row.password_hash;
}

/**
 * Deletes an account with all that is its own: sessions, bookings, trips. The places of bookings
 * that are still to come are given back (by the database): offers change with it.
 * @throws Invalid where the password is wrong; TooManyAttempts
 */
export async function deleteAccount(
  database: Database,
  account: Visitor,
  password: string,
  client: string,
): Promise<Position> {
  const verified = await reauthenticate(database, account, password, "password", client);
  const { position } = await database.write((query) => removeAccount(query, account.id, verified), {
    idempotent: true,
  });
  return position;
}

async function removeAccount(query: Query, id: number, verified: string): Promise<void> {
  // Nobody can book for this account from here on: a booking locks its account's row too.
  const [row] = await query<{ password_hash: string }>(
    "SELECT password_hash FROM account WHERE id = $1 FOR UPDATE",
    [id],
  );
  // Reset or changed meanwhile: whoever did that has the account, and not this caller.
  if (row && row.password_hash !== verified) throw wrongPassword("password");
  await query("DELETE FROM account WHERE id = $1", [id]);
  // After it: nothing that was under way for the account can add another one now.
  await forgetAccountKeys(query, id);
}
