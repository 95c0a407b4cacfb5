/**
 * Clients that use the site while something is broken: readers get pages, a writer posts
 * destinations. They count what failed and how long nothing succeeded, and remember every write
 * that was acknowledged. Bounded in rate and time; they stop by themselves.
 */
import { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";

/** A one-pixel GIF. */
const pixel = Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64");

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly servedBy: string;
  readonly headers: http.IncomingHttpHeaders;
}

/** An address of a site. */
export interface Door {
  /** With a slash at its end. */
  readonly url: string;
  /** PEM of who vouches for its certificate. @default those that Node trusts */
  readonly ca?: string | undefined;
}

/** A site, and who may change its content. */
export interface Site extends Door {
  /** The administrator's header. */
  authorization(): Promise<string>;
}

/** A connection takes less than a millisecond here; one that is lost would be tried again after 1 s. */
const usualConnectMilliseconds = 300;

export interface RequestOptions extends https.RequestOptions {
  /** @default 300 */
  readonly connectMilliseconds?: number;
  readonly body?: Buffer | string;
  readonly limitMilliseconds?: number;
}

/** Sends one request and reads its answer. @throws when there is none within the limit */
export function request(url: string, options: RequestOptions = {}): Promise<Answer> {
  const { body, limitMilliseconds = 5000, ...others } = options;
  const { connectMilliseconds = usualConnectMilliseconds, ...rest } = others;
  const { request: send } = url.startsWith("https:") ? https : http;
  return new Promise((resolve, reject) => {
    const call = send(url, { ...rest, signal: AbortSignal.timeout(limitMilliseconds) });
    call.on("error", reject);
    call.on("socket", (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => call.destroy(new Error("no connection")), connectMilliseconds);
      socket.once("connect", () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
    });
    call.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("aborted", () => reject(new Error("the answer was cut off")));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          servedBy: String(response.headers["x-served-by"] ?? ""),
          headers: response.headers,
        }),
      );
    });
    call.end(body);
  });
}

/** A multipart body with a quote and a picture. */
export function destination(quote: string, image: Buffer = pixel) {
  const boundary = `hastack-${randomUUID()}`;
  const part = (header: string) => `--${boundary}\r\nContent-Disposition: form-data; ${header}\r\n`;
  const body = Buffer.concat([
    Buffer.from(`${part('name="title"')}\r\nTested\r\n`),
    Buffer.from(`${part('name="quote"')}\r\n${quote}\r\n`),
    Buffer.from(`${part('name="image"; filename="pixel.gif"')}Content-Type: image/gif\r\n\r\n`),
    image,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return { body, type: `multipart/form-data; boundary=${boundary}` };
}

/** Posts a destination. @throws unless it was acknowledged */
export async function postDestination(
  site: Site,
  quote: string,
  {
    key = randomUUID(),
    limitMilliseconds = 40_000,
    ...rest
  }: Pick<RequestOptions, "limitMilliseconds" | "connectMilliseconds"> & {
    readonly key?: string;
  } = {},
): Promise<{ id: number; image: string }> {
  const { body, type } = destination(quote);
  const { status, body: text } = await request(`${site.url}api/content`, {
    method: "POST",
    headers: {
      Authorization: await site.authorization(),
      "Content-Type": type,
      "Content-Length": body.length,
      "Idempotency-Key": key,
    },
    body,
    limitMilliseconds,
    ca: site.ca,
    ...rest,
  });
  if (status !== 201) throw new Error(`${status} ${text.slice(0, 200)}`);
  return JSON.parse(text);
}

/** What one kind of client saw. */
export interface Seen {
  readonly good: number;
  readonly failed: number;
  /** Longest time without a success, in seconds. */
  readonly gapSeconds: number;
  /** When that ended, to look for in logs. */
  readonly gapEnd: Date;
  /** How long requests failed: tenths of a second in which one did, in seconds. */
  readonly failingSeconds: number;
  /** Failures by their message, with how often. */
  readonly failures: Readonly<Record<string, number>>;
}

export interface Acknowledged {
  readonly id: number;
  readonly quote: string;
  readonly image: string;
  /** When the answer had come, by this machine's clock, milliseconds. @default not noted */
  readonly at?: number;
}

export interface Report {
  /** Of pages, which may come from the cache. */
  readonly reads: Seen;
  /** Past the cache: what the database answered. */
  readonly databaseReads: Seen;
  readonly writes: Seen;
  readonly acknowledged: readonly Acknowledged[];
}

/** Counts what one kind of client sees, from its making on. */
export class Watch {
  #good = 0;
  #failed = 0;
  #gap = 0;
  #gapEnd = Date.now();
  #last = Date.now();
  readonly #failures: Record<string, number> = {};
  readonly #failing = new Set<number>();

  success(): void {
    this.#look();
    this.#last = Date.now();
    this.#good += 1;
  }

  #look(): void {
    const now = Date.now();
    if (now - this.#last <= this.#gap) return;
    this.#gap = now - this.#last;
    this.#gapEnd = now;
  }

  failure(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#failed += 1;
    this.#failing.add(Math.floor(Date.now() / 100));
    this.#failures[text] = (this.#failures[text] ?? 0) + 1;
  }

  get seen(): Seen {
    this.#look();
    return {
      good: this.#good,
      failed: this.#failed,
      gapSeconds: this.#gap / 1000,
      gapEnd: new Date(this.#gapEnd),
      failingSeconds: this.#failing.size / 10,
      failures: this.#failures,
    };
  }
}

/** What clients do at a site, each time anew. Both throw unless it went well. */
export interface Visits {
  read(site: Site): Promise<void>;
  /** Reads something that is in no cache. @default what is read is in none either */
  readDatabase?(site: Site): Promise<void>;
  /** @param key the same when a write that got no answer is sent again */
  write(site: Site, quote: string, key: string): Promise<{ id: number; image: string }>;
}

async function mustGet({ url, ca }: Site, path: string, connectMilliseconds: number) {
  const { status } = await request(`${url}${path}`, { ca, connectMilliseconds });
  if (status !== 200) throw new Error(`status ${status}`);
}

const visitsThatConnectWithin = (connectMilliseconds: number): Visits => ({
  read: (site) => mustGet(site, "api/content?limit=3", connectMilliseconds),
  readDatabase: (site) => mustGet(site, "api/time", connectMilliseconds),
  write: (site, quote, key) => postDestination(site, quote, { key, connectMilliseconds }),
});

/** At the travel agency. */
export const travelVisits = visitsThatConnectWithin(usualConnectMilliseconds);

/** The same, and the system may ask for a connection twice, as it does for a browser. */
export const patientVisits = visitsThatConnectWithin(5000);

const readers = 2;
const readPauseMilliseconds = 20;
const writePauseMilliseconds = 100;
/** Whatever a test forgets: clients end after this. */
const longestSeconds = 600;

/** Light load on a site, from `start` to `stop`. */
export class Traffic {
  readonly #site: Site;
  readonly #visits: Visits;
  readonly #reads = new Watch();
  readonly #databaseReads = new Watch();
  readonly #writes = new Watch();
  readonly #acknowledged: Acknowledged[] = [];
  readonly #end = Date.now() + longestSeconds * 1000;
  #running = true;
  readonly #clients: Promise<void>[];

  constructor(site: Site, visits: Visits) {
    this.#site = site;
    this.#visits = visits;
    const { read, readDatabase = read } = visits;
    this.#clients = [
      ...Array.from({ length: readers }, () => this.#read(read, this.#reads)),
      this.#read(readDatabase, this.#databaseReads),
      this.#write(),
    ];
  }

  async stop(): Promise<Report> {
    this.#running = false;
    await Promise.all(this.#clients);
    return {
      reads: this.#reads.seen,
      databaseReads: this.#databaseReads.seen,
      writes: this.#writes.seen,
      acknowledged: this.#acknowledged,
    };
  }

  get #goesOn(): boolean {
    return this.#running && Date.now() < this.#end;
  }

  async #read(read: Visits["read"], watch: Watch): Promise<void> {
    while (this.#goesOn) {
      try {
        await read(this.#site);
        watch.success();
      } catch (error) {
        watch.failure(error);
      }
      await pause(readPauseMilliseconds);
    }
  }

  /** A write without an answer is sent again under its key, as a good client does. */
  async #write(): Promise<void> {
    while (this.#goesOn) {
      const quote = `under load ${randomUUID()}`;
      const key = randomUUID();
      for (let done = false; !done && this.#goesOn; ) {
        try {
          const { id, image } = await this.#visits.write(this.#site, quote, key);
          this.#writes.success();
          this.#acknowledged.push({ id, quote, image, at: Date.now() });
          done = true;
        } catch (error) {
          this.#writes.failure(error);
          await pause(writePauseMilliseconds);
        }
      }
      await pause(writePauseMilliseconds);
    }
  }
}

export const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Acknowledged writes that are not there, or are there twice, or have lost their picture. */
export async function missingWrites(
  door: Door,
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  const problems: string[] = [];
  const stored = await allQuotes(door);
  for (const { id, quote, image } of acknowledged) {
    const ids = stored.get(quote) ?? [];
    if (ids.length !== 1 || ids[0] !== id) {
      problems.push(`acknowledged as ${id}, stored as [${ids}]: ${quote}`);
    }
    const { status } = await request(new URL(image, door.url).href, { ca: door.ca });
    if (status !== 200) problems.push(`${image} of ${id} answers ${status}`);
  }
  return problems;
}

async function allQuotes({ url, ca }: Door): Promise<Map<string, number[]>> {
  const quotes = new Map<string, number[]>();
  let next: string | null = "/api/content?limit=100";
  while (next !== null) {
    const { status, body } = await request(new URL(next, url).href, { ca });
    if (status !== 200) throw new Error(`${next} answers ${status}`);
    const page: { items: { id: number; quote: string }[]; next: string | null } = JSON.parse(body);
    for (const { id, quote } of page.items) quotes.set(quote, [...(quotes.get(quote) ?? []), id]);
    next = page.next;
  }
  return quotes;
}
