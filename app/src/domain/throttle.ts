import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Database, Query } from "../data/database.ts";
import { HttpError } from "../lib/errors.ts";
import { verifyPassword } from "./passwords.ts";

/** Somebody has tried too often. */
export class TooManyAttempts extends HttpError {
  constructor(retryAfterSeconds: number) {
    const minutes = Math.ceil(retryAfterSeconds / 60);
    const wait = minutes === 1 ? "a minute" : `${minutes} minutes`;
    super(429, "too-many-attempts", `Too many attempts. Try again in ${wait}.`, retryAfterSeconds);
  }
}

/** What is counted, and how much of it is too much. */
export interface Subject {
  /** A digest: the table tells nobody's address. */
  key: string;
  /** Where it is counted: the storefront cannot touch what is counted at the admin tier. */
  table: "login_failure" | "administrator_login_failure";
  /** Attempts within the window; the next one is refused. */
  most: number;
  /** From the first attempt, minutes. */
  window: number;
  /** Attempts that succeed count too. @default false: a success takes its own back */
  always?: boolean;
}

/** What a guess at a visitor's password counts for. @param client the address it came from */
export function visitorGuess(email: string, client: string): Subject[] {
  return [...guessFrom("login", email, client), anywhere(email)];
}

/**
 * What a guess at an administrator's password counts for. The name alone has no limit: whoever used
 * it up from elsewhere would lock out the one who has no reset link to come in by.
 */
export function administratorGuess(name: string, client: string): Subject[] {
  return guessFrom("admin", name, client);
}

/** One place's guesses, the pair's first. @param what which door: those of the two tiers are apart */
function guessFrom(what: string, who: string, client: string): Subject[] {
  const from = clientNetwork(client);
  return [
    // A person mistypes a few times; a guesser from one place gets 480 guesses a day.
    subject(5, 15, what, "pair", who, from),
    // An office behind one address, all on a Monday; and one list of passwords against many people.
    subject(50, 15, what, "client", from),
    // Each costs a long computation, with the right password as well.
    { ...subject(300, 15, what, "any", from), always: true },
  ];
}

/**
 * One person guessed at from many places. High: whoever knows an address can use this up, and keeps
 * its owner out until the window has passed, or a reset link was used (`clearGuesses`).
 */
function anywhere(email: string): Subject {
  return subject(100, 15, "login", "who", email);
}

/** What a request for a reset link counts for: nobody's mailbox is flooded. */
export function mailSubjects(email: string, client: string): Subject[] {
  return [
    subject(3, 60, "mail", "who", email),
    subject(20, 60, "mail", "client", clientNetwork(client)),
  ];
}

/** What every registration counts for: an office may open its accounts, a program few. */
export function registerSubjects(client: string): Subject[] {
  return [subject(100, 60, "register", "client", clientNetwork(client))];
}

/** What an attempt to register a known address counts for: few may be tried out. */
export function takenSubjects(client: string): Subject[] {
  return [subject(20, 15, "taken", "client", clientNetwork(client))];
}

function subject(most: number, window: number, what: string, ...who: string[]): Subject {
  const parts = JSON.stringify([what, ...who]);
  const key = createHash("sha256").update(parts).digest("base64url");
  const table = what === "admin" ? "administrator_login_failure" : "login_failure";
  return { key, table, most, window };
}

/** Whom an address belongs to: itself, or with IPv6 the /64 that a customer is given. */
export function clientNetwork(address: string): string {
  const plain = address.replace(/^::ffff:(?=[\d.]+$)/i, "").replace(/%.*$/, "");
  if (isIPv4(plain) || !plain.includes(":")) return plain;
  const [left = "", right] = plain.toLowerCase().split("::", 2);
  const groups = left.split(":").filter(Boolean);
  if (right !== undefined) {
    const after = right.split(":").filter(Boolean);
    groups.push(
      ...Array<string>(Math.max(0, 8 - groups.length - after.length)).fill("0"),
      ...after,
    );
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}

/**
 * Counts an attempt before it is made, so that many at once count too; on whichever instance, the
 * row's lock makes them wait for each other.
 * @throws TooManyAttempts which ends the transaction, so a refused attempt costs no write
 */
export async function countAttempt(query: Query, subjects: readonly Subject[]): Promise<void> {
  // One order for all, or two transactions could wait for each other.
  const sorted = subjects.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  let wait = 0;
  for (const { key, table, most, window } of sorted) {
    const [row] = await query<{ failures: number; seconds: number }>(
      `INSERT INTO ${table} AS seen (subject, failures, expires_at)
       VALUES ($1, 1, now() + make_interval(mins => $2))
       ON CONFLICT (subject) DO UPDATE SET
         failures = CASE WHEN seen.expires_at > now() THEN seen.failures + 1 ELSE 1 END,
         expires_at = CASE WHEN seen.expires_at > now() THEN seen.expires_at
                           ELSE excluded.expires_at END
       RETURNING failures, ceil(extract(epoch FROM expires_at - now()))::integer AS seconds`,
      [key, window],
    );
    if (row && row.failures > most) wait = Math.max(wait, row.seconds);
  }
  if (wait > 0) throw new TooManyAttempts(wait);
}

/** The attempt was a success: the pair starts anew, and the others get this one back. */
export async function forgiveAttempt(query: Query, subjects: readonly Subject[]): Promise<void> {
  const [pair, ...others] = subjects.filter(({ always }) => !always);
  if (pair) await giveBack(query, [pair, ...others], pair);
}

/** @param subjects all counted in the same table */
async function giveBack(query: Query, subjects: readonly Subject[], anew?: Subject): Promise<void> {
  const [first] = subjects;
  if (!first) return;
  await query(
    `UPDATE ${first.table}
     SET failures = CASE WHEN subject = $1 THEN 0 ELSE greatest(failures - 1, 0) END
     WHERE ${subjectsInOrder(first.table, "$2")}`,
    [anew?.key, subjects.map(({ key }) => key)],
  );
}

/** Whoever has set a password by a reset link can log in with it, whatever was guessed before. */
export async function clearGuesses(query: Query, email: string, client: string): Promise<void> {
  const [pair] = visitorGuess(email, client);
  const { key, table } = anywhere(email);
  await query(`DELETE FROM ${table} WHERE ${subjectsInOrder(table, "$1")}`, [[pair?.key, key]]);
}

/** One order for all, or two transactions could wait for each other. */
const subjectsInOrder = (table: Subject["table"], keys: string) =>
  `subject IN (SELECT subject FROM ${table} WHERE subject = ANY(${keys}) ORDER BY subject FOR UPDATE)`;

/**
 * Verifies a password that may be guessed at: the attempt counts before it is made. One that cannot
 * be made, because too many are at it, is given back.
 * @param find the row with the hash; where there is none, the answer takes just as long
 * @returns that row, where the password is right
 * @throws TooManyAttempts; Unavailable
 */
export async function verifyGuess<Row extends { password_hash: string }>(
  database: Database,
  subjects: readonly Subject[],
  password: string,
  find: (query: Query) => Promise<Row | undefined>,
): Promise<Row | undefined> {
  const { value: row } = await database.write(
    async (query) => {
      await countAttempt(query, subjects);
      return await find(query);
    },
    { idempotent: true },
  );
  try {
    return (await verifyPassword(password, row?.password_hash)) ? row : undefined;
  } catch (error) {
    // Once at the most; where this fails as well, the attempt counts.
    await database
      .write((query) => giveBack(query, subjects), { idempotent: false })
      .catch(() => {});
    throw error;
  }
}
