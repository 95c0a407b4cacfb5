import type { Context } from "mocha";

/** Something took too long, which may be this machine's doing: the one failure that is tried again. */
export class TimeLimitMissed extends Error {}

/** @throws TimeLimitMissed */
export function inTime(ms: number, limitMs: number): void {
  if (ms >= limitMs) throw new TimeLimitMissed(`it took ${ms} ms, and may take ${limitMs}`);
}

/**
 * A test that watches a clock: where it misses a time limit, and only then, it is tried again, with
 * its hooks, twice at most. A wrong answer fails it at once, however rare it is.
 */
export function itInTime(title: string, work: (this: Context) => Promise<void>): void {
  it(title, async function () {
    this.retries(2);
    try {
      await work.call(this);
    } catch (error) {
      if (!(error instanceof TimeLimitMissed)) this.retries(0);
      throw error;
    }
  });
}
