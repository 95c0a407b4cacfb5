import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import "./support/hooks.ts";
import { docker } from "./support/docker.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres, startPrimary, startStandby } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";
import { type Client, visitor } from "./support/visitor.ts";

const stock = 60;
const visitors = 20;

/** A booking that was answered with 201. */
interface Acknowledged {
  key: string;
  quantity: number;
  id: number;
  body: string;
  account: number;
  /** Asked for; certain once it was answered. */
  cancelled: boolean;
}

/** What all clients together were told. */
class Book {
  readonly bookings: Acknowledged[] = [];
  soldOut = 0;
  repeats = 0;
  /** Acknowledged so far, cancellations too. */
  changes = 0;
  readonly surprises: string[] = [];
}

/** Somebody at both instances, who never gives up and never loses count. */
class Customer {
  readonly #at: Client[];
  readonly #account: number;
  readonly #offer: number;
  readonly #book: Book;
  readonly #own: Acknowledged[] = [];

  constructor(at: Client[], account: number, offer: number, book: Book) {
    this.#at = at;
    this.#account = account;
    this.#offer = offer;
    this.#book = book;
  }

  /** Books, repeats and cancels until told to stop. */
  async run(running: () => boolean): Promise<void> {
    while (running()) {
      const dice = Math.random();
      const open = this.#own.filter(({ cancelled }) => !cancelled);
      if (dice < 0.35 && open[0]) await this.#cancel(open[0]);
      else if (dice < 0.5 && this.#own[0]) await this.#repeat(this.#own[0]);
      else await this.#take();
      await sleep(Math.random() * 20);
    }
  }

  async #take(): Promise<void> {
    const [key, quantity] = [randomUUID(), 1 + Math.floor(Math.random() * 3)];
    const { status, body } = await this.#post(key, quantity);
    if (status === 409) {
      this.#book.soldOut += 1;
      return;
    }
    if (status !== 201) {
      this.#book.surprises.push(`booking: ${status} ${body}`);
      return;
    }
    const { id } = JSON.parse(body) as { id: number };
    const account = this.#account;
    const booking = { key, quantity, id, body, account, cancelled: false };
    this.#own.push(booking);
    this.#book.bookings.push(booking);
    this.#book.changes += 1;
  }

  async #repeat(first: Acknowledged): Promise<void> {
    const { status, body } = await this.#post(first.key, first.quantity);
    this.#book.repeats += 1;
    if (status === 201 && body === first.body) return;
    this.#book.surprises.push(`repeat of ${first.body}: ${status} ${body}`);
  }

  async #cancel(booking: Acknowledged): Promise<void> {
    booking.cancelled = true;
    const path = `/api/bookings/${booking.id}`;
    const { status, body } = await this.#persist((client) =>
      client.send(path, { method: "DELETE" }),
    );
    this.#book.changes += 1;
    if (status !== 200) this.#book.surprises.push(`cancel: ${status} ${body}`);
  }

  #post(key: string, quantity: number): Promise<{ status: number; body: string }> {
    return this.#persist((client) =>
      client.send("/api/bookings", {
        method: "POST",
        body: JSON.stringify({ offerId: this.#offer, quantity }),
        headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      }),
    );
  }

  /** Asks one instance after the other until there is an answer that says what was done. */
  async #persist(
    send: (client: Client) => Promise<Response>,
  ): Promise<{ status: number; body: string }> {
    for (;;) {
      const client = this.#at[Math.floor(Math.random() * this.#at.length)] as Client;
      const answer = await send(client).catch(() => undefined);
      if (answer && answer.status < 500) {
        return { status: answer.status, body: await answer.text() };
      }
      const body = (await answer?.text()) ?? "";
      if (body.includes('"internal"')) this.#book.surprises.push(body);
      await sleep(100);
    }
  }
}

describe("bookings under load", function () {
  this.timeout(90_000);
  let primary: Postgres;
  let standby: Postgres;
  let name: string;
  let uploads: string;
  let writer: TestProxy;
  let reader: TestProxy;
  let instances: TestApp[];

  before(async () => {
    primary = await startPrimary();
    standby = await startStandby(primary, { synchronous: true });
    name = await createDatabase(primary);
    await migrateDatabase(name, primary);
    uploads = await uploadsDirectory();
    writer = await startProxy(primary);
    reader = await startProxy(standby);
    const ways = {
      name,
      writer: { host: "127.0.0.1", port: writer.port },
      reader: { host: "127.0.0.1", port: reader.port },
    };
    instances = await Promise.all(
      [1, 2].map((n) =>
        startApp({ ...serverConfig("storefront", ways, uploads), instance: `storefront-${n}` }),
      ),
    );
  });
  after(async () => {
    await Promise.all(instances.map((instance) => instance.close()));
    await Promise.all([writer.close(), reader.close(), rm(uploads, { recursive: true })]);
    await Promise.all([primary.remove(), standby.remove()]);
  });

  const customer = async (offer: number, book: Book) => {
    const [first, second] = instances.map(({ url }) => url) as [string, string];
    const { client, id } = await visitor(primary, name, first);
    return new Customer([client, client.at(second)], id, offer, book);
  };

  const failOver = async () => {
    await docker("kill", primary.container);
    writer.mode = "refuse";
    writer.closeAll();
    await standby.sql("ALTER SYSTEM RESET synchronous_standby_names");
    await standby.sql("SELECT pg_promote(wait => true)");
    await standby.sql("SELECT pg_reload_conf()");
    writer.target = standby;
    writer.mode = "pass";
  };

  /** Makes one change while the standby replays nothing, and lets it catch up afterwards. */
  const whileBehind = async (work: () => Promise<void>) => {
    await standby.sql("SELECT pg_wal_replay_pause()");
    try {
      await work();
    } finally {
      await standby.sql("SELECT pg_wal_replay_resume()");
    }
    const [now] = await primary.sql<{ lsn: string }>("SELECT pg_current_wal_lsn() AS lsn");
    await until(
      "the standby has caught up",
      () => standby.sql(`SELECT 1 WHERE pg_last_wal_replay_lsn() >= '${now?.lsn}'`),
      (rows) => rows.length === 1,
    );
  };

  it("A11: who books, cancels or writes a list sees it at any instance while the standby lags", async () => {
    const offer = await offerRow(primary, name, { quantity: 5 });
    const [first, second] = instances.map(({ url }) => url) as [string, string];
    const { client } = await visitor(primary, name, first);
    const see = async (path: string) => await (await client.at(second).send(path)).text();
    let trip = "";
    await whileBehind(async () => {
      const answer = await client.json("POST", "/api/bookings", { offerId: offer, quantity: 2 });
      trip = answer.headers.get("location") ?? "";
      assert.match(await see(trip), /"status":"booked"/);
      assert.match(await see(`/api/offers/${offer}`), /"quantity":3/);
    });
    let item = "";
    await whileBehind(async () => {
      const answer = await client.json("POST", `${trip}/items`, { text: "Passport" });
      item = `${trip}/items/${((await answer.json()) as { id: number }).id}`;
      assert.match(await see(`${trip}/items`), /Passport/);
    });
    await whileBehind(async () => {
      await client.json("PATCH", item, { done: true });
      assert.match(await see(`${trip}/items`), /"done":true/);
    });
    await whileBehind(async () => {
      await client.send(item, { method: "DELETE" });
      assert.equal(await see(`${trip}/items`), '{"items":[]}');
    });
    await whileBehind(async () => {
      await client.send(trip, { method: "DELETE" });
      assert.match(await see(trip), /"status":"cancelled"/);
      assert.match(await see(`/api/offers/${offer}`), /"quantity":5/);
    });
    await primary.sql("TRUNCATE offer, account CASCADE", name);
  });

  it("A7: many clients at two instances never oversell, and nothing is lost or done twice in a failover", async () => {
    const offer = await offerRow(primary, name, { quantity: stock });
    const book = new Book();
    const customers: Customer[] = [];
    for (let i = 0; i < visitors; i += 1) customers.push(await customer(offer, book));
    let running = true;
    const load = customers.map((one) => one.run(() => running));
    try {
      await until("the load runs", () => book.changes > 120 && book.soldOut > 10, Boolean, 20);
      await failOver();
      const before = book.changes;
      await until("it goes on afterwards", () => book.changes > before + 120, Boolean, 25);
    } finally {
      running = false;
      await Promise.all(load);
    }

    const rows = await standby.sql<{
      id: number;
      account_id: number;
      quantity: number;
      cancelled: boolean;
    }>(
      `SELECT id, account_id, quantity, cancelled_at IS NOT NULL AS cancelled
       FROM booking ORDER BY id`,
      name,
    );
    const expected = book.bookings
      .map(({ id, account, quantity, cancelled }) => ({
        ...{ id, account_id: account, quantity, cancelled },
      }))
      .sort((a, b) => a.id - b.id);
    assert.deepEqual(book.surprises, []);
    // Each acknowledged booking once, as it was told, and none that nobody was told about.
    assert.deepEqual(rows, expected);
    const active = rows
      .filter(({ cancelled }) => !cancelled)
      .reduce((sum, { quantity }) => sum + quantity, 0);
    const [left] = await standby.sql<{ quantity: number }>(
      `SELECT quantity FROM offer WHERE id = ${offer}`,
      name,
    );
    assert.ok(active <= stock, `${active} of ${stock} are booked`);
    assert.equal((left?.quantity ?? 0) + active, stock);
    assert.ok(book.repeats > 20, JSON.stringify({ ...book, bookings: [] }));
  });
});
