import { cacheReads } from "../lib/metrics.ts";
import type { Cache, Client } from "./cache.ts";
import type { Database, Query } from "./database.ts";
import {
  type Horizon,
  horizonLength,
  horizonOf,
  logPlace,
  type Position,
  readHorizonSql,
  timelineOf,
  unknownPosition,
} from "./horizon.ts";

/** What changes together. */
export type Topic = "content" | "offers";

/** Every topic. */
export const topics: readonly Topic[] = ["content", "offers"];

/** Where an answer came from; `bypass`: the cache was not asked. */
export type CacheUse = "hit" | "miss" | "bypass";

/** How long an answer is kept, also when a write could not reach the cache. Milliseconds. */
const entryMs = 30_000;
/** Larger answers are not kept, characters. */
const longestEntry = 256 * 1024;

/** Only ever raises the value; an empty one counts as none. */
const raise = `local old = redis.call('GET', KEYS[1])
if not old or old < ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1])
end`;

interface Wanted<T> {
  work: (query: Query) => Promise<T>;
  /** What the answer must hold. */
  after: Position | undefined;
  /** What it should hold, so that it can be served again: the later of `after` and `changed`. */
  floor: Position;
}

/** A read of the database that others who want the same may share. */
interface Flight<T> {
  after: Position | undefined;
  floor: Position;
  value: Promise<T>;
}

/**
 * Reads that many visitors repeat, out of the cache where that is safe.
 *
 * The cache holds, for each topic, the position of its last write (`changed`), and entries: an
 * answer behind the horizon of its read. An entry is served only if its horizon is at or above both
 * `changed` and the caller's own last write (see `Horizon`). So it does not matter who fills the
 * cache when, or from which member: what a lagging standby gave may be kept and is never served, and
 * what was read while a write was under way is not served after it.
 *
 * `changed` is raised after the commit and before the writer is answered. Where that fails (no way to
 * the cache, a process that ended in between, a commit without an answer) the writer's own position
 * still keeps old entries from the writer, and others may see them for the rest of their 30 s; this
 * instance makes up for it before it uses the cache again. Where `changed` is missing (the server was
 * restarted or emptied) no entry is served until the primary has given a new one. It never expires,
 * so that a full server (`volatile-ttl`) drops entries and not this; the server must keep nothing
 * over a restart, or old entries would come back with an old `changed`.
 */
export class CachedReads {
  readonly #database: Database;
  readonly #cache: Cache | undefined;
  readonly #prefix: string;
  readonly #release: string;
  readonly #flights = new Map<string, Flight<unknown>>();
  /** Changes that the cache could not be told of. */
  readonly #owed = new Map<Topic, Position>();
  readonly #asking = new Set<Topic>();

  /**
   * @param names of the database, so that several may share a cache, and of the release: another one
   *   may keep answers in another shape
   */
  constructor(database: Database, cache?: Cache, { name = "", release = "" } = {}) {
    this.#database = database;
    this.#cache = cache;
    this.#release = release;
    this.#prefix = `hastack:${name}`;
    if (cache) cache.onLook = (client) => this.#settle(client);
  }

  /**
   * @param name what is read, unique within its topic: the same name gives the same answer
   * @param work gives a JSON value; it may run several times, and others may get the same object
   * @param after the caller's last write, which the answer will hold
   */
  async read<T>(
    topic: Topic,
    name: string,
    work: (query: Query) => Promise<T>,
    after?: Position,
  ): Promise<{ value: T; cache: CacheUse }> {
    const answer = await this.#read(topic, name, work, after);
    cacheReads.inc({ topic, result: answer.cache });
    return answer;
  }

  /**
   * Says that a topic was changed, once its write is committed. Never fails.
   * @param position of the write; unknown where its commit was not answered
   */
  async changed(topic: Topic, position: Position): Promise<void> {
    if (!this.#cache) return;
    const told = await this.#cache.ask((client) => this.#tell(client, topic, position));
    if (!told) this.#owed.set(topic, later(position, this.#owed.get(topic)));
  }

  /** As `changed`, for every topic: a commit went unanswered, so it is unknown what it changed. */
  async changedPerhaps(): Promise<void> {
    await Promise.all(topics.map((topic) => this.changed(topic, unknownPosition)));
  }

  async #read<T>(
    topic: Topic,
    name: string,
    work: (query: Query) => Promise<T>,
    after?: Position,
  ): Promise<{ value: T; cache: CacheUse }> {
    const plain = async (cache: CacheUse) => ({
      value: await this.#database.read(work, after),
      cache,
    });
    // Against a position without a horizon nothing can be measured.
    if (!this.#cache || this.#owed.has(topic) || (after && !horizonOf(after)))
      return plain("bypass");
    const key = `${this.#prefix}:entry:${this.#release}:${topic}:${name}`;
    const found = await this.#cache.ask((client) => client.mGet([this.#changedKey(topic), key]));
    if (!found) return plain("bypass");
    const [changed, entry] = found;
    if (!changed) {
      this.#renew(topic);
      return plain("miss");
    }
    const floor = later(changed, after);
    if (entry && covers(entry, floor)) {
      return { value: JSON.parse(entry.slice(horizonLength)), cache: "hit" };
    }
    return { value: await this.#share(key, { work, after, floor }), cache: "miss" };
  }

  /** Joins a read that is under way, if it will hold all that this caller needs, or starts one. */
  async #share<T>(key: string, wanted: Wanted<T>): Promise<T> {
    const { after, floor } = wanted;
    const joined = this.#flights.get(key) as Flight<T> | undefined;
    if (joined && joined.floor >= floor && (!after || (joined.after ?? "") >= after)) {
      return await joined.value;
    }
    const flight: Flight<T> = { after, floor, value: this.#fill(key, wanted) };
    this.#flights.set(key, flight);
    try {
      return await flight.value;
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    }
  }

  async #fill<T>(key: string, { work, after, floor }: Wanted<T>): Promise<T> {
    const read = async (query: Query) => {
      const [seen] = await query<{ horizon: Horizon | null }>(readHorizonSql, [
        logPlace(floor),
        timelineOf(floor),
      ]);
      return { horizon: seen?.horizon, value: await work(query) };
    };
    const { horizon, value } = await this.#database.read(read, after, floor);
    const entry = `${horizon}${JSON.stringify(value)}`;
    if (horizon && value !== undefined && entry.length <= longestEntry) {
      const expiration = { type: "PX", value: entryMs } as const;
      await this.#cache?.ask((client) => client.set(key, entry, { expiration }));
    }
    return value;
  }

  /** Gives a topic a new `changed`, in the background: nobody waits while the primary is away. */
  #renew(topic: Topic): void {
    if (this.#asking.has(topic)) return;
    this.#asking.add(topic);
    this.#database
      .latest()
      .then(
        (position) => this.changed(topic, position),
        () => {},
      )
      .finally(() => this.#asking.delete(topic));
  }

  /** Tells what it could not be told before. */
  async #settle(client: Client): Promise<void> {
    for (const [topic, position] of this.#owed) {
      await this.#tell(client, topic, position);
      if (this.#owed.get(topic) === position) this.#owed.delete(topic);
    }
  }

  async #tell(client: Client, topic: Topic, position: Position): Promise<true> {
    const key = this.#changedKey(topic);
    if (horizonOf(position)) await client.eval(raise, { keys: [key], arguments: [position] });
    // Whoever reads next asks the primary, which knows of every write that was begun
    else await client.set(key, "");
    return true;
  }

  #changedKey(topic: Topic): string {
    return `${this.#prefix}:changed:${topic}`;
  }
}

/** Whether the horizon that an entry begins with is at or above that of a position. */
function covers(entry: string, position: Position): boolean {
  return entry.slice(0, horizonLength) >= position.slice(0, horizonLength);
}

/** The later of two; one without a horizon counts as later than any other. */
function later(a: Position, b: Position | undefined): Position {
  if (b === undefined || !horizonOf(a)) return a;
  return horizonOf(b) && a >= b ? a : b;
}
