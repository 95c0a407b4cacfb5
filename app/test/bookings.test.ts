import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import pg from "pg";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { newOffer, offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";
import { Client, visitor } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

describe("bookings", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let proxy: TestProxy;
  let app: TestApp;
  let ada: Client;
  let adaId: number;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    uploads = await uploadsDirectory();
    proxy = await startProxy(postgres);
    const writer = { host: "127.0.0.1", port: proxy.port };
    app = await startApp(serverConfig("storefront", { name: database, writer }, uploads));
  });
  after(async () => {
    await app.close();
    await proxy.close();
    await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    Object.assign(proxy, { mode: "pass", cutAfter: undefined, cutSince: undefined });
    await postgres.sql("TRUNCATE offer, booking, account CASCADE", database);
    ({ client: ada, id: adaId } = await visitor(postgres, database, app.url));
  });

  const offer = (change: Parameters<typeof offerRow>[2] = {}) =>
    offerRow(postgres, database, change);
  const left = async (id: number) =>
    (await postgres.sql<Json>(`SELECT quantity FROM offer WHERE id = ${id}`, database))[0].quantity;
  const active = async (id: number) =>
    (
      await postgres.sql<Json>(
        `SELECT coalesce(sum(quantity), 0)::int AS n FROM booking
         WHERE offer_id = ${id} AND cancelled_at IS NULL`,
        database,
      )
    )[0].n;
  const book = (client: Client, offerId: unknown, quantity: unknown, key?: string) =>
    client.send("/api/bookings", {
      method: "POST",
      body: JSON.stringify({ offerId, quantity }),
      headers: { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) },
    });
  const booked = async (client: Client, offerId: number, quantity = 1): Promise<Json> => {
    const answer = await book(client, offerId, quantity);
    assert.equal(answer.status, 201, await answer.clone().text());
    return await answer.json();
  };
  const refused = async (answer: Response, status: number, error: string) => {
    const body = (await answer.json()) as Json;
    assert.deepEqual([answer.status, body.error], [status, error]);
    return body.message as string;
  };

  describe("A7: booking", () => {
    it("A7: takes places, and is found again with its offer, price and total", async () => {
      const id = await offer({ quantity: 5, priceCents: 12_050 });
      const answer = await book(ada, id, 2);
      const booking = (await answer.json()) as Json;
      assert.equal(answer.status, 201);
      assert.equal(answer.headers.get("location"), `/api/bookings/${booking.id}`);
      const { quantity, priceCents, total, status } = booking;
      assert.deepEqual(
        { quantity, priceCents, total, status },
        { quantity: 2, priceCents: 12_050, total: 24_100, status: "booked" },
      );
      assert.equal(booking.offer.id, id);
      assert.equal(booking.offer.quantity, 3);
      assert.deepEqual(await (await ada.send(`/api/bookings/${booking.id}`)).json(), booking);
      const list = (await (await ada.send("/api/bookings")).json()) as Json;
      assert.deepEqual(list, { items: [booking], next: null });
      assert.equal(await left(id), 3);
    });

    it("A7: the price stays the one of the day it was booked", async () => {
      const id = await offer({ priceCents: 100 });
      const booking = await booked(ada, id, 2);
      await postgres.sql("UPDATE offer SET price_cents = 999", database);
      const later = (await (await ada.send(`/api/bookings/${booking.id}`)).json()) as Json;
      assert.deepEqual([later.priceCents, later.total], [100, 200]);
    });

    it("A7: takes the last one; the next is told that none is left, and nothing goes below zero", async () => {
      const id = await offer({ quantity: 3 });
      assert.match(await refused(await book(ada, id, 4), 409, "sold-out"), /Only 3 left/);
      await booked(ada, id, 3);
      assert.match(await refused(await book(ada, id, 1), 409, "sold-out"), /none is left/);
      assert.deepEqual([await left(id), await active(id)], [0, 3]);
    });

    it("A7: thirty who want ten places at once: ten get one", async () => {
      const id = await offer({ quantity: 10 });
      const answers = await Promise.all(Array.from({ length: 30 }, () => book(ada, id, 1)));
      const statuses = answers.map(({ status }) => status);
      assert.equal(statuses.filter((status) => status === 201).length, 10);
      assert.equal(statuses.filter((status) => status === 409).length, 20);
      assert.deepEqual([await left(id), await active(id)], [0, 10]);
    });

    it("A7: what has started cannot be booked; what starts today can", async () => {
      await refused(await book(ada, await offer({ startsInDays: -1 }), 1), 410, "offer-started");
      await booked(ada, await offer({ startsInDays: 0 }));
    });

    it("A7: an offer that there is not is 404", async () => {
      await refused(await book(ada, 2_147_483_647, 1), 404, "not-found");
    });

    const wrong: [unknown, unknown, string][] = [
      [undefined, 1, "offer-id-invalid"],
      ["1", 1, "offer-id-invalid"],
      [0, 1, "offer-id-invalid"],
      [1.5, 1, "offer-id-invalid"],
      [2_147_483_648, 1, "offer-id-invalid"],
      [[1], 1, "offer-id-invalid"],
      [1, undefined, "quantity-invalid"],
      [1, "1", "quantity-invalid"],
      [1, 0, "quantity-invalid"],
      [1, -1, "quantity-invalid"],
      [1, 0.5, "quantity-invalid"],
      [1, 101, "quantity-invalid"],
      [1, 1e30, "quantity-invalid"],
      [1, [1], "quantity-invalid"],
      [1, null, "quantity-invalid"],
    ];
    for (const [offerId, quantity, error] of wrong) {
      it(`A7: refuses offer ${JSON.stringify(offerId)}, quantity ${JSON.stringify(quantity)} with 422`, async () => {
        await refused(await book(ada, offerId, quantity), 422, error);
      });
    }

    it("A7: who is not logged in gets 401 from the API", async () => {
      const nobody = new Client(app.url);
      await refused(await book(nobody, await offer(), 1), 401, "login-needed");
      await refused(await nobody.send("/api/bookings"), 401, "login-needed");
      await refused(await nobody.send("/api/bookings/1"), 401, "login-needed");
      await refused(
        await nobody.send("/api/bookings/1", { method: "DELETE" }),
        401,
        "login-needed",
      );
    });

    it("A7: an account that is being deleted books nothing, and neither waits for the other", async () => {
      const id = await offer();
      await booked(ada, id, 2);
      // Deleted, and not committed: the booking waits for the outcome.
      const { port } = postgres;
      const deleting = new pg.Client({ host: "127.0.0.1", port, database, user: "postgres" });
      await deleting.connect();
      await deleting.query("BEGIN");
      await deleting.query("SET deadlock_timeout = '10ms'");
      await deleting.query(`SELECT FROM account WHERE id = ${adaId} FOR UPDATE`);
      const answer = book(ada, id, 1);
      await until(
        "the booking waits for the account",
        () => postgres.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
        (rows) => rows.length > 0,
      );
      // Giving back needs the offer, which must not be held by who waits.
      await deleting.query(`DELETE FROM account WHERE id = ${adaId}`);
      await deleting.query("COMMIT");
      await deleting.end();
      await refused(await answer, 401, "login-needed");
      assert.deepEqual([await left(id), await active(id)], [5, 0]);
    });
  });

  describe("A11: idempotency of bookings", () => {
    it("A11: ten at once with one key take one place, and get one answer", async () => {
      const id = await offer();
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => book(ada, id, 1, "key-1")),
      );
      const bodies = await Promise.all(answers.map((answer) => answer.text()));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
      assert.equal(new Set(bodies).size, 1);
      assert.deepEqual([await left(id), await active(id)], [4, 1]);
    });

    it("A11: a repeat gets the first answer even when it is sold out by now", async () => {
      const id = await offer({ quantity: 1 });
      const first = await (await book(ada, id, 1, "key-2")).text();
      const again = await book(ada, id, 1, "key-2");
      assert.deepEqual([again.status, await again.text()], [201, first]);
    });

    it("A11: the same key with another wish is refused; somebody else's key is their own", async () => {
      const id = await offer();
      await book(ada, id, 1, "key-3");
      await refused(await book(ada, id, 2, "key-3"), 422, "idempotency-key-reused");
      const { client: bob } = await visitor(postgres, database, app.url);
      assert.equal((await book(bob, id, 2, "key-3")).status, 201);
    });

    it("A11: a refusal does not use the key up", async () => {
      const id = await offer({ quantity: 0 });
      await refused(await book(ada, id, 1, "key-4"), 409, "sold-out");
      await postgres.sql(`UPDATE offer SET quantity = 1 WHERE id = ${id}`, database);
      assert.equal((await book(ada, id, 1, "key-4")).status, 201);
    });

    it("A11: a commit without an answer: told as unknown without a key, found again with one", async () => {
      const id = await offer();
      const cut = async (key?: string) => {
        const before = proxy.cuts;
        Object.assign(proxy, { cutSince: "SELECT book(", cutAfter: "COMMIT" });
        until("the commit is cut", () => proxy.cuts > before).then(() => {
          proxy.cutAfter = undefined;
        });
        return await book(ada, id, 1, key);
      };
      await refused(await cut(), 500, "outcome-unknown");
      assert.equal(await left(id), 4);
      assert.equal((await cut("key-5")).status, 201);
      assert.deepEqual([await left(id), await active(id)], [3, 2]);
    });
  });

  describe("A7: cancelling", () => {
    it("A7: gives back once, however often it is asked for", async () => {
      const id = await offer({ quantity: 5 });
      const { id: booking } = await booked(ada, id, 3);
      const cancel = () => ada.send(`/api/bookings/${booking}`, { method: "DELETE" });
      const answers = await Promise.all([cancel(), cancel(), cancel(), cancel()]);
      for (const answer of answers) {
        const body = (await answer.json()) as Json;
        assert.deepEqual([answer.status, body.status], [200, "cancelled"]);
      }
      assert.deepEqual([await left(id), await active(id)], [5, 0]);
    });

    it("A7: not what is somebody else's, nor what has started", async () => {
      const id = await offer();
      const { id: booking } = await booked(ada, id, 1);
      const { client: bob } = await visitor(postgres, database, app.url);
      const path = `/api/bookings/${booking}`;
      await refused(await bob.send(path), 404, "not-found");
      await refused(await bob.send(path, { method: "DELETE" }), 404, "not-found");
      await postgres.sql("UPDATE offer SET starts_on = current_date - 1", database);
      await refused(await ada.send(path, { method: "DELETE" }), 410, "trip-started");
      assert.deepEqual([await left(id), await active(id)], [4, 1]);
    });

    it("A7: an account that is deleted gives back what has not started, and only that", async () => {
      const [coming, past, cancelled] = [await offer(), await offer(), await offer()];
      await booked(ada, coming, 2);
      await booked(ada, past, 2);
      const { id } = await booked(ada, cancelled, 2);
      await ada.send(`/api/bookings/${id}`, { method: "DELETE" });
      await postgres.sql(
        `UPDATE offer SET starts_on = current_date - 1 WHERE id = ${past}`,
        database,
      );
      await postgres.sql(`DELETE FROM account WHERE id = ${adaId}`, database);
      assert.deepEqual([await left(coming), await left(past), await left(cancelled)], [5, 3, 5]);
    });

    for (const id of ["0", "-1", "x", "2147483648", "1e1"]) {
      it(`A7: answers 404 to the booking ${id}`, async () => {
        assert.equal((await ada.send(`/api/bookings/${id}`)).status, 404);
        assert.equal((await ada.send(`/api/bookings/${id}`, { method: "DELETE" })).status, 404);
        assert.equal((await ada.page(`/bookings/${id}`)).status, 404);
      });
    }
  });

  describe("A7: pages", () => {
    const key = (text: string) => /name="idempotencyKey" value="([^"]+)"/.exec(text)?.[1] ?? "";

    it("A7: from the offer to the trip by one form; sent twice it books once", async () => {
      const id = await offer();
      const { text } = await ada.page(`/offers/${id}`);
      const fields = { offerId: String(id), quantity: "2", idempotencyKey: key(text) };
      const answers = await Promise.all([
        ada.form("/bookings", fields),
        ada.form("/bookings", fields),
      ]);
      const places = answers.map((answer) => answer.headers.get("location"));
      assert.deepEqual([answers[0]?.status, answers[1]?.status], [303, 303]);
      assert.match(places[0] ?? "", /^\/bookings\/\d+$/);
      assert.equal(places[0], places[1]);
      assert.equal(await left(id), 3);
      const trip = await ada.page(places[0] ?? "");
      assert.match(trip.text, /It is booked/);
      assert.match(trip.text, /€2\.00/);
      assert.match(trip.answer.headers.get("cache-control") ?? "", /private/);
      assert.ok((await ada.page("/bookings")).text.includes(`href="${places[0]}"`));
    });

    it("A7: who is not logged in goes to the login, and from there back to the offer", async () => {
      const id = await offer();
      const nobody = new Client(app.url);
      const answer = await nobody.form("/bookings", { offerId: String(id), quantity: "1" });
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get("location"), `/login?next=%2Foffers%2F${id}%3Fquantity%3D1`);
      const list = await nobody.page("/bookings");
      assert.equal(list.answer.headers.get("location"), "/login?next=%2Fbookings");
    });

    it("A7: what cannot be is told at the field, with what was typed and a new key", async () => {
      const id = await offer({ quantity: 3 });
      const fields = { offerId: String(id), idempotencyKey: "form-1" };
      const tooMany = await ada.form("/bookings", { ...fields, quantity: "4" });
      const text = await tooMany.text();
      assert.equal(tooMany.status, 409);
      assert.match(text, /id="quantity-error">Only 3 left/);
      assert.match(text, /<input(?=[^>]*name="quantity")(?=[^>]*value="4")[^>]*aria-invalid/);
      assert.notEqual(key(text), "form-1");
      const broken = await ada.form("/bookings", { ...fields, quantity: "two" });
      assert.equal(broken.status, 422);
      assert.match(await broken.text(), /id="quantity-error">The quantity is not a plain number/);
      assert.equal((await ada.form("/bookings", { offerId: "x", quantity: "1" })).status, 404);
    });

    it("A7: after trouble of ours the form keeps its key, so that a second click repeats the first", async () => {
      const id = await offer();
      const before = proxy.cuts;
      const fields = { offerId: String(id), quantity: "1", idempotencyKey: "form-2" };
      Object.assign(proxy, { cutSince: "SELECT book(", cutAfter: "COMMIT" });
      until("the commit is cut", () => proxy.cuts > before).then(() => {
        Object.assign(proxy, { mode: "refuse", cutAfter: undefined });
      });
      const short = await startApp(
        serverConfig(
          "storefront",
          {
            name: database,
            writer: { host: "127.0.0.1", port: proxy.port },
            reader: postgres,
          },
          uploads,
        ),
        { writeMs: 500 },
      );
      const answer = await ada.at(short.url).form("/bookings", fields);
      assert.ok(answer.status >= 500);
      assert.equal(key(await answer.text()), "form-2");
      proxy.mode = "pass";
      assert.equal((await ada.form("/bookings", fields)).status, 303);
      assert.equal(await left(id), 4);
      await short.close();
    });

    it("A7: cancels by form after a question, and says so", async () => {
      const { id } = await booked(ada, await offer());
      assert.match((await ada.page(`/bookings/${id}`)).text, /<summary>Cancel this booking/);
      const answer = await ada.form(`/bookings/${id}/cancel`, {});
      assert.equal(answer.headers.get("location"), `/bookings/${id}`);
      const { text } = await ada.page(`/bookings/${id}`);
      assert.match(text, /The booking was cancelled/);
      assert.ok(!text.includes("<summary>"));
      assert.match((await ada.page("/bookings")).text, /Cancelled/);
    });

    it("A7: the list is empty at first, shows only one's own, newest first, page by page", async () => {
      assert.match((await ada.page("/bookings")).text, /Nothing booked yet/);
      const { client: bob } = await visitor(postgres, database, app.url);
      const id = await offer({ quantity: 50 });
      await booked(bob, id);
      const ids: number[] = [];
      for (let i = 0; i < 5; i += 1) ids.unshift((await booked(ada, id)).id);
      const first = (await (await ada.send("/api/bookings?limit=3")).json()) as Json;
      const second = (await (await ada.send(first.next)).json()) as Json;
      const seen = [...first.items, ...second.items].map((item: Json) => item.id);
      assert.deepEqual(seen, ids);
      assert.equal(second.next, null);
    });
  });

  describe("A11: a user reads their own bookings", () => {
    it("A11: the next request sees the booking and what is left, by the position in a cookie", async () => {
      const id = await offer();
      await booked(ada, id, 2);
      assert.ok(ada.cookies.has("hastack-position"));
      const { quantity } = (await (await ada.send(`/api/offers/${id}`)).json()) as Json;
      assert.equal(quantity, 3);
    });
  });

  it("A7: an offer's rules hold in the database itself", async () => {
    const { name } = newOffer();
    await assert.rejects(
      postgres.sql(
        `INSERT INTO offer (kind, name, place, starts_on, ends_on, price_cents, quantity)
         VALUES ('bus', '${name}', 'x', '2027-01-01', '2027-01-01', 1, -1)`,
        database,
      ),
      /offer_quantity_check/,
    );
  });
});
