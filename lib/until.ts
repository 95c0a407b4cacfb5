/** Waiting, written once: a probe, a predicate, and a limit. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Wait<T> {
  /** One look; it may throw, which counts as an answer that is not the one awaited. */
  readonly probe: () => Promise<T> | T;
  readonly done: (answer: T) => boolean;
  readonly limitSeconds: number;
  /** The answer as it stands in an error. @default as JSON */
  readonly describe?: (answer: T) => string;
  /** Time between two looks. @default 0.25 */
  readonly intervalSeconds?: number;
  /** Looked at after each answer; a text ends the waiting at once with this reason. */
  readonly hopeless?: () => Promise<string | undefined> | string | undefined;
  /** Ends the waiting, with its own reason. @default nothing does */
  readonly signal?: AbortSignal;
  /** What to add to the error of a time-out, such as the last lines of a log. */
  readonly hint?: () => string;
}

/**
 * Polls until the answer is the one awaited.
 * @returns that answer
 * @throws Error that names what was awaited, the limit and the last answer seen
 */
export async function until<T>(what: string, wait: Wait<T>): Promise<T> {
  const end = Date.now() + wait.limitSeconds * 1000;
  let last = "nothing yet";
  for (;;) {
    wait.signal?.throwIfAborted();
    try {
      const answer = await wait.probe();
      if (wait.done(answer)) return answer;
      last = wait.describe?.(answer) ?? JSON.stringify(answer);
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    const reason = await wait.hopeless?.();
    if (reason) throw new Error(`${what}: ${reason}; last answer: ${last}`);
    if (Date.now() >= end) {
      const hint = wait.hint === undefined ? "" : `\n${wait.hint()}`;
      throw new Error(`${what}: not within ${wait.limitSeconds} s; last answer: ${last}${hint}`);
    }
    const interval = (wait.intervalSeconds ?? 0.25) * 1000;
    // An end is told above, by its reason
    await sleep(interval, undefined, wait.signal && { signal: wait.signal }).catch(() => {});
  }
}
