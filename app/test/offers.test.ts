import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { adminClient, asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { dayFromNow, newOffer, offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";
import { Client, visitor } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

describe("offers", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let desk: Client;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    uploads = await uploadsDirectory();
    const at = { name: database, writer: postgres };
    storefront = await startApp(serverConfig("storefront", at, uploads));
    admin = await startApp(serverConfig("admin", at, uploads));
    desk = await adminClient(admin.url);
  });
  after(async () => {
    await Promise.all([storefront.close(), admin.close()]);
    await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    await postgres.sql("TRUNCATE offer, booking, account CASCADE", database);
  });

  const get = async (path: string): Promise<Json> =>
    await (await fetch(storefront.url + path)).json();
  const page = (path: string) => new Client(storefront.url).page(path);
  const save = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${admin.url}/api/offers`, {
      method: "POST",
      headers: { ...asAdmin, "Content-Type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const saved = async (body: unknown, status: number): Promise<Json> => {
    const answer = await save(body);
    assert.equal(answer.status, status, await answer.clone().text());
    return await answer.json();
  };
  const rows = () =>
    postgres.sql<Json>("SELECT name, quantity, price_cents FROM offer ORDER BY id", database);
  const sendForm = (path: string, fields: Record<string, string>) => desk.form(path, fields);

  describe("A3: search", () => {
    it("A3: lists what is to come, the soonest first, with every field", async () => {
      const late = await offerRow(postgres, database, { startsInDays: 20 });
      const soon = await saved(newOffer(), 201);
      await offerRow(postgres, database, { startsInDays: -1 });
      const today = await offerRow(postgres, database, { startsInDays: 0 });
      const { items, next } = await get("/api/offers");
      assert.deepEqual(
        items.map((item: Json) => item.id),
        [today, soon.id, late],
      );
      assert.equal(next, null);
      assert.deepEqual(items[1], soon);
      assert.deepEqual(await get(`/api/offers/${soon.id}`), soon);
    });

    it("A3: an offer has exactly the documented fields", async () => {
      const sent = newOffer();
      const { id, ...offer } = await saved(sent, 201);
      assert.ok(Number.isInteger(id));
      assert.deepEqual(offer, sent);
    });

    it("A3: finds by kind, part of the place in any case, and days", async () => {
      const at = (change: Parameters<typeof offerRow>[2]) => offerRow(postgres, database, change);
      const a = await at({ kind: "bus", place: "Málaga", startsInDays: 5 });
      const b = await at({ kind: "hotel", place: "Santorini, Greece", startsInDays: 6 });
      const c = await at({ kind: "flight", place: "100% Beach_Club", startsInDays: 7 });
      const found = async (query: string) =>
        (await get(`/api/offers?${query}`)).items.map((item: Json) => item.id);
      assert.deepEqual(await found("kind=hotel"), [b]);
      assert.deepEqual(await found("place=SANTO"), [b]);
      assert.deepEqual(await found("place=m%C3%A1LA"), [a]);
      assert.deepEqual(await found("place=%25"), [c]);
      assert.deepEqual(await found("place=h_C"), [c]);
      assert.deepEqual(await found("place=%5C"), []);
      assert.deepEqual(await found("place=oslo"), []);
      assert.deepEqual(await found(`from=${dayFromNow(6)}`), [b, c]);
      assert.deepEqual(await found(`until=${dayFromNow(6)}`), [a, b]);
      assert.deepEqual(await found(`from=${dayFromNow(6)}&until=${dayFromNow(6)}`), [b]);
      assert.deepEqual(await found("kind=bus&place=greece"), []);
      assert.deepEqual(await found("kind=&place=&from=&until="), [a, b, c]);
    });

    it("A3: an earlier first day than today shows what has started", async () => {
      const past = await offerRow(postgres, database, { startsInDays: -3 });
      const { items } = await get(`/api/offers?from=${dayFromNow(-4)}`);
      assert.equal(items[0].id, past);
    });

    it("A3: pages hold every offer once, in one order, also while offers come and go", async () => {
      const ids: number[] = [];
      for (const startsInDays of [3, 1, 2, 2, 2, 4]) {
        ids.push(await offerRow(postgres, database, { startsInDays }));
      }
      const seen: number[] = [];
      let next: string | null = "/api/offers?limit=2&kind=flight";
      while (next) {
        const list: Json = await get(next);
        seen.push(...list.items.map((item: Json) => item.id));
        next = list.next;
        // What the place in the list was taken from is gone; the list goes on behind it.
        await postgres.sql(`DELETE FROM offer WHERE id = ${seen.at(-1)}`, database);
        assert.ok(!next || next.includes("kind=flight"));
      }
      const [three, one, two1, two2, two3, four] = ids;
      assert.deepEqual(seen, [one, two1, two2, two3, three, four]);
    });

    it("A3: /api/vuelos is an array of the flights alone, and links to more", async () => {
      const first = await offerRow(postgres, database, { startsInDays: 1 });
      await offerRow(postgres, database, { kind: "bus" });
      const second = await offerRow(postgres, database, { startsInDays: 2 });
      const flights = await get("/api/vuelos");
      assert.ok(Array.isArray(flights));
      assert.deepEqual(
        flights.map((item: Json) => item.id),
        [first, second],
      );
      assert.deepEqual(flights[0], await get(`/api/offers/${first}`));
      const short = await fetch(`${storefront.url}/api/vuelos?limit=1&kind=bus`);
      assert.equal(((await short.json()) as Json)[0].id, first);
      const link = /<(.*)>; rel="next"/.exec(short.headers.get("link") ?? "")?.[1] ?? "";
      assert.equal((await get(link))[0].id, second);
    });

    const bad: Record<string, string> = {
      "kind=boat": "kind-invalid",
      "kind=bus&kind=flight": "kind-invalid",
      "from=2027-02-31": "from-invalid",
      "from=0000-01-01": "from-invalid",
      "until=tomorrow": "until-invalid",
      "until=9999-12-31": "until-invalid",
      "from=2027-05-02&until=2027-05-01": "until-invalid",
      "place=%00": "place-invalid",
      "place=a&place=b": "place-invalid",
      "limit=0": "limit-invalid",
      "limit=101": "limit-invalid",
      "limit=x": "limit-invalid",
      "limit=1.5": "limit-invalid",
      "after=17": "after-invalid",
      "after=2027-02-31.1": "after-invalid",
      "after=2027-02-01.9999999999": "after-invalid",
    };
    bad[`place=${"x".repeat(81)}`] = "place-invalid";
    for (const [query, code] of Object.entries(bad)) {
      it(`A3: refuses ${query.slice(0, 40)} with 422`, async () => {
        for (const path of ["/api/offers", "/api/vuelos"]) {
          if (path === "/api/vuelos" && query.startsWith("kind")) continue;
          const answer = await fetch(`${storefront.url}${path}?${query}`);
          assert.equal(answer.status, 422);
          const { error, fields, message } = (await answer.json()) as Json;
          assert.equal(error, code);
          assert.equal(Object.values(fields)[0], message);
        }
      });
    }

    for (const id of ["0", "-1", "x", "2147483648", "99999999999999999999", "1e3", "0x1", "%00"]) {
      it(`A3: answers 404 to the id ${id}, as JSON and as a page`, async () => {
        assert.equal((await fetch(`${storefront.url}/api/offers/${id}`)).status, 404);
        assert.equal((await page(`/offers/${id}`)).status, 404);
        const gone = await fetch(`${admin.url}/api/offers/${id}`, {
          method: "DELETE",
          headers: asAdmin,
        });
        assert.equal(gone.status, 404);
      });
    }
  });

  describe("A3: pages", () => {
    it("A3: the search keeps what was typed, and says when nothing was found", async () => {
      await offerRow(postgres, database, { place: "Lofoten" });
      const found = await page("/offers?kind=flight&place=lofo&from=&until=");
      assert.equal(found.status, 200);
      assert.match(found.text, /value="flight" selected/);
      assert.match(found.text, /name="place"[^>]*value="lofo"/);
      assert.match(found.text, /href="\/offers\/\d+"/);
      assert.ok(found.answer.headers.get("x-cache"));
      const none = await page("/offers?place=nowhere");
      assert.match(none.text, /Nothing found/);
      assert.match(none.text, /value="nowhere"/);
    });

    it("A3: a search that makes no sense is told at its field, and typed values are escaped", async () => {
      const { status, text } = await page("/offers?from=2027-02-31&place=%22%3E%3Cscript%3E");
      assert.equal(status, 422);
      assert.match(text, /id="from-error">The earliest day is not a date like 2027-05-12\./);
      assert.ok(!text.includes("<script>"));
      assert.match(text, /value="&quot;>|value="&quot;&gt;/);
    });

    it("A3: a place in the list that nobody could have clicked on shows the first page", async () => {
      const id = await offerRow(postgres, database);
      const { status, text } = await page("/offers?after=nonsense&kind=flight");
      assert.equal(status, 200);
      assert.ok(text.includes(`href="/offers/${id}"`));
    });

    it("A3: the results go on page by page", async () => {
      for (let i = 1; i <= 13; i += 1) await offerRow(postgres, database, { startsInDays: i });
      const first = await page("/offers?kind=flight");
      assert.equal(first.text.match(/class="offer"/g)?.length, 12);
      const link = /href="(\/offers\?[^"]*after=[^"]*)"/.exec(first.text)?.[1] ?? "";
      assert.match(link, /kind=flight/);
      const second = await page(link.replaceAll("&amp;", "&"));
      assert.equal(second.text.match(/class="offer"/g)?.length, 1);
    });

    it("A3: an offer shows price and days in words, and can be booked unless sold out or started", async () => {
      const offer = await saved(
        newOffer({ priceCents: 123_450, startsOn: "2097-05-12", endsOn: "2097-05-14" }),
        201,
      );
      const { text } = await page(`/offers/${offer.id}`);
      assert.match(text, /€1,234\.50/);
      assert.match(text, /12 May 2097/);
      assert.match(text, /<form method="post" action="\/bookings">/);
      const soldOut = await offerRow(postgres, database, { quantity: 0 });
      assert.match((await page(`/offers/${soldOut}`)).text, /sold out/i);
      const started = await offerRow(postgres, database, { startsInDays: -1 });
      for (const id of [soldOut, started]) {
        assert.ok(!(await page(`/offers/${id}`)).text.includes('action="/bookings"'));
      }
    });

    it("A3: the first page has the search and the offers that come soonest", async () => {
      const id = await offerRow(postgres, database);
      const { text } = await page("/");
      assert.match(text, /action="\/offers"/);
      assert.ok(text.includes(`href="/offers/${id}"`));
    });
  });

  describe("A4: the API's write side", () => {
    it("A4: a new offer is inserted: 201, with its address", async () => {
      const sent = newOffer();
      const answer = await save(sent);
      const offer = (await answer.json()) as Json;
      assert.equal(answer.status, 201);
      assert.equal(answer.headers.get("location"), `/api/offers/${offer.id}`);
      assert.deepEqual(await get(`/api/offers/${offer.id}`), offer);
    });

    it("A4: of a known one the quantity is set, other given fields change, the rest stays", async () => {
      const sent = newOffer();
      const { id } = await saved(sent, 201);
      const { kind, name } = sent;
      const restocked = await save({ kind, name, quantity: 9 });
      assert.equal(restocked.status, 200);
      assert.equal(restocked.headers.get("location"), `/api/offers/${id}`);
      assert.deepEqual(await restocked.json(), { ...sent, id, quantity: 9 });
      const cheaper = { kind, name, priceCents: 1, origin: "" };
      assert.deepEqual(await saved(cheaper, 200), { ...sent, id, quantity: 9, ...cheaper });
      assert.equal((await rows()).length, 1);
    });

    it("A4: the same name in another kind is another offer", async () => {
      await saved(newOffer({ name: "Same" }), 201);
      await saved(newOffer({ name: "Same", kind: "bus" }), 201);
    });

    it("A4: ten at once that add one offer add it once", async () => {
      const offer = newOffer();
      const answers = await Promise.all(Array.from({ length: 10 }, () => save(offer)));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [...Array(9).fill(200), 201]);
      assert.equal((await rows()).length, 1);
    });

    const wrong: [string, Json, string][] = [
      ["a kind that there is not", { kind: "boat" }, "kind"],
      ["no name", { name: undefined }, "name"],
      ["an empty name", { name: " " }, "name"],
      ["a name of 121 characters", { name: "x".repeat(121) }, "name"],
      ["a name with a NUL", { name: "a\0b" }, "name"],
      ["a name that is a list", { name: ["a"] }, "name"],
      ["no place", { place: undefined }, "place"],
      ["an empty place", { place: "" }, "place"],
      ["an origin that is a number", { origin: 5 }, "origin"],
      ["a day that there is not", { startsOn: "2027-02-31" }, "startsOn"],
      ["a day in another writing", { startsOn: "12.5.2027" }, "startsOn"],
      ["a day with a time", { endsOn: "2027-05-12T00:00:00Z" }, "endsOn"],
      ["a year that nobody sells", { endsOn: "9999-01-01" }, "endsOn"],
      ["an end before its start", { startsOn: "2027-05-12", endsOn: "2027-05-11" }, "endsOn"],
      ["no price", { priceCents: undefined }, "priceCents"],
      ["a price below 0", { priceCents: -1 }, "priceCents"],
      ["a price with parts of a cent", { priceCents: 1.5 }, "priceCents"],
      ["a price that nobody pays", { priceCents: 100_000_001 }, "priceCents"],
      ["a price that is a text", { priceCents: "12" }, "priceCents"],
      ["no quantity", { quantity: undefined }, "quantity"],
      ["a quantity below 0", { quantity: -1 }, "quantity"],
      ["half of one", { quantity: 0.5 }, "quantity"],
      ["a quantity beyond all", { quantity: 1e21 }, "quantity"],
      ["a quantity that is nothing", { quantity: null }, "quantity"],
    ];
    for (const [what, change, field] of wrong) {
      it(`A4: refuses ${what} with 422, and adds nothing`, async () => {
        const answer = await save(newOffer(change));
        assert.equal(answer.status, 422);
        const { fields } = (await answer.json()) as Json;
        assert.deepEqual(Object.keys(fields), [field]);
        assert.deepEqual(await rows(), []);
      });
    }

    for (const body of ["[]", '"x"', "null", "5"]) {
      it(`A4: refuses the body ${body}`, async () => {
        assert.ok([400, 422].includes((await save(body)).status));
      });
    }

    it("A4: refuses what is no JSON with 400, another type with 415, a long body with 413", async () => {
      assert.equal((await save("{")).status, 400);
      assert.equal((await save(newOffer(), { "Content-Type": "text/plain" })).status, 415);
      assert.equal((await save(newOffer({ junk: "x".repeat(20_000) }))).status, 413);
    });

    it("A4: a known one's days stay in order, whichever of them is changed", async () => {
      const { kind, name } = await saved(newOffer(), 201);
      const answer = await save({ kind, name, startsOn: dayFromNow(100) });
      assert.equal(answer.status, 422);
      assert.deepEqual(Object.keys(((await answer.json()) as Json).fields), ["endsOn"]);
    });

    it("A4: what the database holds is checked on its way back", async () => {
      const id = await offerRow(postgres, database);
      await postgres.sql("ALTER TABLE offer DROP CONSTRAINT offer_kind_check", database);
      await postgres.sql(`UPDATE offer SET kind = 'boat' WHERE id = ${id}`, database);
      assert.equal((await fetch(`${storefront.url}/api/offers/${id}`)).status, 500);
      await postgres.sql("DELETE FROM offer", database);
      await postgres.sql(
        "ALTER TABLE offer ADD CONSTRAINT offer_kind_check CHECK (kind IN ('flight', 'bus', 'hotel'))",
        database,
      );
    });

    it("A4: an offer is removed; one with bookings stays, with 409", async () => {
      const free = await offerRow(postgres, database);
      const booked = await offerRow(postgres, database);
      const { client } = await visitor(postgres, database, storefront.url);
      const answer = await client.json("POST", "/api/bookings", { offerId: booked, quantity: 1 });
      assert.equal(answer.status, 201, await answer.text());
      const remove = (id: number) =>
        fetch(`${admin.url}/api/offers/${id}`, { method: "DELETE", headers: asAdmin });
      assert.equal((await remove(free)).status, 204);
      assert.equal((await remove(free)).status, 404);
      const refused = await remove(booked);
      assert.equal(refused.status, 409);
      assert.equal(((await refused.json()) as Json).error, "offer-booked");
      assert.equal((await rows()).length, 1);
    });
  });

  describe("A11: idempotency of offers", () => {
    it("A11: a repeat gets the first answer again, also when the offer has changed since", async () => {
      const sent = newOffer();
      const key = { "Idempotency-Key": "offer-1" };
      const first = await save(sent, key);
      await saved({ kind: sent.kind, name: sent.name, quantity: 1 }, 200);
      const again = await save(sent, key);
      assert.equal(again.status, 201);
      assert.equal(await again.text(), await first.text());
      assert.equal((await rows())[0].quantity, 1);
    });

    describe("A11: a commit without an answer", () => {
      let proxy: TestProxy;
      let far: TestApp;
      before(async () => {
        proxy = await startProxy(postgres);
        const writer = { host: "127.0.0.1", port: proxy.port };
        const ways = { name: database, writer, reader: postgres };
        far = await startApp(serverConfig("admin", ways, uploads));
      });
      after(async () => {
        await far.close();
        await proxy.close();
      });

      /** Sends once, loses the answer of the commit, and books all five places before any repeat. */
      const cut = async (since: string, send: () => Promise<Response>): Promise<Response> => {
        const before = proxy.cuts;
        Object.assign(proxy, { cutSince: since, cutAfter: "COMMIT" });
        const answer = send();
        await until("the commit is cut", () => proxy.cuts > before);
        await until("it is made", rows, ([row]) => row.quantity === 5);
        await postgres.sql("UPDATE offer SET quantity = 0", database);
        proxy.cutAfter = undefined;
        return await answer;
      };
      const send = (path: string, body: URLSearchParams | string, headers = {}) =>
        fetch(far.url + path, { method: "POST", body, headers: { ...asAdmin, ...headers } });

      it("A11: the API does not set a quantity twice, with a key or without", async () => {
        const type = { "Content-Type": "application/json" };
        for (const [headers, status] of [
          [{}, 500],
          [{ "Idempotency-Key": "offer-3" }, 200],
        ] as const) {
          await postgres.sql("TRUNCATE offer CASCADE", database);
          const { kind, name } = await saved(newOffer({ quantity: 0 }), 201);
          const body = JSON.stringify({ kind, name, quantity: 5 });
          const answer = await cut("UPDATE offer", () =>
            send("/api/offers", body, { ...type, ...headers }),
          );
          assert.equal(answer.status, status, await answer.text());
          assert.equal((await rows())[0].quantity, 0);
        }
      });

      it("A11: the form does not set a quantity twice, and is shown again with what was typed", async () => {
        const id = await offerRow(postgres, database, { quantity: 0 });
        const fields = new URLSearchParams({ quantity: "5", was: "0" });
        const answer = await cut("UPDATE offer", () =>
          send(`/admin/offers/${id}/quantity`, fields, { Accept: "text/html" }),
        );
        assert.equal(answer.status, 500);
        assert.match(
          await answer.text(),
          /name="was" value="0"[\s\S]*value="5"[\s\S]*It may or may not/,
        );
        assert.equal((await rows())[0].quantity, 0);
      });
    });

    it("A11: the same key with another offer is refused", async () => {
      const key = { "Idempotency-Key": "offer-2" };
      assert.equal((await save(newOffer(), key)).status, 201);
      const other = await save(newOffer(), key);
      assert.equal(other.status, 422);
      assert.equal(((await other.json()) as Json).error, "idempotency-key-reused");
      assert.equal((await save(newOffer(), { "Idempotency-Key": "a b" })).status, 422);
    });
  });

  describe("A4: the administrators' page", () => {
    const typed = (change: Record<string, string> = {}) => {
      const { priceCents: _, quantity, ...offer } = newOffer();
      return {
        ...offer,
        price: "19.99",
        quantity: String(quantity),
        idempotencyKey: "",
        ...change,
      } as Record<string, string>;
    };
    const shown = async (path = "/admin/offers") => await desk.page(path);

    it("A4: adds by form, with the price in euros; a known one is updated", async () => {
      const fields = typed();
      const answer = await sendForm("/admin/offers", fields);
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get("location"), "/admin/offers");
      assert.match(answer.headers.get("set-cookie") ?? "", /hastack-flash=offer-added/);
      const again = await sendForm("/admin/offers", { ...fields, quantity: "77", price: "20,5" });
      assert.match(again.headers.get("set-cookie") ?? "", /hastack-flash=offer-updated/);
      assert.deepEqual(await rows(), [{ name: fields.name, quantity: 77, price_cents: 2050 }]);
    });

    it("A11: a form that is sent twice is done once", async () => {
      const fields = typed({ idempotencyKey: "form-1" });
      await sendForm("/admin/offers", fields);
      const again = await sendForm("/admin/offers", fields);
      assert.match(again.headers.get("set-cookie") ?? "", /hastack-flash=offer-added/);
    });

    it("A4: keeps what was typed, and tells every error at its field", async () => {
      const answer = await sendForm(
        "/admin/offers",
        typed({ name: "Kept <b>", price: "1.999", quantity: "-1", endsOn: "" }),
      );
      const text = await answer.text();
      assert.equal(answer.status, 422);
      assert.match(text, /name="name"[^>]*value="Kept &lt;b(>|&gt;)"/);
      assert.match(text, /id="price-error">The price is not a plain number: write it like 1200 or/);
      assert.match(text, /id="quantity-error">The quantity is less than 0\./);
      assert.match(text, /id="endsOn-error">/);
      assert.deepEqual(await rows(), []);
    });

    it("A4: says how many are left, by row; what is wrong is told in the row", async () => {
      const id = await offerRow(postgres, database);
      const set = (quantity: string, was: string, offer = id) =>
        sendForm(`/admin/offers/${offer}/quantity`, { quantity, was });
      const good = await set("12", "5");
      assert.match(good.headers.get("set-cookie") ?? "", /offer-updated/);
      assert.equal((await rows())[0].quantity, 12);
      const bad = await set("1.5", "12");
      assert.equal(bad.status, 422);
      const text = await bad.text();
      assert.match(
        text,
        new RegExp(`id="quantity-${id}-error">The quantity is not a plain number`),
      );
      assert.match(text, new RegExp(`id="quantity-${id}"[^>]*value="1.5"`));
      const gone = await set("1", "1", id + 1);
      assert.match(gone.headers.get("set-cookie") ?? "", /offer-gone/);
      const old = await sendForm(`/admin/offers/${id}/quantity`, { quantity: "1" });
      assert.equal(old.status, 422);
      assert.match(await old.text(), /id="quantity-\d+-error">How many were left is missing/);
    });

    it("A4: a number set beside an old one overwrites no booking; the new one is shown", async () => {
      const id = await offerRow(postgres, database, { quantity: 5 });
      const set = async (quantity: string, was: string) => {
        const answer = await sendForm(`/admin/offers/${id}/quantity`, { quantity, was });
        const text = await answer.text();
        const field = new RegExp(`id="quantity-${id}"[^>]*value="([^"]*)"`).exec(text)?.[1];
        const seen = /name="was" value="([^"]*)"/.exec(text)?.[1];
        return { status: answer.status, text, field, seen };
      };
      const { client } = await visitor(postgres, database, storefront.url);
      await client.json("POST", "/api/bookings", { offerId: id, quantity: 2 });
      const refused = await set("9", "5");
      assert.deepEqual([refused.status, refused.field, refused.seen], [409, "3", "3"]);
      assert.match(refused.text, /error">3 are left now: .*Look again/);
      assert.equal((await rows())[0].quantity, 3);
      // A typing mistake does not make the number that was seen a newer one.
      const mistyped = await set("9,5", "5");
      assert.deepEqual([mistyped.status, mistyped.field, mistyped.seen], [422, "9,5", "5"]);
      assert.equal((await set("9", "3")).status, 303);
      assert.equal((await rows())[0].quantity, 9);
    });

    it("A4: deletes, and says so; a booked one stays, and says why", async () => {
      const free = await offerRow(postgres, database);
      const flash = async (id: number) =>
        (await sendForm(`/admin/offers/${id}/delete`, {})).headers.get("set-cookie") ?? "";
      assert.match(await flash(free), /offer-removed/);
      assert.match(await flash(free), /offer-gone/);
      const booked = await offerRow(postgres, database);
      const { client } = await visitor(postgres, database, storefront.url);
      await client.json("POST", "/api/bookings", { offerId: booked, quantity: 1 });
      assert.match(await flash(booked), /offer-booked/);
    });

    it("A4: shows the newest first, past ones too, page by page; and an empty list", async () => {
      assert.match((await shown()).text, /Nothing here yet/);
      for (let i = 0; i < 51; i += 1) await offerRow(postgres, database, { startsInDays: -5 });
      const first = await shown();
      assert.equal(first.text.match(/class="row row-offer"/g)?.length, 50);
      const link = /href="(\/admin\/offers\?before=\d+)"/.exec(first.text)?.[1] ?? "";
      assert.equal((await shown(link)).text.match(/class="row row-offer"/g)?.length, 1);
    });
  });
});
