/**
 * Visitors who book one offer and now and then cancel, while something is broken. They insist: what
 * got no answer is sent again under its key. Bounded in rate and time; they stop by themselves.
 */
import { randomUUID } from "node:crypto";
import { type Door, pause, request, type Seen, type Site, Watch } from "./traffic.ts";
import { type Booked, Refused, Visitor } from "./visitor.ts";

const pauseMilliseconds = 100;
const longestSeconds = 600;

/** An offer to book, as the administrators add it. */
export async function addOffer(
  site: Site,
  quantity: number,
): Promise<{ id: number; name: string }> {
  const name = `Tested ${randomUUID()}`;
  const day = new Date(Date.now() + 30 * 24 * 3600 * 1000).toISOString().slice(0, 10);
  const dates = { startsOn: day, endsOn: day };
  const body = JSON.stringify({
    ...{ kind: "bus", name, origin: "Here", place: "Testville", priceCents: 1250, quantity },
    ...dates,
  });
  const answer = await request(`${site.url}api/offers`, {
    method: "POST",
    headers: {
      Authorization: await site.authorization(),
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      "Idempotency-Key": randomUUID(),
    },
    body,
    limitMilliseconds: 40_000,
    agent: false,
    ca: site.ca,
  });
  if (answer.status !== 201) throw new Refused(answer);
  return JSON.parse(answer.body);
}

/** What one of them was told. */
interface Told {
  readonly visitor: Visitor;
  /** Booking to what it must be now; `undefined` where a cancelling got no answer. */
  readonly bookings: Map<Booked, "booked" | "cancelled" | undefined>;
}

export class Bookers {
  readonly #offer: number;
  readonly #told: readonly Told[];
  readonly #watch = new Watch();
  readonly #end = Date.now() + longestSeconds * 1000;
  #running = true;
  #clients: Promise<void>[] = [];

  private constructor(offer: number, visitors: readonly Visitor[]) {
    this.#offer = offer;
    this.#told = visitors.map((visitor) => ({ visitor, bookings: new Map() }));
  }

  /** Registers them. @param doors addresses of the site; they are shared out */
  static async register(doors: readonly Door[], offer: number, count: number): Promise<Bookers> {
    const visitors = Array.from({ length: count }, (_, index) => {
      return new Visitor(doors[index % doors.length] ?? { url: "" });
    });
    for (const visitor of visitors) await visitor.register();
    return new Bookers(offer, visitors);
  }

  /** They begin: one or two places at a time, and each fifth booking is cancelled again. */
  start(): void {
    this.#clients = this.#told.map(async (told) => {
      for (let turn = 0; this.#goesOn; turn += 1) {
        const booked = await this.#book(told, 1 + (turn % 2));
        if (booked && turn % 5 === 4) await this.#cancel(told, booked);
        await pause(pauseMilliseconds);
      }
    });
  }

  async stop(): Promise<Seen> {
    this.#running = false;
    await Promise.all(this.#clients);
    return this.#watch.seen;
  }

  /** All of them at once take what is left, this many at a time, until it is too little for that. */
  async buyOut(quantity: number): Promise<void> {
    this.#running = true;
    await Promise.all(
      this.#told.map(async (told) => {
        while (await this.#book(told, quantity));
      }),
    );
  }

  get acknowledged(): number {
    return this.#told.reduce((sum, { bookings }) => sum + bookings.size, 0);
  }

  /** Bookings that were acknowledged and are not there, or there twice, or in another state. */
  async missing(): Promise<string[]> {
    const problems: string[] = [];
    for (const { visitor, bookings } of this.#told) {
      const stored = await visitor.bookings();
      for (const [{ id, quantity }, state] of bookings) {
        const found = stored.filter((one) => one.id === id);
        const seen = found.map((one) => `${one.quantity} ${state && one.status}`).join();
        const expected = `${quantity} ${state}`;
        if (seen !== expected) problems.push(`booking ${id}: [${seen}] instead of [${expected}]`);
      }
    }
    return problems;
  }

  get #goesOn(): boolean {
    return this.#running && Date.now() < this.#end;
  }

  /** @returns nothing once too few are left */
  async #book({ visitor, bookings }: Told, quantity: number): Promise<Booked | undefined> {
    const key = randomUUID();
    const one = await this.#insist(() => visitor.book(this.#offer, quantity, key));
    if (one) bookings.set(one, "booked");
    return one;
  }

  async #cancel({ visitor, bookings }: Told, booking: Booked): Promise<void> {
    bookings.set(booking, undefined);
    const done = await this.#insist(() => visitor.cancel(booking));
    if (done) bookings.set(booking, "cancelled");
  }

  async #insist<T>(act: () => Promise<T>): Promise<T | undefined> {
    while (this.#goesOn) {
      try {
        const value = await act();
        this.#watch.success();
        return value;
      } catch (error) {
        if (error instanceof Refused && error.code === "sold-out") return undefined;
        this.#watch.failure(error);
        await pause(pauseMilliseconds);
      }
    }
    return undefined;
  }
}
