/** Output of parts that run side by side, told one part after the other. */
export class Told {
  readonly #say: (text: string) => void;
  readonly #waiting = new Map<string, { text: string; ended: boolean }>();

  /** @param say gets what is to be shown now */
  constructor(names: readonly string[], say: (text: string) => void) {
    this.#say = say;
    for (const name of names) this.#waiting.set(name, { text: "", ended: false });
  }

  /** A part's output: shown at once for the first that still runs, kept for those behind it. */
  tell(name: string, text: string): void {
    const [front] = this.#waiting.keys();
    const own = this.#waiting.get(name);
    if (name === front) this.#say(text);
    else if (own) own.text += text;
  }

  /** The part has ended: what was kept of the next one is shown. */
  end(name: string): void {
    const own = this.#waiting.get(name);
    if (own) own.ended = true;
    for (const [first, { ended }] of [...this.#waiting]) {
      if (!ended) return;
      this.#waiting.delete(first);
      const [next] = this.#waiting.values();
      if (!next) return;
      this.#say(next.text);
      next.text = "";
    }
  }
}
