import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Query } from "./database.ts";
import { HttpError } from "./errors.ts";

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
  /** Attempts within the window; the next one is refused. */
  most: number;
  /** From the first attempt, minutes. */
  window: number;
}

/**
 * What a guess at somebody's password counts for.
 * @param what which door: those of the two tiers are apart
 * @param who whose password, an e-mail address or a name
 * @param client the address that the request came from
 */
export function guessSubjects(what: string, who: string, client: string): Subject[] {
  const from = clientNetwork(client);
  return [
    // A person mistypes a few times; a guesser from one place gets 480 guesses a day.
    subject(5, 15, what, "pair", who, from),
    // An office behind one address, all on a Monday; and one list of passwords against many people.
    subject(50, 15, what, "client", from),
    // One person guessed at from many places. High: whoever knows an address can use this up, and
    // then only a reset link lets its owner in.
    subject(100, 15, what, "who", who),
  ];
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

function subject(most: number, window: number, ...parts: string[]): Subject {
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
  return { key, most, window };
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
  for (const { key, most, window } of sorted) {
    const [row] = await query<{ failures: number; seconds: number }>(
      `INSERT INTO login_failure AS seen (subject, failures, expires_at)
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
  if (subjects.length === 0) return;
  const keys = subjects.map(({ key }) => key);
  await query(
    `UPDATE login_failure SET failures = CASE WHEN subject = $1 THEN 0 ELSE greatest(failures - 1, 0) END
     WHERE subject IN (SELECT subject FROM login_failure WHERE subject = ANY($2) ORDER BY subject FOR UPDATE)`,
    [keys[0], keys],
  );
}
