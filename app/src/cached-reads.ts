import type { Response } from "express";
import type { Database, Position, Query } from "./database.ts";

/** What changes together. */
export type Topic = "content" | "offers";

/** Where an answer came from; `bypass`: the cache was not asked. */
export type CacheUse = "hit" | "miss" | "bypass";

/** Reads that many visitors repeat, out of the cache where that is safe. */
export class CachedReads {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * @param name what is read, unique within its topic: the same name gives the same answer
   * @param work gives a JSON value; it may run several times
   * @param after the caller's last write, which the answer will hold
   */
  async read<T>(
    _topic: Topic,
    _name: string,
    work: (query: Query) => Promise<T>,
    after?: Position,
  ): Promise<{ value: T; cache: CacheUse }> {
    return { value: await this.#database.read(work, after), cache: "bypass" };
  }

  /** Says that a topic was changed, once its write is committed. Never fails. */
  async changed(_topic: Topic, _position: Position): Promise<void> {}
}

/** Says in `X-Cache` where an answer came from: the slowest of all its parts. */
export function noteCacheUse(response: Response, ...uses: CacheUse[]): void {
  const order: CacheUse[] = ["bypass", "miss", "hit"];
  response.set("X-Cache", order.find((use) => uses.includes(use)) ?? "bypass");
}
