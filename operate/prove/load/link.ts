/**
 * A client's connection to the database, by the way that the application has: from one of its machines, by the load
 * balancers. It is made when it is needed, checked for what it is to do, and made again once it breaks.
 */
import pg from "pg";
import { proofName } from "../../../infra/render/patroni.ts";
import { ports } from "../../../infra/roles.ts";
import type { Access } from "../database.ts";
import type { Relay } from "../relay.ts";

/** Ways in: relays of machines that no fault is about to take away. */
export interface Ways {
  /** One that is there. @throws when none is */
  relay(): Relay;
  readonly access: Access;
  /** The backend's virtual address. */
  readonly vip: string;
  /** The member of the database with an address in the backend network. */
  memberAt(address: string): string;
}

/**
 * Milliseconds that an answer is waited for, as an application has to have such limits. Whoever hangs answers a
 * connection all the same, by its system: so the first byte has a limit of its own, and it is short, since what a
 * client waits for in vain is added to every outage.
 */
const limits = { firstByte: 250, connect: 1000, read: 300, begin: 300, write: 7000 } as const;

/** The same on the server's side: who is lost within a transaction keeps its rows from others for 2 s. */
const serverLimits = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=2s";

/** Nothing was done, for certain. */
export class Refused extends Error {}
/** Nobody can tell whether it was done. */
export class Unanswered extends Error {}

/** PostgreSQL says so while it ends a session, also one that waits for the standby with its commit written. */
const saysLittle = /^(08|57P0|XX)/;

/** Asks one member, by one connection. */
type Ask = (text: string, values: readonly unknown[]) => Promise<pg.QueryResultRow[]>;

/** An old primary that was cut off has a log of its own, which is further than what it has received. */
const hasApplied = `SELECT NOT pg_is_in_recovery() OR coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn
    AND pg_last_wal_receive_lsn() >= pg_last_wal_replay_lsn(), false) AS has`;

/** Asks for the position by a statement of its own: one that reads as well sees what was there when it began, and the position that was reached since. */
export async function readAfter(
  ask: Ask,
  position: string,
  text: string,
  values: readonly unknown[],
): Promise<pg.QueryResultRow[] | undefined> {
  const [row] = await ask(hasApplied, [position]);
  return row?.has ? ask(text, values) : undefined;
}

export class Link {
  readonly #ways: Ways;
  readonly #port: number;
  #client: pg.Client | undefined;
  #member = "";

  /** @param to the primary, or where the load balancers have the standby */
  constructor(ways: Ways, to: "primary" | "standby") {
    this.#ways = ways;
    this.#port = to === "primary" ? ports.primary : ports.replicas;
  }

  /** Who answered last. */
  get member(): string {
    return this.#member;
  }

  /** A statement that changes nothing. @throws Refused */
  async read<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const client = await this.#connected();
    try {
      return (await within(limits.read, client.query<Row>(text, [...values]))).rows;
    } catch (error) {
      throw new Refused(this.#broken(error as Error).message);
    }
  }

  /**
   * The same, of a member that has applied all up to a position of the primary's log.
   * @returns nothing where it has not yet
   * @throws Refused
   */
  async readAfter<Row extends pg.QueryResultRow>(
    position: string,
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[] | undefined> {
    const client = await this.#connected();
    const ask: Ask = async (one, of) =>
      (await within(limits.read, client.query(one, [...of]))).rows;
    try {
      return (await readAfter(ask, position, text, values)) as Row[] | undefined;
    } catch (error) {
      throw new Refused(this.#broken(error as Error).message);
    }
  }

  /**
   * A transaction of one statement; what fails before its commit is refused.
   * @returns the statement's rows
   * @throws Refused, Unanswered
   */
  async write<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[],
  ): Promise<Row[]> {
    const client = await this.#connected();
    let rows: Row[];
    try {
      // A connection that is dead is found before it is trusted with anything
      await within(limits.begin, client.query("BEGIN"));
      ({ rows } = await within(limits.write, client.query<Row>(text, [...values])));
    } catch (error) {
      this.#drop();
      throw new Refused((error as Error).message);
    }
    try {
      await within(limits.write, client.query("COMMIT"));
      return rows;
    } catch (error) {
      throw this.#broken(error as Error);
    }
  }

  async end(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await within(1000, client?.end() ?? Promise.resolve()).catch(() => this.#drop());
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    try {
      return await this.#connect();
    } catch (error) {
      throw new Refused((error as Error).message);
    }
  }

  async #connect(): Promise<pg.Client> {
    const { access, vip } = this.#ways;
    const socket = this.#ways.relay().socket(limits.firstByte);
    const client = new pg.Client({
      host: vip,
      port: this.#port,
      user: proofName,
      database: proofName,
      password: access.password,
      ssl: { ca: access.authority },
      options: serverLimits,
      stream: () => socket,
    });
    client.on("error", () => this.#drop(client));
    keepPassword(client);
    try {
      await within(limits.connect, client.connect());
      const { rows } = await within(
        limits.connect,
        client.query("SELECT host(inet_server_addr()) AS address, pg_is_in_recovery() AS standby"),
      );
      const [{ address, standby }] = rows;
      if (this.#port === ports.primary && standby) throw new Error(`${address} is a standby`);
      this.#member = this.#ways.memberAt(address);
      this.#client = client;
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** What an error means, and whether the connection is of use any more. */
  #broken(error: Error): Error {
    const { code } = error as { code?: string };
    const isAnswer = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !saysLittle.test(code);
    // A primary that became a standby keeps its connections
    if (!isAnswer || code === "25006") this.#drop();
    return isAnswer ? new Refused(error.message) : new Unanswered(error.message);
  }

  #drop(client = this.#client): void {
    if (client === undefined) return;
    if (this.#client === client) this.#client = undefined;
    (client as unknown as { connection: Connection }).connection.stream.destroy();
  }
}

/** The password is proved (SCRAM), and told to nobody who asks for it, as PostgreSQL here does not. */
export function keepPassword(client: pg.Client): void {
  const { connection } = client as unknown as { connection: Connection };
  for (const name of ["authenticationCleartextPassword", "authenticationMD5Password"])
    connection.prependListener(name, () =>
      connection.stream.destroy(new Error("it was asked for the password itself")),
    );
}

interface Connection {
  readonly stream: { destroy(error?: Error): void };
  prependListener(name: string, listener: () => void): void;
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {});
  }
}
