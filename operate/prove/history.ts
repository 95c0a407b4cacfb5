/** What clients did at a stack: each operation from the time it was due to its end. */

/** Milliseconds since the history began, by the clients' own clock, which never goes back. */
export type Moment = number;

/** Kinds of operations. The first three need no primary: those are what is promised of reads. */
export const kinds = [
  /** A page of the application, by a connection that is kept. */
  "page",
  /** The same by a connection of its own. */
  "fresh page",
  /** A register, read where the load balancers have the standby. */
  "standby read",
  /** A register, read at the primary. */
  "read",
  /** A register gets a value, or gets it only where it has another one. */
  "write",
  /** A row under an idempotency key. */
  "entry",
  /** Places of a stock are taken in a transaction. */
  "purchase",
  /** A visitor writes, and reads it at the standby, once that has it. */
  "visit",
  /** A shared file, written on one machine of the application and read on another. */
  "upload",
] as const;

export type Kind = (typeof kinds)[number];

/** Whether it counts among reads; all others need the primary, or write. */
export const isRead = (kind: Kind): boolean => kinds.indexOf(kind) < 3;

/**
 * How it ended: `ok` was acknowledged, `refused` did nothing for certain, and of `unknown` nobody can tell
 * whether it did.
 */
export type Outcome = "ok" | "refused" | "unknown";

export interface Operation {
  readonly kind: Kind;
  /** Who did it: one client has one operation under way at a time. */
  readonly client: string;
  /** When it was due. Latency counts from here, also where the client was late. */
  readonly due: Moment;
  readonly began: Moment;
  readonly ended: Moment;
  /** When its write was acknowledged, where it read after that. @default when it ended */
  readonly written?: Moment;
  readonly outcome: Outcome;
  /** Register, idempotency key, visitor, file, or the path of a page. */
  readonly key?: string;
  /** What was written or read. @default nothing was there */
  readonly value?: string;
  /** The value that a register had to have for a write. @default whichever */
  readonly expected?: string;
  /** How often it was tried. @default once */
  readonly tries?: number;
  /** Who answered: an instance, or a member of the database. */
  readonly from?: string;
  /** Why it was not acknowledged. */
  readonly why?: string;
}
