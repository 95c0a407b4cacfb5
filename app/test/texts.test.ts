import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { asSeen, asSeenSql, text } from "../src/domain/texts.ts";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { newOffer, offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { type Client, visitor } from "./support/visitor.ts";

/** Texts that nothing can be seen of. */
const unseen: Record<string, string> = {
  "zero-width spaces": "\u200b\u200b",
  "a zero-width joiner": "\u200d",
  "a zero-width non-joiner": "\u200c",
  "a right-to-left mark": "\u200f",
  "left-to-right marks and blanks": " \u200e \u200e ",
  "an override without a text": "\u202e\u202c",
  "an isolate without a text": "\u2067\u2069",
  "an Arabic letter mark": "\u061c",
  "a byte-order mark": "\ufeff",
  "a word joiner": "\u2060",
  "invisible operators": "\u2061\u2062\u2063\u2064",
  "a soft hyphen": "\u00ad",
  "a grapheme joiner": "\u034f",
  "Hangul fillers": "\u115f\u1160\u3164\uffa0",
  "variation selectors": "\ufe0f\ufe00\u{e0100}",
  tags: "\u{e0001}\u{e0061}\u{e007f}",
  "a Mongolian separator": "\u180e\u180b",
  "a blank of Braille": "\u2800",
  "a null note": "\u{1d159}",
  "blanks of any kind": "\u00a0\u1680\u2003\u2028\u202f\u205f\u3000\t\n\r",
  "an accent on nothing": "\u0301",
  "an ideographic filler among marks": "\u3164\u200b\u3000\u00ad",
};

/** Texts that are seen, and stay as they are. */
const seen = [
  ...[
    "Lofoten",
    "Zürich",
    "می\u200cخواهم",
    "👩\u200d👩\u200d👧",
    "❤\ufe0f",
    "🏴\u{e0067}\u{e0062}\u{e007f}",
  ],
  ...[
    "\u05e9\u05dc\u05d5\u05dd\u200e",
    "क्\u200dष",
    "한국",
    "\u1820\u180b",
    "\u1eb9",
    ".",
    "1",
    "\u200bx",
    "½",
  ],
];

describe("texts that are shown", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let client: Client;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(database, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name: database, writer: postgres }, uploads));
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
    ({ client } = await visitor(postgres, database, storefront.url));
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });

  const asText = (value: string, options?: { empty: boolean }) =>
    text("name", 40, options).safeParse(value);
  const save = (offer: Record<string, unknown>) =>
    fetch(`${admin.url}/api/offers`, {
      method: "POST",
      body: JSON.stringify(offer),
      headers: { ...asAdmin, "Content-Type": "application/json" },
    });

  describe("A17: one rule for all of them", () => {
    for (const [what, value] of Object.entries(unseen)) {
      it(`A17: ${what}: refused, and as good as empty where a text may be`, () => {
        assert.equal(asText(value).success, false);
        assert.deepEqual(asText(value, { empty: true }).data, "");
      });
    }

    it("A17: what can be seen stays, with the joiners of emoji and of Persian inside it", () => {
      for (const value of seen) assert.equal(asText(value).data, value);
      assert.equal(asText("  Rome \ufeff").data, "Rome");
      assert.equal(asText("e\u0301").data, "\u00e9", "one form of what looks the same");
    });

    it("A17: controls and lone halves of characters are refused everywhere", () => {
      for (const value of ["a\0b", "a\u0007", "\u001b[31mred", "a\u009b", "a\ud800", "\udc00a"]) {
        assert.equal(asText(value).success, false, JSON.stringify(value));
        assert.equal(asText(value, { empty: true }).success, false, JSON.stringify(value));
      }
      assert.equal(asText("two\nlines\tand a tab").success, true);
    });

    it("A17: lengths are those of what is kept", () => {
      assert.equal(asText("x".repeat(40)).success, true);
      assert.equal(asText("x".repeat(41)).success, false);
      assert.equal(asText(`${" ".repeat(40)}x`).data, "x");
    });
  });

  describe("A17: what PostgreSQL compares is what JavaScript compares", () => {
    const inSql = async (values: string[]): Promise<string[]> => {
      const list = values.map((value) => `('${value.replaceAll("'", "''")}')`).join(", ");
      const sql = `SELECT ${asSeenSql("name")} AS name FROM (VALUES ${list}) AS one (name)`;
      return (await postgres.sql<{ name: string }>(sql, database)).map(({ name }) => name);
    };

    it("A17: for every character there is", async () => {
      for (let first = 1; first < 0x110000; first += 0x4000) {
        const codes = Array.from({ length: 0x4000 }, (_, i) => first + i);
        const all = codes.filter((code) => code < 0x110000 && !(code >= 0xd800 && code < 0xe000));
        // Nine of ten are no letters yet: what neither of the two knows, they treat alike.
        const known = all
          .map((code) => String.fromCodePoint(code))
          .filter((it) => /\P{Cn}/u.test(it));
        if (known.length === 0) continue;
        const values = known.map((one) => `a${one}b`);
        const answers = await inSql(values);
        const wrong = values.filter((value, i) => asSeen(value) !== answers[i]);
        assert.deepEqual(
          wrong.map((one) => one.codePointAt(1)?.toString(16)),
          [],
        );
      }
    });

    it("A17: for any text", async () => {
      const mark = fc.constantFrom(
        "\u200b",
        "\u200d",
        "\u0301",
        "\u0323",
        " ",
        "\u00a0",
        "\u034f",
        "e",
      );
      const any = fc.string({ unit: "grapheme" }).filter((it) => !it.includes("\0"));
      const values = fc.sample(
        fc.array(fc.oneof(mark, any), { maxLength: 8 }).map((parts) => parts.join("")),
        2000,
      );
      assert.deepEqual(await inSql(values), values.map(asSeen));
    });

    it("A17: and its index is used for it", async () => {
      // A table of a few rows is read as a whole otherwise.
      await postgres.sql(`ALTER DATABASE ${database} SET enable_seqscan = off`);
      const wanted = `kind = 'bus' AND ${asSeenSql("name")} = 'x'`;
      const plan = await postgres.sql(`EXPLAIN SELECT 1 FROM offer WHERE ${wanted}`, database);
      assert.match(JSON.stringify(plan), /offer_kind_name_as_seen/);
    });
  });

  it("A4: every text of an offer, a destination, an account and a trip is looked at", async () => {
    const id = await offerRow(postgres, database);
    const made = await client.json("POST", "/api/bookings", { offerId: id, quantity: 1 });
    const trip = ((await made.json()) as { id: number }).id;
    const add = (fields: Record<string, string>) =>
      fetch(`${admin.url}/api/content`, {
        method: "POST",
        body: form(fields, { content: png() }),
        headers: asAdmin,
      });
    for (const value of ["\u200b\u200f", "\u3164", "a\u0007"]) {
      const bad: Record<string, Promise<Response>> = {
        name: save(newOffer({ name: value })),
        place: save(newOffer({ place: value })),
        quote: add({ quote: value }),
        account: client.json("PATCH", "/api/account", { name: value }),
        "new account": client.json("POST", "/api/account", {
          ...{ name: value, email: "x@example.com", password: "long enough, that" },
        }),
        "thing to do": client.json("POST", `/api/bookings/${trip}/items`, { text: value }),
      };
      for (const [what, answer] of Object.entries(bad)) {
        assert.equal((await answer).status, 422, `${what}: ${JSON.stringify(value)}`);
      }
    }
    const offer = await (await save(newOffer({ origin: "\u200b" }))).json();
    assert.equal((offer as { origin: string }).origin, "");
    const destination = await (await add({ quote: "q", title: "\u200e", author: "\u3164" })).json();
    const { title, author } = destination as { title: string; author: string };
    assert.deepEqual([title, author], ["", ""]);
    const family = "👩\u200d👩\u200d👧";
    const item = await client.json("POST", `/api/bookings/${trip}/items`, { text: family });
    assert.equal(((await item.json()) as { text: string }).text, family);
  });

  describe("A4: offers whose names look the same", () => {
    const names = [
      ...[
        "Sea and sky",
        "Sea\u200b and sky",
        "Sea and\u00a0 sky",
        "\u200fSea and sky",
        "Sea and s\u00adky",
      ],
      ...["Sea and sky\ufe0f", "Sea\u2060 and sky", "Sea and \u202dsky"],
      ...["Sea and sky \u200b", "\u200e Sea and sky", "Sea\u2800and sky", "Sea and\ufffb sky"],
    ];

    it("A4: are one offer, also when they are added at once", async () => {
      const answers = await Promise.all(names.map((name) => save(newOffer({ name }))));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [...names.slice(1).map(() => 200), 201]);
      const ids = await Promise.all(
        answers.map(async (one) => ((await one.json()) as { id: number }).id),
      );
      assert.equal(new Set(ids).size, 1);
      assert.equal((await save(newOffer({ name: "Sea and sky", kind: "bus" }))).status, 201);
      assert.equal((await save(newOffer({ name: "sea and sky" }))).status, 201);
    });

    it("A4: of an older release stay both, each is found by its own name, and nothing is added", async () => {
      for (const name of ["Twin", "Twin\u200b"]) {
        await postgres.sql(
          `INSERT INTO offer (kind, name, place, starts_on, ends_on, price_cents, quantity)
           VALUES ('hotel', '${name}', 'x', current_date, current_date, 1, 1)`,
          database,
        );
      }
      const update = async (name: string) =>
        (await (await save({ kind: "hotel", name, quantity: 7 })).json()) as {
          id: number;
          name: string;
        };
      assert.equal((await update("Twin\u200b")).name, "Twin\u200b");
      assert.equal((await update("Twin")).name, "Twin");
      assert.equal((await update("Tw\u200din")).name, "Twin");
      const sql = "SELECT count(*)::integer AS twins FROM offer WHERE name LIKE 'Tw%in%'";
      assert.deepEqual(await postgres.sql(sql, database), [{ twins: 2 }]);
    });
  });
});
