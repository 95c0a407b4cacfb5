import { setTimeout as sleep } from "node:timers/promises";

export interface Wait<T> {
  /** Looks once. An exception counts as "not yet", and its message as the answer. */
  readonly probe: () => Promise<T>;
  readonly done: (answer: T) => boolean;
  readonly limitSeconds: number;
  /** @default 0.3 */
  readonly everySeconds?: number;
  /** What to add to the error of a time-out, such as the last lines of a log. */
  readonly hint?: () => string;
}

/**
 * Waits until something is so.
 * @param what completes "gave up waiting until …"
 * @throws after the limit, with the last answer seen.
 */
export async function until<T>(what: string, wait: Wait<T>): Promise<T> {
  const end = performance.now() + wait.limitSeconds * 1000;
  let last = "nothing";
  while (performance.now() < end) {
    try {
      const answer = await wait.probe();
      if (wait.done(answer)) return answer;
      last = typeof answer === "string" ? answer : JSON.stringify(answer);
    } catch (error) {
      last = (error as Error).message;
    }
    await sleep((wait.everySeconds ?? 0.3) * 1000);
  }
  const hint = wait.hint?.() ?? "";
  throw new Error(
    `gave up waiting until ${what}, after ${wait.limitSeconds} s; last answer: ${last}` +
      (hint === "" ? "" : `\n${hint}`),
  );
}
