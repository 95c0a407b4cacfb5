import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import type { Logger } from "pino";
import { cacheErrors } from "../lib/metrics.ts";

/** How long a request waits for an answer of the cache, milliseconds. */
const defaultAnswerMs = 100;
/** Limit for a new connection with its login; no request waits for it. */
const connectMs = 1000;
/** Between two checks of the cache, whether it answers or not. */
const lookEveryMs = 1000;

/** Where the cache is, and as whom. */
export interface CacheConfig {
  /**
   * `redis://USER:PASSWORD@HOST:PORT/0`; `rediss://` for TLS, with `?ssl_ca_certs=FILE` where the
   * server's certificate is from an authority of one's own.
   */
  url: string;
}

/** A connection to the cache. */
export type Client = ReturnType<typeof open>;

/**
 * A Redis-protocol server that may be lost, hung or emptied at any time. The first question without
 * an answer closes the connection; from then on none is asked, until a check in the background finds
 * the server healthy again.
 */
export class Cache {
  readonly #config: CacheConfig;
  readonly #log: Logger;
  readonly #answerMs: number;
  #client: Client | undefined;
  /** Of the last check, so that each problem is logged once. */
  #trouble = "";
  readonly #stopping = new AbortController();
  #looking: Promise<void> | undefined;
  /** Run at every check, and before a new connection is used. */
  onLook: (client: Client) => Promise<void> = async () => {};

  constructor(config: CacheConfig, log: Logger, answerMs: number = defaultAnswerMs) {
    this.#config = config;
    this.#log = log;
    this.#answerMs = answerMs;
  }

  get state(): "ok" | "down" {
    return this.#client ? "ok" : "down";
  }

  /** Checks once, for at most `connectMs`, and goes on in the background. */
  async start(): Promise<void> {
    await this.#look();
    this.#looking = this.#keepLooking(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
    if (this.#client) close(this.#client);
    this.#client = undefined;
  }

  /** @returns undefined where the cache is down: at once, or after `answerMs` for the questions that find it so */
  async ask<T>(question: (client: Client) => Promise<T>): Promise<T | undefined> {
    const client = this.#client;
    if (!client) return undefined;
    try {
      return await within(this.#answerMs, question(client));
    } catch (error) {
      this.#lose(client, error as Error);
      return undefined;
    }
  }

  async #keepLooking(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    if (!this.#client) return await this.#connect();
    await this.ask((client) => client.ping());
    await this.ask(this.onLook);
  }

  async #connect(): Promise<void> {
    const client = open(this.#config);
    client.on("error", (error: Error) => this.#lose(client, error));
    try {
      await within(connectMs, client.connect());
      await within(connectMs, this.onLook(client));
      this.#client = client;
      this.#trouble = "";
      this.#log.info("cache reached");
    } catch (error) {
      close(client);
      this.#say(error as Error);
    }
  }

  #lose(client: Client, error: Error): void {
    // Each question that was under way says so, and the socket too.
    if (client !== this.#client) return;
    this.#client = undefined;
    cacheErrors.inc();
    close(client);
    this.#say(error);
  }

  #say({ message }: Error): void {
    if (message === this.#trouble) return;
    this.#trouble = message;
    this.#log.warn({ reason: message }, "cache lost: every read goes to the database");
  }
}

function open({ url }: CacheConfig) {
  const authority = authorityOf(url);
  return createClient({
    url,
    socket: {
      ...{ connectTimeout: connectMs, reconnectStrategy: false },
      // Read for each connection: it may have been renewed
      ...(authority !== undefined && { tls: true as const, ca: readFileSync(authority) }),
    },
    disableOfflineQueue: true,
    // No commands that the cache's user would need more rights for
    ...{ disableClientInfo: true, maintNotifications: "disabled" },
  });
}

/** The file that `ssl_ca_certs` names in a cache's URL, as Redis' own clients call it. */
export function authorityOf(url: string): string | undefined {
  return new URL(url).searchParams.get("ssl_ca_certs") ?? undefined;
}

function close(client: Client): void {
  try {
    client.destroy();
  } catch {
    // It was never open, or is closed already.
  }
}

/** @throws Error when there is no answer in time; one that came while this process was busy counts */
async function within<T>(limitMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    const tooLate = () => reject(new Error(`no answer within ${limitMs} ms`));
    timer = setTimeout(() => setImmediate(tooLate), limitMs);
  });
  try {
    return await Promise.race([answer, limit]);
  } finally {
    clearTimeout(timer);
  }
}
