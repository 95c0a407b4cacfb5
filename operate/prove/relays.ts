/** The relays of a run: several ways in, from machines that no fault is about to take away. */
import type { OperatedStack } from "../stack.ts";
import { Relay } from "./relay.ts";

export class Relays {
  readonly #all: Relay[] = [];
  #spared: readonly string[] = [];
  #turn = 0;

  /**
   * One on each machine of the application.
   * @param user who they are @default root
   * @throws where there is none
   */
  static async start(stack: OperatedStack, user?: string): Promise<Relays> {
    const members = Object.values(stack.topology.tiers).flat();
    const machines = [...new Set(members.map(({ machine }) => machine))];
    const relays = new Relays();
    relays.#all.push(...(await Promise.all(machines.map((one) => Relay.start(stack, one, user)))));
    if (relays.#all.length === 0) throw new Error("the application has no machine to come from");
    return relays;
  }

  /** From now on none of these machines is used. */
  spare(machines: readonly string[]): void {
    this.#spared = machines;
  }

  get there(): readonly Relay[] {
    return this.#all.filter((one) => !one.isLost && !this.#spared.includes(one.machine));
  }

  /** The next one. @throws where none is there */
  next(): Relay {
    const { there } = this;
    this.#turn += 1;
    const relay = there[this.#turn % there.length];
    if (relay === undefined) throw new Error("no machine of the application can be reached");
    return relay;
  }

  end(): void {
    for (const one of this.#all) one.end();
  }
}
