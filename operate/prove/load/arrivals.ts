/**
 * Fixed arrivals: operations are due at a rate, however long those before take. Visitors do not wait for each other,
 * and a client that waits for a slow answer before it asks again hides how long the next one would have waited.
 */

/** Later than this, and the generator is what is slow. */
const lateMilliseconds = 200;
/** So long clients connect, and nothing is measured yet. */
const settlingMilliseconds = 2000;
/** Of a hundred arrivals at most so many may be that late. */
const latePercent = 1;

export class Arrivals {
  readonly #timer: NodeJS.Timeout;
  readonly #start = performance.now();
  #made = 0;
  #late = 0;

  /** @param perSecond how many are due each second @param arrive gets when one was due, by `performance.now` */
  constructor(perSecond: number, arrive: (due: number) => void) {
    const interval = 1000 / perSecond;
    const step = () => {
      const now = performance.now();
      for (;;) {
        const due = this.#start + this.#made * interval;
        if (due > now) return;
        this.#made += 1;
        if (now - due > lateMilliseconds && due > this.#start + settlingMilliseconds)
          this.#late += 1;
        arrive(due);
      }
    };
    this.#timer = setInterval(step, Math.min(interval, 20));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Why what was measured says nothing of the stack; nothing where the generator kept up. */
  get whyVoid(): string | undefined {
    const percent = (100 * this.#late) / Math.max(1, this.#made);
    if (percent <= latePercent) return undefined;
    return `the load generator could not keep up: ${percent.toFixed(1)} % of ${this.#made} arrivals were more than ${lateMilliseconds} ms late`;
  }
}
