import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseFull, HttpError, OutcomeUnknown, Unavailable } from "../lib/errors.ts";
import { databaseRetries, type PoolCounts } from "../lib/metrics.ts";
import {
  committedSql,
  hasAllSql,
  latestSql,
  logPlace,
  type Position,
  unknownPosition,
} from "./horizon.ts";
import { CannotConnect, type Lease, Member, type Query } from "./member.ts";

export { type Position, unknownPosition } from "./horizon.ts";
export type { Query } from "./member.ts";

/** Where the database is, and as whom: connection strings as `pg` takes them. */
export interface DatabaseConfig {
  writer: string;
  /** Leads to a standby where there is one. */
  reader: string;
  /** Connections of this instance to each of the two. */
  poolSize: number;
}

/** Who answers: the server's own address, and whether it is a standby. */
export interface MemberIdentity {
  member: string;
  inRecovery: boolean;
}

/** Milliseconds, unless the name says otherwise. */
export const defaultLimits = {
  /** A free or a new connection. */
  connectMs: 1000,
  /** One attempt of a read on one connection: what a hung server may cost a reader. */
  readAttemptMs: 800,
  /** All attempts of a read together. */
  readMs: 4000,
  /** A standby that is behind the caller's own write gets this long to catch up. */
  catchUpMs: 200,
  /** After the reader failed, reads start at the writer for this long. */
  avoidReaderMs: 1000,
  /** The first statement of a write: shows whether the connection lives at all. */
  beginMs: 1000,
  /** All statements of a write before its commit. */
  writeAttemptMs: 7000,
  /** All attempts of a write together, up to the last commit's sending. */
  writeMs: 30_000,
  /** The least time that a commit is waited for; longer while `writeMs` has not passed. */
  commitMs: 5000,
  /** Requests that may be in or wait for the database at once, for reads and for writes. */
  readRequests: 300,
  writeRequests: 100,
};

export type DatabaseLimits = typeof defaultLimits;

interface Warning {
  severity?: string | undefined;
}

const systemCodes = new Set(
  "ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOTFOUND EAI_AGAIN EHOSTDOWN".split(
    " ",
  ),
);
const clientMessages = /^(Connection terminated|Client has encountered|Client was closed)/;
// 08 connection, 57P0x shutdown or start-up, 25006 read-only transaction: a standby, or soon one. 25P03: this instance
// was silent within a transaction for too long, and the server has ended it.
const lostStates = /^(08...|57P0.|25006|25P03)$/;
// Serialization (also a standby's conflict with replay), deadlock, lock not available, too many connections.
const passingStates = /^(40001|40P01|55P03|53300)$/;

// The server's disk is full, or does not work. A primary may read on all the same, or a standby may.
const diskStates = /^(53100|58030)$/;

/** A row that another one names is not there, or is still named. */
export const foreignKeyViolation = "23503";

class Behind extends Error {}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? "");
}

/** Whether the connection, not the request, was at fault. */
function isLost(error: unknown): boolean {
  if (error instanceof CannotConnect || systemCodes.has(codeOf(error))) return true;
  if (lostStates.test(codeOf(error))) return true;
  return error instanceof Error && clientMessages.test(error.message);
}

function isPassing(error: unknown): boolean {
  return error instanceof Behind || passingStates.test(codeOf(error));
}

function isDisk(error: unknown): boolean {
  return diskStates.test(codeOf(error));
}

function reason(error: unknown): string {
  if (error instanceof Behind) return "behind";
  if (error instanceof CannotConnect) return "connect";
  return codeOf(error) || "connection-lost";
}

/** Reads on any member, writes on the primary, and the rules for trying again. */
export class Database {
  readonly #writer: Member;
  readonly #reader: Member;
  readonly #limits: DatabaseLimits;
  #readerAvoidedUntil = 0;
  #reads = 0;
  #writes = 0;

  constructor(
    config: { database: DatabaseConfig; instance: string },
    onError: (error: Error) => void,
    limits: Partial<DatabaseLimits> = {},
  ) {
    this.#limits = { ...defaultLimits, ...limits };
    const { writer, reader, poolSize } = config.database;
    const shared = {
      poolSize,
      applicationName: `hastack ${config.instance}`,
      connectMs: this.#limits.connectMs,
      onError,
    };
    this.#writer = new Member({ ...shared, url: writer, needsPrimary: true });
    this.#reader = new Member({ ...shared, url: reader, needsPrimary: false });
  }

  /**
   * Runs a read, on the standby if it can be. `work` may run several times.
   * @param after the caller's last write; a standby that has not replayed it is not used
   * @param rather at least as late as `after`: what the answer holds too, where a member that has it
   *   can be reached
   * @throws Unavailable when no member answered within `readMs`
   */
  async read<T>(
    work: (query: Query) => Promise<T>,
    after?: Position,
    rather?: Position,
  ): Promise<T> {
    if (this.#reads >= this.#limits.readRequests)
      throw new Unavailable("Too many requests are waiting.", 1);
    this.#reads += 1;
    try {
      return await this.#readUntil(Date.now() + this.#limits.readMs, work, after, rather);
    } finally {
      this.#reads -= 1;
    }
  }

  /**
   * Runs a transaction on the primary. `work` may run several times; only the last run counts.
   * @param options.idempotent `work` finds out by itself that an earlier run was committed, so a
   *   commit without an answer may be tried again
   * @returns the work's value, and the position that a later read must have reached
   * @throws Unavailable, DatabaseFull nothing was changed; OutcomeUnknown a commit went unanswered
   */
  async write<T>(
    work: (query: Query) => Promise<T>,
    options: { idempotent: boolean },
  ): Promise<{ value: T; position: Position }> {
    if (this.#writes >= this.#limits.writeRequests) {
      throw new Unavailable("Too many requests are waiting.", 1);
    }
    this.#writes += 1;
    try {
      return await this.#writeUntil(Date.now() + this.#limits.writeMs, work, options.idempotent);
    } finally {
      this.#writes -= 1;
    }
  }

  /** Asks one way to the database who answers there. */
  async inspect(way: "writer" | "reader"): Promise<MemberIdentity> {
    const member = way === "writer" ? this.#writer : this.#reader;
    return await this.#attemptRead(member, identify);
  }

  /** Asks the primary, once, for a position that every write begun so far is covered by. */
  async latest(): Promise<Position> {
    return await this.#attemptRead(this.#writer, async (query) => {
      const [row] = await query<{ position: Position }>(latestSql);
      if (!row) throw new Error("the primary did not say its position");
      return row.position;
    });
  }

  counts(): Record<"writer" | "reader", PoolCounts> {
    return { writer: this.#writer.counts(), reader: this.#reader.counts() };
  }

  async close(): Promise<void> {
    await Promise.all([this.#writer.close(), this.#reader.close()]);
  }

  async #readUntil<T>(
    deadline: number,
    work: (query: Query) => Promise<T>,
    after: Position | undefined,
    rather: Position | undefined,
  ): Promise<T> {
    const isAvoided = after === unknownPosition || Date.now() < this.#readerAvoidedUntil;
    const first = isAvoided ? this.#writer : this.#reader;
    const second = first === this.#reader ? this.#writer : this.#reader;
    for (let attempt = 0; ; attempt += 1) {
      const member = attempt % 2 === 0 ? first : second;
      try {
        // Both members are asked for it once, and then for what must be.
        const wanted = attempt < 2 ? (rather ?? after) : after;
        return await this.#attemptRead(member, work, wanted);
      } catch (error) {
        if (!isLost(error) && !isPassing(error) && !isDisk(error)) throw error;
        if (member === this.#reader && isLost(error)) {
          this.#readerAvoidedUntil = Date.now() + this.#limits.avoidReaderMs;
        }
        databaseRetries.inc({ operation: "read", reason: reason(error) });
        // The first tries go at once: idle connections may have died with the old primary.
        const pause = attempt < 3 ? 0 : 100;
        if (Date.now() + pause >= deadline) {
          throw new Unavailable("The database cannot be reached at the moment.");
        }
        await sleep(pause);
      }
    }
  }

  async #attemptRead<T>(
    member: Member,
    work: (query: Query) => Promise<T>,
    after?: Position,
  ): Promise<T> {
    const lease = await member.acquire();
    const timer = setTimeout(lease.cutOff, this.#limits.readAttemptMs);
    let broken = false;
    try {
      if (after && member === this.#reader) await this.#catchUp(lease.query, after);
      return await work(lease.query);
    } catch (error) {
      broken = isLost(error);
      throw error;
    } finally {
      clearTimeout(timer);
      lease.release(broken);
    }
  }

  /** Waits until a standby has replayed `after`; a primary has, by definition. */
  async #catchUp(query: Query, after: Position): Promise<void> {
    const giveUp = Date.now() + this.#limits.catchUpMs;
    for (;;) {
      const [row] = await query<{ has: boolean }>(hasAllSql, [logPlace(after)]);
      if (row?.has) return;
      if (Date.now() >= giveUp) throw new Behind("the standby has not replayed the caller's write");
      await sleep(20);
    }
  }

  async #writeUntil<T>(
    deadline: number,
    work: (query: Query) => Promise<T>,
    idempotent: boolean,
  ): Promise<{ value: T; position: Position }> {
    let unanswered = false;
    for (let pause = 25; ; pause = Math.min(pause * 2, 300)) {
      try {
        return await this.#attemptWrite(deadline, work);
      } catch (error) {
        if (error instanceof OutcomeUnknown) {
          if (!idempotent) throw error;
          unanswered = true;
        } else if (!isLost(error) && !isPassing(error)) {
          // A refusal is the work's own word, which has seen what is there; this one has not.
          if (unanswered && !(error instanceof HttpError)) throw new OutcomeUnknown(error);
          if (isDisk(error)) throw new DatabaseFull(error);
          throw error;
        }
        databaseRetries.inc({ operation: "write", reason: reason(error) });
        if (Date.now() + pause >= deadline) {
          if (unanswered) throw new OutcomeUnknown();
          throw new Unavailable("The database takes no changes at the moment.", 5);
        }
        await sleep(pause * (0.5 + Math.random()));
      }
    }
  }

  async #attemptWrite<T>(
    deadline: number,
    work: (query: Query) => Promise<T>,
  ): Promise<{ value: T; position: Position }> {
    const lease = await this.#writer.acquire();
    let broken = true;
    try {
      await within(lease, this.#limits.beginMs, () => lease.query("BEGIN"));
      const value = await within(lease, this.#limits.writeAttemptMs, () => work(lease.query));
      await within(lease, Math.max(this.#limits.commitMs, deadline - Date.now()), () =>
        commit(lease),
      );
      const position = await within(lease, this.#limits.beginMs, () => currentPosition(lease));
      broken = position === unknownPosition;
      return { value, position };
    } catch (error) {
      // An error of the request itself leaves a good connection, once its transaction is ended.
      if (!isLost(error) && !(error instanceof OutcomeUnknown)) {
        broken = await within(lease, this.#limits.beginMs, () => lease.query("ROLLBACK")).then(
          () => false,
          () => true,
        );
      }
      throw error;
    } finally {
      lease.release(broken);
    }
  }
}

/**
 * Asks the server who it is: the member's name that its configuration gives, else its address. (Its
 * `cluster_name` is no help: Patroni gives every member the same.)
 */
export async function identify(query: Query): Promise<MemberIdentity> {
  const [row] = await query<MemberIdentity>(
    `SELECT coalesce(current_setting('hastack.member', true), host(inet_server_addr()), 'local') AS member,
            pg_is_in_recovery() AS "inRecovery"`,
  );
  if (!row) throw new Error("the server did not say who it is");
  return row;
}

/** Runs `work` with a time limit, at which the connection is cut off so that `work` fails. */
async function within<T>(lease: Lease, limitMs: number, work: () => Promise<T>): Promise<T> {
  const timer = setTimeout(lease.cutOff, limitMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

/** @throws OutcomeUnknown whenever the answer does not plainly say that it is done or undone */
async function commit({ client }: Lease): Promise<void> {
  // A wait for the standby that the server breaks off ends with a warning, and then "success".
  let warned = false;
  const onNotice = (notice: Warning) => {
    warned ||= notice.severity === "WARNING";
  };
  client.on("notice", onNotice);
  try {
    const { command } = await client.query("COMMIT");
    if (warned) throw new OutcomeUnknown();
    if (command !== "COMMIT") throw new Error(`the transaction ended with ${command}`);
  } catch (error) {
    if (isLost(error) && !neverSent(error)) throw new OutcomeUnknown();
    throw error;
  } finally {
    client.off("notice", onNotice);
  }
}

/** pg knew that the connection was dead, and put nothing on the wire. */
function neverSent(error: unknown): boolean {
  return error instanceof Error && /^Client (has encountered|was closed)/.test(error.message);
}

/** The commit is done already: a failure here only means that the position is not known. */
async function currentPosition({ query }: Lease): Promise<Position> {
  try {
    const [row] = await query<{ position: Position }>(committedSql);
    return row?.position ?? unknownPosition;
  } catch {
    return unknownPosition;
  }
}
