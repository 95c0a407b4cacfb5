import pg from "pg";
import type { PoolCounts } from "../lib/metrics.ts";

/** Runs one statement and gives its rows. */
export type Query = <Row extends pg.QueryResultRow>(
  text: string,
  values?: unknown[],
) => Promise<Row[]>;

export interface MemberOptions {
  /** Connection string: address, database, user, password, and how TLS is used. */
  url: string;
  applicationName: string;
  poolSize: number;
  /** Refuse connections to a server that is in recovery. */
  needsPrimary: boolean;
  /** Limit for a free or a new connection, milliseconds. */
  connectMs: number;
  onError: (error: Error) => void;
}

/** A checked-out connection. Give it back with `release`, exactly once. */
export interface Lease {
  query: Query;
  /** The client itself, for what `query` does not show: command tags, notices. */
  client: pg.PoolClient;
  /** Lets every statement under way fail at once; the server is not asked to cancel anything. */
  cutOff: () => void;
  /** @param broken drops the connection, and with it the idle ones that may have died likewise */
  release: (broken: boolean) => void;
}

/**
 * No usable connection: refused, timed out, a standby where a primary is needed, a password that is
 * just being changed. Nothing was asked of the server yet.
 */
export class CannotConnect extends Error {
  readonly code: string;

  constructor(cause: Error & { code?: unknown }) {
    super(cause.message, { cause });
    this.code = typeof cause.code === "string" ? cause.code : cause.message;
  }
}

/** One way to the database (`writer` or `reader`): a pool that never trusts an old connection. */
export class Member {
  readonly #options: MemberOptions;
  #pool: pg.Pool;
  readonly #waiting = new Set<() => void>();
  /** Why connections failed since the last that did not, and when that was told. */
  readonly #refusals = new Map<string, number>();
  #closed = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#pool = this.#open();
  }

  /** Takes a checked connection, within twice `connectMs`. @throws CannotConnect */
  async acquire(): Promise<Lease> {
    let pool: pg.Pool;
    let client: pg.PoolClient | undefined;
    do {
      pool = this.#pool;
      client = await this.#connect(pool);
    } while (!client);
    return this.#lease(pool, client);
  }

  /** @returns nothing when the pool was renewed meanwhile: an ended pool forgets who waits for it */
  #connect(pool: pg.Pool): Promise<pg.PoolClient | undefined> {
    return new Promise((resolve, reject) => {
      const retire = () => resolve(undefined);
      this.#waiting.add(retire);
      pool.connect().then(
        (client) => {
          this.#refusals.clear();
          if (this.#waiting.delete(retire)) resolve(client);
          else client.release(true);
        },
        (error: Error) => {
          this.#waiting.delete(retire);
          this.#tell(error);
          reject(new CannotConnect(error));
        },
      );
    });
  }

  /** While there is no connection each reason is told once a minute, however often it is tried. */
  #tell(error: Error): void {
    const toldAt = this.#refusals.get(error.message) ?? Number.NEGATIVE_INFINITY;
    if (Date.now() - toldAt < 60_000) return;
    this.#refusals.set(error.message, Date.now());
    this.#options.onError(error);
  }

  #lease(pool: pg.Pool, client: pg.PoolClient): Lease {
    let released = false;
    return {
      client,
      query: async (text, values) => (await client.query(text, values)).rows,
      cutOff: () => cutOff(client),
      release: (broken) => {
        if (released) return;
        released = true;
        if (broken) cutOff(client);
        client.release(broken);
        if (broken) this.#renew(pool);
      },
    };
  }

  counts(): PoolCounts {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { total: totalCount, idle: idleCount, waiting: waitingCount };
  }

  /** Closes the pool once every connection is given back. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.end();
  }

  /** After a failover all connections of a pool are dead or lead to the wrong server: start anew. */
  #renew(failed: pg.Pool): void {
    if (this.#closed || failed !== this.#pool) return;
    this.#pool = this.#open();
    for (const retire of this.#waiting) retire();
    this.#waiting.clear();
    failed.end().catch(this.#options.onError);
  }

  #open(): pg.Pool {
    const { url, applicationName, poolSize } = this.#options;
    const pool = new pg.Pool({
      connectionString: url,
      max: poolSize,
      application_name: applicationName,
      connectionTimeoutMillis: this.#options.connectMs,
      idleTimeoutMillis: 60_000,
      // Less than a load balancer lets old connections live after a reload (90 s)
      maxLifetimeSeconds: 60,
      // Once the system has seen a silent second it asks the peer: a moved address answers with a
      // reset, so that even a commit that waits learns of it.
      keepAlive: true,
      keepAliveInitialDelayMillis: 1000,
      // The server limits only what cannot be a commit. Everything else is limited on this side, by
      // dropping the connection: that cancels nothing. A commit whose wait for the standby is
      // cancelled would report success for a row that only one member has.
      // An instance or a load balancer that is lost within a transaction keeps its rows from the others until
      // PostgreSQL ends the silent session. Nothing here waits for anything but the database within one.
      // A day begins and ends with UTC, for `current_date` as for the pages, whatever the machine's own.
      options: "-c lock_timeout=5s -c idle_in_transaction_session_timeout=2s -c TimeZone=UTC",
      onConnect: (client) => this.#check(client),
    });
    pool.on("error", this.#options.onError);
    // A checked-out client's error also fails its query; unheard, the event would end the process.
    pool.on("connect", (client) => client.on("error", () => {}));
    return pool;
  }

  async #check(client: pg.ClientBase): Promise<void> {
    const timer = setTimeout(() => cutOff(client), this.#options.connectMs);
    try {
      const { rows } = await client.query("SELECT pg_is_in_recovery() AS standby");
      if (this.#options.needsPrimary && rows[0]?.standby !== false) {
        throw new Error("is a standby");
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Closes the socket under a client: pg has no public way to do so without waiting for the peer. */
function cutOff(client: pg.ClientBase): void {
  (
    client as unknown as { connection: { stream: { destroy(): void } } }
  ).connection.stream.destroy();
}
