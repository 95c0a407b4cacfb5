import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Health } from "../http/health.ts";

export interface DrainOptions {
  server: Server;
  health: Health;
  log: Logger;
  drainSeconds: number;
  stopGraceSeconds: number;
  /** Answers the requests that are still arriving, before the grace is over. */
  giveUp: () => void;
  /** Closes pools and timers once the last request is answered. */
  close: () => Promise<void>;
}

/** Before the end of the grace: enough for an answer and for a client to read it, milliseconds. */
const giveUpMs = 2500;

/**
 * Stops without a failed request: health says 503, the load balancer gets time to notice, then the
 * listener closes, what is under way is finished, and the pools close.
 * @returns whether everything was finished within the grace
 */
export async function drain(options: DrainOptions): Promise<boolean> {
  const { server, health, log, drainSeconds, stopGraceSeconds } = options;
  const started = Date.now();
  health.phase = "draining";
  log.info({ drainSeconds, stopGraceSeconds }, "draining");
  await sleep(Math.min(drainSeconds, stopGraceSeconds) * 1000);
  // Also closes the connections on which nothing is under way.
  const finished = new Promise<true>((resolve) => server.close(() => resolve(true)))
    .then(() => options.close())
    .then(() => true);
  const left = stopGraceSeconds * 1000 - (Date.now() - started);
  // Uploads under way have had all the time there is; an answer is better than a closed connection.
  const giveUp = setTimeout(options.giveUp, Math.max(0, left - giveUpMs));
  giveUp.unref();
  // Some of the grace is left for the process to end by itself.
  const done = await Promise.race([finished, sleep(Math.max(0, left - 250), false)]);
  clearTimeout(giveUp);
  log.info({ seconds: (Date.now() - started) / 1000, done }, done ? "stopped" : "grace is over");
  return done;
}
