/** Clients of one kind, each with one operation at a time; what is due while all are busy waits for the first that is free. */

/** What is due so long ago is given up, as a visitor would. */
export const patienceMilliseconds = 30_000;

/** One that does what is due, one after the other. */
export interface Client {
  readonly name: string;
  /** @param due by `performance.now` */
  serve(due: number): Promise<void>;
  end(): Promise<void>;
}

export class Crew {
  readonly #clients: readonly Client[];
  readonly #giveUp: (due: number) => void;
  readonly #idle: Client[];
  readonly #due: number[] = [];
  readonly #busy = new Set<Promise<void>>();

  /** @param giveUp gets what was due for so long that nobody waits for it any more */
  constructor(clients: readonly Client[], giveUp: (due: number) => void) {
    this.#clients = clients;
    this.#giveUp = giveUp;
    this.#idle = [...clients];
  }

  arrive(due: number): void {
    this.#due.push(due);
    this.#go();
  }

  /** Once all that is due is done, or given up. @param now gives up what has not begun @default false */
  async end({ now = false } = {}): Promise<void> {
    if (now) this.#due.length = 0;
    while (this.#busy.size > 0) await Promise.all(this.#busy);
    await Promise.all(this.#clients.map((client) => client.end()));
  }

  #go(): void {
    const oldest = performance.now() - patienceMilliseconds;
    while ((this.#due[0] ?? oldest) < oldest) this.#giveUp(this.#due.shift() ?? 0);
    const client = this.#due.length > 0 ? this.#idle.shift() : undefined;
    if (client === undefined) return;
    const due = this.#due.shift() ?? 0;
    const served = client.serve(due).finally(() => {
      this.#busy.delete(served);
      this.#idle.push(client);
      this.#go();
    });
    this.#busy.add(served);
  }
}
