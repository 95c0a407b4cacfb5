/** Looks for all pages together: one at a time, again and again while anybody watches. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Picture } from "../picture.ts";

/** From the end of one look to the start of the next. */
const pauseSeconds = 1;

/** What pages are told: how it is, or why that could not be told. */
export type News = { readonly picture: Picture } | { readonly error: string };

export class Looks {
  readonly #look: () => Promise<Picture>;
  readonly #watchers = new Set<(news: News) => void>();
  #last: News | undefined;
  #looking = false;

  constructor(look: () => Promise<Picture>) {
    this.#look = look;
  }

  /**
   * @param tell gets what was seen last, if anything, and then each look
   * @returns what ends it
   */
  watch(tell: (news: News) => void): () => void {
    this.#watchers.add(tell);
    if (this.#last) tell(this.#last);
    this.#goOn();
    return () => this.#watchers.delete(tell);
  }

  async #goOn(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    while (this.#watchers.size > 0) {
      this.#last = await this.#look().then(
        (picture) => ({ picture }),
        (error: Error) => ({ error: error.message }),
      );
      for (const tell of this.#watchers) tell(this.#last);
      await sleep(pauseSeconds * 1000);
    }
    this.#looking = false;
    // What nobody watched is too old for the next one
    this.#last = undefined;
  }
}
