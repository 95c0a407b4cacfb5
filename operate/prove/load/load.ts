/** All clients of one run, from their start to their end. */
import type { Kind, Operation } from "../history.ts";
import type { Relay } from "../relay.ts";
import { Arrivals } from "./arrivals.ts";
import { type Client, Crew } from "./crew.ts";
import { Buyer, Enterer, Reader, StandbyReader, Visitor, Writer } from "./database-clients.ts";
import type { Ways } from "./link.ts";
import { Pages, type Site } from "./pages.ts";
import { Recorder } from "./recorder.ts";
import { Uploader } from "./uploads.ts";

/** Operations that are due each second: about a hundred, which is light for a stack and enough to see 0.1 s. */
export const rates: Readonly<Record<Kind, number>> = {
  page: 20,
  "fresh page": 10,
  "standby read": 10,
  read: 10,
  write: 10,
  entry: 10,
  purchase: 5,
  visit: 5,
  upload: 5,
};

/** Clients of each kind, so that some meet; each has one connection, and those of the standby have two. */
const clients = 2;

export interface LoadOptions {
  readonly site: Site;
  readonly ways: Ways;
  /** For files, in a shared directory of the application. @default it has none, and nothing is uploaded */
  readonly folder?: string | undefined;
  /** For files alone: storage that hangs must keep no connection. */
  readonly fileRelays: () => readonly Relay[];
}

export class Load {
  readonly #recorder = new Recorder();
  readonly #pages: Pages;
  readonly #crews: Crew[] = [];
  readonly #arrivals: Arrivals[] = [];
  /** When it began, milliseconds since 1970. */
  readonly began = Date.now();

  constructor({ site, ways, folder, fileRelays }: LoadOptions) {
    const recorder = this.#recorder;
    this.#pages = new Pages(site, recorder);
    this.#arrive("page", (due) => this.#pages.arrive(due, false));
    this.#arrive("fresh page", (due) => this.#pages.arrive(due, true));
    this.#crew("standby read", (name) => new StandbyReader(name, recorder, ways));
    this.#crew("read", (name) => new Reader(name, recorder, ways));
    this.#crew("write", (name) => new Writer(name, recorder, ways));
    this.#crew("entry", (name) => new Enterer(name, recorder, ways));
    this.#crew("purchase", (name) => new Buyer(name, recorder, ways));
    this.#crew("visit", (name) => new Visitor(name, recorder, ways));
    if (folder !== undefined)
      this.#crew("upload", (name) => new Uploader(name, recorder, folder, fileRelays));
  }

  /** Milliseconds since it began. */
  now(): number {
    return this.#recorder.now();
  }

  /**
   * Ends once all that was due is done.
   * @param now gives up what has not begun @default false
   * @returns the history, and why it says nothing, if so
   */
  async end(
    how: { now?: boolean } = {},
  ): Promise<{ operations: readonly Operation[]; whyVoid: string | undefined }> {
    for (const one of this.#arrivals) one.stop();
    await Promise.all([this.#pages.end(), ...this.#crews.map((crew) => crew.end(how))]);
    const whyVoid = this.#arrivals.map((one) => one.whyVoid).find(Boolean);
    return { operations: this.#recorder.operations, whyVoid };
  }

  #arrive(kind: Kind, arrive: (due: number) => void): void {
    this.#arrivals.push(new Arrivals(rates[kind], arrive));
  }

  #crew(kind: Kind, client: (name: string) => Client): void {
    const all = Array.from({ length: clients }, (_one, index) => client(`${kind} ${index + 1}`));
    const crew = new Crew(all, (due) => {
      const why = "nobody was free for it in time";
      void this.#recorder.record(kind, "nobody", due, {}, async () => ({
        outcome: "refused",
        why,
      }));
    });
    this.#crews.push(crew);
    this.#arrive(kind, (due) => crew.arrive(due));
  }
}
