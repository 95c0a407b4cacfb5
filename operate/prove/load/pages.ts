/** Clients that ask for the application's pages, as browsers do. */
import http from "node:http";
import https from "node:https";
import type { Ended, Recorder } from "./recorder.ts";

/** Where pages are. */
export interface Site {
  /** As in `https://192.0.2.10`, without a path. */
  readonly origin: string;
  /** Asked for in turn. */
  readonly paths: readonly string[];
}

const answerMilliseconds = 5000;
/** A connection that is lost is asked for again by the system only after a second. */
const connectMilliseconds = 300;

/** The name of the instance that has answered, where the application tells it. */
const served = ({ headers }: http.IncomingMessage): string => String(headers["x-served-by"] ?? "");

export class Pages {
  readonly #site: Site;
  readonly #recorder: Recorder;
  readonly #kept: http.Agent;
  readonly #open = new Set<Promise<unknown>>();
  #count = 0;

  constructor(site: Site, recorder: Recorder) {
    this.#site = site;
    this.#recorder = recorder;
    const { Agent } = site.origin.startsWith("https:") ? https : http;
    this.#kept = new Agent({ keepAlive: true, maxSockets: 64, scheduling: "lifo" });
  }

  /** @param isFresh whether it has a connection of its own */
  arrive(due: number, isFresh: boolean): void {
    this.#count += 1;
    const { paths, origin } = this.#site;
    const path = paths[this.#count % paths.length] ?? "/";
    const kind = isFresh ? "fresh page" : "page";
    const asked = this.#recorder.record(kind, `${kind} ${this.#count}`, due, { key: path }, () =>
      this.#get(`${origin}${path}`, isFresh),
    );
    this.#open.add(asked);
    asked.finally(() => this.#open.delete(asked));
  }

  async end(): Promise<void> {
    await Promise.all(this.#open);
    this.#kept.destroy();
  }

  #get(url: string, isFresh: boolean): Promise<Ended> {
    const { request } = url.startsWith("https:") ? https : http;
    const failed = (why: string): Ended => ({ outcome: "refused", why });
    return new Promise((resolve) => {
      const call = request(url, {
        agent: isFresh ? false : this.#kept,
        // Whose certificate it is, is no matter here
        rejectUnauthorized: false,
        signal: AbortSignal.timeout(answerMilliseconds),
      });
      call.on("error", (error) => resolve(failed(reasonOf(error))));
      call.on("socket", (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(
          () => call.destroy(new Error("no connection")),
          connectMilliseconds,
        );
        socket.once("connect", () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
      });
      call.on("response", (response) => {
        const { statusCode = 0 } = response;
        response.resume();
        response.on("error", (error) => resolve(failed(reasonOf(error))));
        response.on("end", () =>
          resolve(
            statusCode < 400
              ? { outcome: "ok", from: served(response) }
              : failed(`status ${statusCode}`),
          ),
        );
      });
      call.end();
    });
  }
}

const reasonOf = ({ name, message, code }: Error & { code?: string }): string =>
  name === "AbortError" || name === "TimeoutError" ? "no answer in time" : (code ?? message);
