/** Writes down what clients do. */
import type { Kind, Operation, Outcome } from "../history.ts";

/** What an operation is about to do. */
export type About = Pick<Operation, "key" | "value" | "expected">;

/** How it ended, besides its times. */
export interface Ended {
  readonly outcome: Outcome;
  /** What was read. @default what it was about */
  readonly value?: string;
  readonly tries?: number;
  readonly written?: number;
  readonly from?: string;
  readonly why?: string;
}

export class Recorder {
  readonly operations: Operation[] = [];
  readonly #start = performance.now();

  /** Milliseconds since it was made. */
  now(): number {
    return performance.now() - this.#start;
  }

  /** @param due by `performance.now` */
  async record(
    kind: Kind,
    client: string,
    due: number,
    about: About,
    act: () => Promise<Ended>,
  ): Promise<Operation> {
    const began = this.now();
    const ended = await act().catch(
      (error: Error): Ended => ({ outcome: "unknown", why: error.message }),
    );
    const operation = {
      kind,
      client,
      due: due - this.#start,
      began,
      ended: this.now(),
      ...about,
      ...ended,
    };
    this.operations.push(operation);
    return operation;
  }
}
