/** Clients of the database of `prove`: registers, rows under keys, purchases, visitors. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { stocks } from "../database.ts";
import type { Kind } from "../history.ts";
import { type Client, patienceMilliseconds } from "./crew.ts";
import { Link, Refused, Unanswered, type Ways } from "./link.ts";
import type { About, Ended, Recorder } from "./recorder.ts";

/** Few, so that many operations meet at each; new ones from time to time, so that none has too many. */
const registers = 4;
const registerSeconds = 20;

const registerNow = (recorder: Recorder): string => {
  const part = Math.floor(recorder.now() / 1000 / registerSeconds);
  return `register ${part * registers + Math.floor(Math.random() * registers)}`;
};

/** Between two tries, at most. */
const pauseMilliseconds = 300;

/** How one try ended. */
type Tried = Pick<Ended, "value" | "outcome" | "from">;

/**
 * Tries until it is acknowledged, for as long as a visitor would wait.
 * @param isSafeAgain whether it may be tried again where nobody can tell whether it was done
 */
async function patiently(
  due: number,
  isSafeAgain: boolean,
  once: () => Promise<Tried>,
): Promise<Ended> {
  let outcome: Ended["outcome"] = "refused";
  for (let tries = 1, pause = 25; ; tries += 1, pause = Math.min(2 * pause, pauseMilliseconds)) {
    try {
      return { ...(await once()), tries };
    } catch (error) {
      const why = (error as Error).message;
      if (!(error instanceof Refused) && !(error instanceof Unanswered)) throw error;
      if (error instanceof Unanswered) outcome = "unknown";
      const isOver = performance.now() + pause > due + patienceMilliseconds;
      if (isOver || (outcome === "unknown" && !isSafeAgain)) return { outcome, tries, why };
    }
    await sleep(pause * (0.5 + Math.random()));
  }
}

abstract class DatabaseClient implements Client {
  readonly name: string;
  protected readonly recorder: Recorder;
  protected readonly link: Link;

  constructor(name: string, recorder: Recorder, ways: Ways, to: "primary" | "standby" = "primary") {
    this.name = name;
    this.recorder = recorder;
    this.link = new Link(ways, to);
  }

  abstract serve(due: number): Promise<void>;

  end(): Promise<void> {
    return this.link.end();
  }

  protected async note(kind: Kind, due: number, about: About, act: () => Promise<Ended>) {
    await this.recorder.record(kind, this.name, due, about, async () => {
      const ended = await act();
      return { from: this.link.member, ...ended };
    });
  }
}

/** Reads registers at the primary. */
export class Reader extends DatabaseClient {
  async serve(due: number): Promise<void> {
    const key = registerNow(this.recorder);
    await this.note("read", due, { key }, () => patiently(due, true, () => read(this.link, key)));
  }
}

/** Reads registers where the load balancers have the standby, and at the primary where nobody answers there, in turns. */
export class StandbyReader extends DatabaseClient {
  readonly #primary: Link;

  constructor(name: string, recorder: Recorder, ways: Ways) {
    super(name, recorder, ways, "standby");
    this.#primary = new Link(ways, "primary");
  }

  async serve(due: number): Promise<void> {
    const key = registerNow(this.recorder);
    let link = this.#primary;
    const act = async () => {
      const found = await patiently(due, true, () => {
        link = link === this.link ? this.#primary : this.link;
        return read(link, key);
      });
      return { ...found, from: link.member };
    };
    await this.note("standby read", due, { key }, act);
  }

  override async end(): Promise<void> {
    await Promise.all([super.end(), this.#primary.end()]);
  }
}

async function read(link: Link, key: string): Promise<Tried> {
  const rows = await link.read<{ value: string }>("SELECT value FROM register WHERE key = $1", [
    key,
  ]);
  const value = rows[0]?.value;
  return { outcome: "ok", ...(value !== undefined && { value }) };
}

/** Writes registers, every other time only where one has the value that was seen last. */
export class Writer extends DatabaseClient {
  readonly #seen = new Map<string, string>();

  async serve(due: number): Promise<void> {
    const key = registerNow(this.recorder);
    const value = randomUUID().slice(0, 13);
    const seen = this.#seen.get(key);
    const expected = Math.random() < 0.5 ? seen : undefined;
    const about = { key, value, ...(expected !== undefined && { expected }) };
    await this.note("write", due, about, () =>
      patiently(due, false, () => this.#write(key, value, expected)),
    );
  }

  async #write(key: string, value: string, expected: string | undefined): Promise<Tried> {
    const [text, values] =
      expected === undefined
        ? [
            "INSERT INTO register VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2 RETURNING 1",
            [key, value],
          ]
        : [
            "UPDATE register SET value = $2 WHERE key = $1 AND value = $3 RETURNING 1",
            [key, value, expected],
          ];
    const rows = await this.link.write(text as string, values as string[]);
    this.#seen.delete(key);
    if (rows.length === 0) return { outcome: "refused" };
    this.#seen.set(key, value);
    return { outcome: "ok" };
  }
}

/** Writes rows, each under a key by which another try finds what an earlier one has done. */
export class Enterer extends DatabaseClient {
  async serve(due: number): Promise<void> {
    const key = randomUUID();
    const value = `${this.name} ${key.slice(0, 8)}`;
    const text = "INSERT INTO entry VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    await this.note("entry", due, { key, value }, () =>
      patiently(due, true, async () => {
        await this.link.write(text, [key, value]);
        return { outcome: "ok" };
      }),
    );
  }
}

const buy = `WITH bought AS (
  INSERT INTO purchase VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING RETURNING places
) UPDATE stock SET places = stock.places - bought.places FROM bought WHERE name = $2`;

/** Takes places of a stock: two rows that change together. */
export class Buyer extends DatabaseClient {
  async serve(due: number): Promise<void> {
    const key = randomUUID();
    const stock = stocks[Math.floor(Math.random() * stocks.length)] ?? stocks[0];
    const places = 1 + Math.floor(Math.random() * 4);
    await this.note("purchase", due, { key, value: `${stock}/${places}` }, () =>
      patiently(due, true, async () => {
        await this.link.write(buy, [key, stock, places]);
        return { outcome: "ok" };
      }),
    );
  }
}

/** How long a visitor's read waits for the standby, before it asks the primary: as the application that is shipped. */
const catchUpMilliseconds = 200;

/** A visitor writes, and then reads where the standby is: its own write, and nothing from before. */
export class Visitor extends DatabaseClient {
  readonly #standby: Link;
  #counter = 0;

  constructor(name: string, recorder: Recorder, ways: Ways) {
    super(name, recorder, ways);
    this.#standby = new Link(ways, "standby");
  }

  async serve(due: number): Promise<void> {
    this.#counter += 1;
    const wanted = this.#counter;
    let written: number | undefined;
    const once = async (): Promise<Tried> => {
      const position = await this.#write(wanted);
      written ??= this.recorder.now();
      const { counter, from } = await this.#read(position);
      return { outcome: "ok", value: `${wanted}/${counter}`, from };
    };
    await this.note("visit", due, { key: this.name, value: `${wanted}/` }, async () => ({
      ...(await patiently(due, true, once)),
      ...(written !== undefined && { written }),
    }));
  }

  async #write(counter: number): Promise<string> {
    await this.link.write(
      `INSERT INTO visitor VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET counter = greatest(visitor.counter, $2)`,
      [this.name, counter],
    );
    const [row] = await this.link.read<{ position: string }>(
      "SELECT pg_current_wal_insert_lsn()::text AS position",
    );
    return row?.position ?? "";
  }

  async #read(position: string): Promise<{ counter: number; from: string }> {
    const end = performance.now() + catchUpMilliseconds;
    const text = "SELECT counter FROM visitor WHERE name = $1";
    while (performance.now() < end) {
      const rows = await this.#standby
        .readAfter<{ counter: number }>(position, text, [this.name])
        .catch(() => undefined);
      if (rows) return { counter: rows[0]?.counter ?? 0, from: this.#standby.member };
      await sleep(20);
    }
    const [row] = await this.link.read<{ counter: number }>(text, [this.name]);
    return { counter: row?.counter ?? 0, from: this.link.member };
  }

  override async end(): Promise<void> {
    await Promise.all([super.end(), this.#standby.end()]);
  }
}
