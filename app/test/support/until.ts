import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer will do; the error shows the last answer. */
export async function until<T>(
  what: string,
  probe: () => Promise<T> | T,
  done: (answer: T) => boolean = Boolean,
  limitSeconds = 10,
): Promise<T> {
  const giveUp = Date.now() + limitSeconds * 1000;
  let last: unknown = "no answer";
  while (Date.now() < giveUp) {
    try {
      const answer = await probe();
      if (done(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await sleep(50);
  }
  const seen = last instanceof Error ? last.message : JSON.stringify(last);
  throw new Error(`waited ${limitSeconds} s until ${what}; last seen: ${seen}`);
}
