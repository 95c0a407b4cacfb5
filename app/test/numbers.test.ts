import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { centsFrom, wholeFrom } from "../src/domain/numbers.ts";
import { adminClient, asAdmin } from "./support/admin.ts";
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
import { Client, visitor } from "./support/visitor.ts";

/** What some read as one number and some as another, or a program as one that nobody typed. */
const unclear = [
  ...["1.000", "1,000", "1 000", "1'000", "1_000", "1\u00a0000", "1\u202f000", "1.000,00"],
  ...["1,000.00", "1.2.3", "1e3", "1E3", "0x10", "0b1", "0o7", "+1", "1.", ".5", "1..5", "--1"],
  ...["\uff11", "\u0661", "\u2460", "\u00bd", "1\u200b0", "NaN", "Infinity", "1n", "1/2", "1%"],
  ...["one", "1 2", "1;2", "true", "null", "[1]", "9".repeat(400)],
];
const unclearWhole = [...unclear, "1.5", "1,5", "1.0", "1,0"];
const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (it) => `&${{ "&": "amp", "'": "#39" }[it] ?? ""};`);

describe("numbers", function () {
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
    uploads = await uploadsDirectory();
    await migrateDatabase(database, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name: database, writer: postgres }, uploads));
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
    desk = await adminClient(admin.url);
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });

  const { priceCents: _price, quantity: _quantity, ...rest } = newOffer();
  const form = (change: Record<string, string>) => ({
    ...(rest as Record<string, string>),
    ...{ price: "10", quantity: "3", idempotencyKey: crypto.randomUUID() },
    ...change,
  });

  describe("A4: what a text means", () => {
    it("A4: amounts: digits, and one or two more after a point or a comma", () => {
      const clear: [string, number][] = [
        ...([
          ["0", 0],
          ["7", 700],
          ["1000", 100_000],
          ["10.5", 1050],
        ] as [string, number][]),
        ...([
          ["10,50", 1050],
          ["19.99", 1999],
          ["0,05", 5],
          ["-1", -100],
        ] as [string, number][]),
        ...([
          [" 12 ", 1200],
          ["0.07", 7],
          ["1.10", 110],
          ["007", 700],
        ] as [string, number][]),
      ];
      for (const [text, cents] of clear) assert.equal(centsFrom(text), cents, text);
      for (const text of unclear) assert.equal(centsFrom(text), text);
    });

    it("A4: whole numbers: digits alone", () => {
      for (const [text, number] of [
        ["0", 0],
        ["12", 12],
        [" 3 ", 3],
        ["-4", -4],
      ] as const) {
        assert.equal(wholeFrom(text), number);
      }
      for (const text of unclearWhole) assert.equal(wholeFrom(text), text);
    });

    it("A4: every amount of cents comes back as it was, and no text becomes a fraction", () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 0, max: 100_000_000 }),
          fc.constantFrom(".", ","),
          (n, dot) => {
            assert.equal(centsFrom((n / 100).toFixed(2).replace(".", dot)), n);
          },
        ),
      );
      const text = fc.stringMatching(/^[\d.,eEx+ -]{0,12}$/);
      fc.assert(
        fc.property(fc.oneof(text, fc.string()), (typed) => {
          for (const value of [wholeFrom(typed), centsFrom(typed)]) {
            assert.ok(value === typed || Number.isSafeInteger(value), `${typed}: ${value}`);
          }
        }),
      );
    });
  });

  it("A4: an offer's price and quantity: what is not plain is refused, and shown as typed", async () => {
    const tries = [
      ...unclear.map((text) => ["price", text] as const),
      ...unclearWhole.map((text) => ["quantity", text] as const),
    ];
    for (const [field, typed] of tries) {
      const answer = await desk.form("/admin/offers", form({ [field]: typed }));
      const text = await answer.text();
      assert.equal(answer.status, 422, `${field} ${typed}`);
      assert.match(text, new RegExp(`id="${field}-error">The ${field} is not a plain number`));
      assert.ok(text.includes(`name="${field}"`) && text.includes(`value="${escaped(typed)}"`));
    }
    const sql = "SELECT count(*)::integer AS offers FROM offer";
    assert.deepEqual(await postgres.sql(sql, database), [{ offers: 0 }]);
    for (const [price, cents] of [
      ["1000", 100_000],
      ["10,5", 1050],
      ["0.99", 99],
    ] as const) {
      assert.equal((await desk.form("/admin/offers", form({ price }))).status, 303);
      const [row] = await postgres.sql<{ price_cents: number }>("SELECT * FROM offer", database);
      assert.equal(row?.price_cents, cents);
    }
  });

  it("A4: how many are left: what is not plain is refused, and changes nothing", async () => {
    const id = await offerRow(postgres, database, { quantity: 5 });
    const set = (quantity: string, was: string) =>
      desk.form(`/admin/offers/${id}/quantity`, { quantity, was });
    for (const typed of unclearWhole) {
      const answer = await set(typed, "5");
      assert.equal(answer.status, 422, typed);
      assert.ok((await answer.text()).includes(`value="${escaped(typed)}"`), typed);
    }
    for (const was of [...unclearWhole, "-5.5", "99999999999"]) {
      assert.equal((await set("1", was)).status, 422, was);
    }
    const sql = `SELECT quantity FROM offer WHERE id = ${id}`;
    assert.deepEqual(await postgres.sql(sql, database), [{ quantity: 5 }]);
  });

  it("A7: a booking's quantity: what is not plain is refused, logged in or not", async () => {
    const id = await offerRow(postgres, database);
    const { client: ada } = await visitor(postgres, database, storefront.url);
    for (const client of [ada, new Client(storefront.url)]) {
      for (const quantity of [...unclearWhole, "0", "-1", "101"]) {
        const answer = await client.form("/bookings", { offerId: String(id), quantity });
        const text = await answer.text();
        assert.equal(answer.status, 422, quantity);
        assert.ok(text.includes(`value="${escaped(quantity)}"`), quantity);
        assert.match(text, /id="quantity-error">(The quantity is|One booking takes)/);
      }
    }
    for (const offerId of [`${id}.0`, `${id}e0`, `+${id}`, `0x${id}`]) {
      const answer = await ada.form("/bookings", { offerId, quantity: "1" });
      assert.equal(answer.status, 404, offerId);
    }
    const linked = await ada.page(`/offers/${id}?quantity=1.000`);
    assert.equal(linked.status, 422);
    assert.match(linked.text, /name="quantity"[^>]*aria-invalid[^>]*value="1\.000"/);
    assert.match(
      (await ada.page(`/offers/${id}?quantity=3`)).text,
      /name="quantity"[^>]*value="3"/,
    );
  });

  it("A4: numbers of the JSON API are JSON's numbers, whole and within their limits", async () => {
    const { client } = await visitor(postgres, database, storefront.url);
    const id = await offerRow(postgres, database);
    const send = async (url: string, body: string) => {
      const headers = {
        ...(url.startsWith(admin.url) ? asAdmin : client.headers),
        "Content-Type": "application/json",
      };
      return (await fetch(url, { method: "POST", body, headers })).status;
    };
    const bad = ['"1"', '"1.000"', "1.5", "1e300", "1e999", "-1", "9007199254740993", "[1]", "{}"];
    bad.push("true", "null", "2147483648", "0.1e1000");
    for (const value of bad) {
      for (const field of ["priceCents", "quantity"]) {
        const offer = JSON.stringify(newOffer({ [field]: "?" })).replace('"?"', value);
        assert.equal(await send(`${admin.url}/api/offers`, offer), 422, `${field} ${value}`);
      }
      const many = `{"offerId":${id},"quantity":${value}}`;
      assert.equal(await send(`${storefront.url}/api/bookings`, many), 422, many);
      const which = `{"offerId":${value},"quantity":1}`;
      assert.equal(await send(`${storefront.url}/api/bookings`, which), 422, which);
    }
    const whole = `{"offerId":${id},"quantity":1.0}`;
    assert.equal(await send(`${storefront.url}/api/bookings`, whole), 201, "1.0 is JSON's 1");
  });

  it("A4: numbers in addresses: plain, or refused", async () => {
    const { client } = await visitor(postgres, database, storefront.url);
    const odd = [...unclearWhole, "", "-1", "0"].map(encodeURIComponent);
    for (const path of ["/api/offers", "/api/vuelos", "/api/content", "/api/bookings"]) {
      for (const text of odd) {
        // In a search a field that was left blank counts as not sent.
        if (text === "" && /offers|vuelos/.test(path)) continue;
        const answer = await client.send(`${path}?limit=${text}`);
        assert.equal(answer.status, 422, `${path}?limit=${text}`);
        assert.match(((await answer.json()) as { message: string }).message, /^limit is /);
      }
      assert.equal((await client.send(`${path}?limit=7`)).status, 200);
    }
    for (const text of odd) {
      for (const path of ["/api/content", "/api/bookings"]) {
        assert.equal((await client.send(`${path}?before=${text}`)).status, 422, text);
      }
    }
    for (const text of odd.filter(Boolean)) {
      for (const path of ["/api/offers/", "/api/content/", "/api/bookings/", "/offers/"]) {
        const { status } = await client.send(path + text);
        assert.ok(status === 404 || status === 400, `${path}${text}: ${status}`);
      }
    }
  });
});
