import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Database } from "../src/data/database.ts";
import { sweep } from "../src/run/sweeper.ts";
import {
  files,
  migrateDatabase,
  serverConfig,
  spawnServer,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, pictures, png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { sendRaw } from "./support/raw.ts";
import { until } from "./support/until.ts";
import { Client, visitor } from "./support/visitor.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

const picture = { content: png() };

describe("trips", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let proxy: TestProxy;
  let app: TestApp;
  let ada: Client;
  let adaId: number;
  let trip: number;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    uploads = await uploadsDirectory();
    proxy = await startProxy(postgres);
    app = await startApp(config());
  });
  after(async () => {
    await app.close();
    await proxy.close();
    await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    Object.assign(proxy, { mode: "pass", cutAfter: undefined, cutSince: undefined });
    await postgres.sql("TRUNCATE offer, booking, account CASCADE", database);
    await rm(join(uploads, "trips"), { recursive: true, force: true });
    ({ client: ada, id: adaId } = await visitor(postgres, database, app.url));
    trip = await book(ada);
  });

  const config = (tier: "storefront" | "admin" = "storefront") => {
    const writer = { host: "127.0.0.1", port: proxy.port };
    return serverConfig(tier, { name: database, writer, reader: postgres }, uploads);
  };
  const book = async (client: Client): Promise<number> => {
    const offerId = await offerRow(postgres, database);
    const answer = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    return ((await answer.json()) as Json).id;
  };
  const path = (id = trip) => `/api/bookings/${id}/items`;
  const add = (client: Client, data: FormData | string, headers: Record<string, string> = {}) =>
    client.send(path(), {
      method: "POST",
      body: typeof data === "string" ? JSON.stringify({ text: data }) : data,
      headers: {
        ...(typeof data === "string" && { "Content-Type": "application/json" }),
        ...headers,
      },
    });
  const added = async (data: FormData | string): Promise<Json> => {
    const answer = await add(ada, data);
    assert.equal(answer.status, 201, await answer.clone().text());
    return await answer.json();
  };
  const items = async (): Promise<Json[]> =>
    ((await (await ada.send(path())).json()) as Json).items;
  const stored = () => files(join(uploads, "trips")).catch(() => []);
  const rows = async () =>
    (await postgres.sql<Json>("SELECT image_file FROM trip_item ORDER BY id", database)).map(
      (row) => row.image_file,
    );
  /** Not by fetch: that asks past every cache when it is given a condition. */
  const conditional = (to: string, etag: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { ...ada.headers, "If-None-Match": etag };
      get(app.url + to, { headers }, (answer) => resolve(answer.resume().statusCode)).once(
        "error",
        reject,
      );
    });
  /** Asserts an error and that neither a row nor a file came of it. */
  const refused = async (send: () => Promise<Response>, status: number, code: string) => {
    const before = [await rows(), await stored()];
    const answer = await send();
    assert.equal(answer.status, status, await answer.clone().text());
    assert.equal(((await answer.json()) as Json).error, code);
    assert.deepEqual([await rows(), await stored()], before);
  };

  describe("A8: the list", () => {
    it("A8: adds, ticks, unticks and removes, in the order in which it was written", async () => {
      const first = await added(" Passport ");
      const { text, done, image, imageWidth, imageHeight } = first;
      assert.deepEqual(
        { text, done, image, imageWidth, imageHeight },
        { text: "Passport", done: false, image: null, imageWidth: null, imageHeight: null },
      );
      const second = await added(form({ text: "Tickets" }));
      assert.deepEqual(await items(), [first, second]);
      const tick = (value: unknown) => ada.json("PATCH", `${path()}/${first.id}`, { done: value });
      assert.deepEqual(await (await tick(true)).json(), { ...first, done: true });
      assert.equal((await items())[0].done, true);
      assert.equal((await tick(true)).status, 200);
      assert.deepEqual(await (await tick(false)).json(), first);
      const remove = () => ada.send(`${path()}/${first.id}`, { method: "DELETE" });
      assert.equal((await remove()).status, 204);
      assert.equal((await remove()).status, 404);
      assert.deepEqual(await items(), [second]);
    });

    const wrong: [unknown, string][] = [
      [{}, "text-invalid"],
      [{ text: "" }, "text-invalid"],
      [{ text: " \n " }, "text-invalid"],
      [{ text: "x".repeat(201) }, "text-invalid"],
      [{ text: "a\0b" }, "text-invalid"],
      [{ text: 5 }, "text-invalid"],
      [{ text: ["x"] }, "text-invalid"],
      [[], "form-invalid"],
    ];
    for (const [body, code] of wrong) {
      it(`A8: refuses ${JSON.stringify(body).slice(0, 30)} with 422`, async () => {
        await refused(() => ada.json("POST", path(), body), 422, code);
      });
    }

    it("A8: a tick is true or false, and nothing else", async () => {
      const { id } = await added("Passport");
      for (const done of ["true", 1, null, undefined, [true]]) {
        assert.equal((await ada.json("PATCH", `${path()}/${id}`, { done })).status, 422);
      }
    });

    for (const id of ["0", "-1", "x", "2147483648"]) {
      it(`A8: answers 404 to the item ${id} and to the booking ${id}`, async () => {
        assert.equal((await ada.json("PATCH", `${path()}/${id}`, { done: true })).status, 404);
        assert.equal((await ada.send(`${path()}/${id}`, { method: "DELETE" })).status, 404);
        assert.equal((await ada.send(`/api/bookings/${id}/items`)).status, 404);
      });
    }

    it("A8: a list of 100 is full, also for ten that come at once", async () => {
      await postgres.sql(
        `INSERT INTO trip_item (booking_id, text) SELECT ${trip}, 'x' FROM generate_series(1, 95)`,
        database,
      );
      const answers = await Promise.all(Array.from({ length: 10 }, () => add(ada, "more")));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [...Array(5).fill(201), ...Array(5).fill(409)]);
      await refused(() => add(ada, form({ text: "x" }, picture)), 409, "list-full");
    });

    it("A8: nobody else sees, adds, ticks or removes", async () => {
      const item = await added(form({ text: "secret plan" }, picture));
      const { client: bob } = await visitor(postgres, database, app.url);
      const bobs = await book(bob);
      for (const client of [bob, new Client(app.url)]) {
        const status = client === bob ? 404 : 401;
        const one = `${path()}/${item.id}`;
        assert.equal((await client.send(path())).status, status);
        assert.equal((await add(client, "x")).status, status);
        assert.equal((await add(client, form({ text: "x" }, picture))).status, status);
        assert.equal((await client.json("PATCH", one, { done: true })).status, status);
        assert.equal((await client.send(one, { method: "DELETE" })).status, status);
        assert.equal((await client.send(item.image)).status, client === bob ? 404 : 303);
      }
      // Not by the way over one's own booking either.
      const detour = `${path(bobs)}/${item.id}`;
      assert.equal((await bob.json("PATCH", detour, { done: true })).status, 404);
      assert.equal((await bob.send(detour, { method: "DELETE" })).status, 404);
      assert.equal((await bob.send(item.image.replace(String(trip), String(bobs)))).status, 404);
      assert.deepEqual(await items(), [item]);
      assert.equal((await stored()).length, 1);
    });
  });

  describe("A8: pictures", () => {
    for (const [extension, { content, type }] of Object.entries(pictures)) {
      it(`A8: takes a ${extension}, and gives it back to its owner only`, async () => {
        const item = await added(form({ text: "Look" }, { content, name: "note.txt" }));
        assert.match(
          item.image,
          new RegExp(`^/bookings/${trip}/pictures/[0-9a-f]{32}\\.${extension}$`),
        );
        assert.ok(item.imageWidth >= 1 && item.imageHeight >= 1);
        const answer = await ada.send(item.image);
        assert.equal(answer.headers.get("content-type"), type);
        assert.match(answer.headers.get("cache-control") ?? "", /^private/);
        assert.deepEqual(Buffer.from(await answer.arrayBuffer()), content);
        const etag = answer.headers.get("etag") ?? "";
        assert.equal(await conditional(item.image, etag), 304);
      });
    }

    it("A8: is never served under /images, nor a folder's name with it", async () => {
      const item = await added(form({ text: "Look" }, picture));
      const file = item.image.split("/").at(-1);
      for (const way of [file, `trips/${file}`, `trips%2F${file}`, "trips", "..%2Ftrips"]) {
        assert.equal((await fetch(`${app.url}/images/${way}`)).status, 404);
      }
      for (const name of ["x.png", "..%2F..%2Fsecret", `..%2F${file}`, "%00"]) {
        assert.equal((await ada.send(`/bookings/${trip}/pictures/${name}`)).status, 404);
      }
    });

    it("A8: is removed with its item", async () => {
      const { id } = await added(form({ text: "Look" }, picture));
      assert.equal((await stored()).length, 1);
      await ada.send(`${path()}/${id}`, { method: "DELETE" });
      assert.deepEqual(await stored(), []);
    });

    it("A8: a form without a chosen file adds the text alone", async () => {
      const data = form({ text: "No picture" }, { content: Buffer.alloc(0), name: "" });
      assert.equal((await added(data)).image, null);
      assert.deepEqual(await stored(), []);
    });

    it("A8: refuses what is no picture, is too large, or comes with a bad text", async () => {
      const send = (fields: Record<string, string>, content: Buffer) => () =>
        add(ada, form(fields, { content }));
      await refused(send({ text: "x" }, Buffer.from("<svg/>")), 415, "not-an-image");
      await refused(send({ text: "x" }, png(5 * 1024 * 1024 + 1)), 413, "image-too-large");
      await refused(send({ text: "" }, png()), 422, "text-invalid");
      await refused(send({}, png()), 422, "text-invalid");
      const huge = () =>
        ada.send(path(), { method: "POST", body: "x", headers: { "Content-Type": "image/png" } });
      await refused(huge, 415, "unsupported-media-type");
    });

    it("A8: an account has room for 200 pictures on all its trips, also for six that come at once", async () => {
      const others = [await book(ada), await book(ada)];
      const fill = (count: number, booking: number) =>
        postgres.sql(
          `INSERT INTO trip_item (booking_id, text, image_file, image_width, image_height)
           SELECT ${booking}, 'x', md5(${booking} || '.' || i) || '.png', 1, 1
           FROM generate_series(1, ${count}) AS i`,
          database,
        );
      await Promise.all([fill(100, others[0] ?? 0), fill(98, others[1] ?? 0), fill(1, trip)]);
      const send = (booking: number, key: string) =>
        ada.send(path(booking), {
          ...{ method: "POST", body: form({ text: key }, picture) },
          headers: { "Idempotency-Key": key },
        });
      const answers = await Promise.all(
        ["a", "b", "c"].flatMap((key) => [send(trip, key), send(others[1] ?? 0, key)]),
      );
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [201, ...Array(5).fill(409)]);
      assert.equal((await stored()).length, 1);
      const refusal = (await answers.find(({ status }) => status === 409)?.json()) as Json;
      assert.equal(refusal.error, "pictures-full");
      assert.match(refusal.message, /200 pictures on your trips/);
      // Who has a picture's answer still gets it; texts, and other people, have room.
      const [first = 0] = answers.flatMap(({ status }, at) => (status === 201 ? [at] : []));
      const key = ["a", "b", "c"][Math.floor(first / 2)] ?? "";
      assert.equal((await send(first % 2 ? (others[1] ?? 0) : trip, key)).status, 201);
      await added(form({ text: "No picture" }));
      const { client: bob } = await visitor(postgres, database, app.url);
      const body = form({ text: "x" }, picture);
      const bobs = await bob.send(path(await book(bob)), { method: "POST", body });
      assert.equal(bobs.status, 201);
    });

    describe("A8: what will be refused is not received first", () => {
      /** Sends a form's beginning and no more of it, as one upload of 5 MB begins. */
      const begin = async (booking: number) => {
        const file = `--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n`;
        const headers = Object.entries({
          ...{ Host: new URL(app.url).host, ...ada.headers, "Content-Length": String(5_000_000) },
          "Content-Type": "multipart/form-data; boundary=b",
        }).map((pair) => pair.join(": "));
        const head = [`POST ${path(booking)} HTTP/1.1`, ...headers, "", ""].join("\r\n");
        const bytes = Buffer.concat([Buffer.from(head + file), png(100_000)]);
        const { status, text } = await sendRaw(app.url, bytes, { limitMs: 1000 });
        return [status, /"error":"([^"]+)"/.exec(text)?.[1]];
      };
      const large = { content: png(5_000_000) };

      it("A8: a trip that there is not, a full list, no room for pictures", async () => {
        const { client: bob } = await visitor(postgres, database, app.url);
        const bobs = await book(bob);
        assert.deepEqual(await begin(bobs), [404, "not-found"]);
        await refused(
          () => ada.send(path(bobs), { method: "POST", body: form({}, large) }),
          404,
          "not-found",
        );
        const fill = (booking: number) =>
          postgres.sql(
            `INSERT INTO trip_item (booking_id, text, image_file, image_width, image_height)
             SELECT ${booking}, 'x', md5(${booking} || '.' || i) || '.png', 1, 1
             FROM generate_series(1, 100) AS i`,
            database,
          );
        await fill(trip);
        assert.deepEqual(await begin(trip), [409, "list-full"]);
        await refused(() => add(ada, form({ text: "x" }, large)), 409, "list-full");
        await fill(await book(ada));
        trip = await book(ada);
        assert.deepEqual(await begin(trip), [409, "pictures-full"]);
        await refused(() => add(ada, form({ text: "x" }, large)), 409, "pictures-full");
        await added(form({ text: "No picture" }));
      });

      it("A11: a repeat of what filled the list gets the first answer", async () => {
        await postgres.sql(
          `INSERT INTO trip_item (booking_id, text) SELECT ${trip}, 'x' FROM generate_series(1, 99)`,
          database,
        );
        const key = { "Idempotency-Key": "last" };
        const first = await add(ada, form({ text: "Last" }, picture), key);
        const again = await add(ada, form({ text: "Last" }, picture), key);
        assert.deepEqual([first.status, again.status], [201, 201]);
        assert.equal(await again.text(), await first.text());
      });
    });

    it("A8: a trip that goes in that very moment is none: 404, and no file is left", async () => {
      const { port } = postgres;
      const deleting = new pg.Client({ host: "127.0.0.1", port, database, user: "postgres" });
      await deleting.connect();
      await deleting.query("BEGIN");
      await deleting.query(`DELETE FROM account WHERE id = ${adaId}`);
      await refused(
        async () => {
          const answer = add(ada, form({ text: "x" }, picture));
          await until(
            "the item waits for its booking",
            () => postgres.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
            (rows) => rows.length > 0,
          );
          await deleting.query("COMMIT");
          await deleting.end();
          return await answer;
        },
        404,
        "not-found",
      );
    });

    it("A8: a row that cannot be inserted leaves no file", async () => {
      await postgres.sql(
        "ALTER TABLE trip_item ADD CONSTRAINT never CHECK (false) NOT VALID",
        database,
      );
      await refused(() => add(ada, form({ text: "x" }, picture)), 500, "internal");
      await postgres.sql("ALTER TABLE trip_item DROP CONSTRAINT never", database);
    });
  });

  describe("A11: idempotency of the list", () => {
    it("A11: ten at once with one key add one item and one file", async () => {
      const key = { "Idempotency-Key": "item-1" };
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => add(ada, form({ text: "Once" }, picture), key)),
      );
      const bodies = await Promise.all(answers.map((answer) => answer.text()));
      assert.equal(new Set(bodies).size, 1);
      assert.deepEqual([(await rows()).length, (await stored()).length], [1, 1]);
    });

    it("A11: the same key with another text or picture is refused, and nothing is left of it", async () => {
      const key = { "Idempotency-Key": "item-2" };
      await add(ada, form({ text: "Once" }, picture), key);
      const reused = "idempotency-key-reused";
      await refused(() => add(ada, form({ text: "Twice" }, picture), key), 422, reused);
      await refused(
        () => add(ada, form({ text: "Once" }, { content: png(999) }), key),
        422,
        reused,
      );
      await refused(() => add(ada, "Once", key), 422, reused);
    });

    it("A11: a commit without an answer: the file stays with its row, and a key finds both", async () => {
      const cut = async (key: Record<string, string>) => {
        const before = proxy.cuts;
        Object.assign(proxy, { cutSince: "INSERT INTO trip_item", cutAfter: "COMMIT" });
        until("the commit is cut", () => proxy.cuts > before).then(() => {
          proxy.cutAfter = undefined;
        });
        return await add(ada, form({ text: "Cut" }, picture), key);
      };
      assert.equal((await cut({})).status, 500);
      assert.deepEqual(await stored(), await rows());
      assert.equal((await cut({ "Idempotency-Key": "item-3" })).status, 201);
      assert.deepEqual(await stored(), (await rows()).sort());
      assert.equal((await rows()).length, 2);
    });
  });

  describe("A8: the trip's page", () => {
    const key = (text: string) => /name="idempotencyKey" value="([^"]+)"/.exec(text)?.[1] ?? "";
    const page = async () => (await ada.page(`/bookings/${trip}`)).text;
    const post = (data: FormData) =>
      ada.send(`/bookings/${trip}/items`, {
        method: "POST",
        body: data,
        headers: { Accept: "text/html" },
      });

    it("A8: adds by form, ticks and removes, without JavaScript", async () => {
      const empty = await page();
      assert.match(empty, /Nothing to do yet/);
      const data = () => form({ text: "Sun <cream>", idempotencyKey: key(empty) }, picture);
      const answers = await Promise.all([post(data()), post(data())]);
      assert.deepEqual(
        answers.map((answer) => [answer.status, answer.headers.get("location")]),
        Array(2).fill([303, `/bookings/${trip}`]),
      );
      const [item] = await items();
      const shown = await page();
      assert.match(shown, /It is on the list/);
      assert.match(shown, /Sun &lt;cream/);
      assert.ok(shown.includes(`src="${item.image}"`));
      const tick = await ada.form(`/bookings/${trip}/items/${item.id}/tick`, { done: "true" });
      assert.equal(tick.headers.get("location"), `/bookings/${trip}#items`);
      assert.equal((await items())[0].done, true);
      await ada.form(`/bookings/${trip}/items/${item.id}/tick`, { done: "false" });
      assert.equal((await items())[0].done, false);
      const remove = () => ada.form(`/bookings/${trip}/items/${item.id}/delete`, {});
      assert.match((await remove()).headers.get("set-cookie") ?? "", /item-removed/);
      assert.match((await remove()).headers.get("set-cookie") ?? "", /item-gone/);
      assert.deepEqual(await items(), []);
    });

    it("A8: keeps the text when the picture is refused, and tells it at the picture", async () => {
      const answer = await post(form({ text: "Kept" }, { content: Buffer.from("no picture") }));
      const text = await answer.text();
      assert.equal(answer.status, 415);
      assert.match(text, /name="text"[^>]*value="Kept"/);
      assert.match(text, /id="image-error"[^>]*>This file is not a PNG/);
      const empty = await post(form({ text: "" }));
      assert.match(await empty.text(), /id="text-error"[^>]*>The text is empty/);
    });
  });

  describe("A8: what is left over", () => {
    let admin: Database;
    before(() => {
      admin = new Database(config("admin"), () => {});
    });
    after(() => admin.close());

    it("A8: the sweeper removes trips' pictures without an item, and only those", async () => {
      const { image } = await added(form({ text: "Look" }, picture));
      const kept = image.split("/").at(-1);
      const orphan = `${"a".repeat(32)}.png`;
      const temporary = `.upload-${"b".repeat(32)}.part`;
      for (const name of [orphan, temporary, "README"]) {
        await writeFile(join(uploads, "trips", name), "x");
      }
      await sleep(60);
      const removed = await sweep(admin, { directory: uploads, graceMs: 50 });
      assert.deepEqual(removed.sort(), [temporary, orphan].sort());
      assert.deepEqual(await stored(), [kept, "README"].sort());
    });

    it("A8: a name in the gallery keeps no trip's picture, and the other way round", async () => {
      const { image } = await added(form({ text: "Look" }, picture));
      const file = image.split("/").at(-1);
      await writeFile(join(uploads, file), "x");
      await sleep(60);
      assert.deepEqual(await sweep(admin, { directory: uploads, graceMs: 50 }), [file]);
      assert.deepEqual([await stored(), (await files(uploads)).includes(file)], [[file], false]);
    });

    it("A8: pictures of a deleted account go with the next sweep", async () => {
      await added(form({ text: "Look" }, picture));
      await postgres.sql(`DELETE FROM account WHERE id = ${adaId}`, database);
      await sleep(60);
      assert.equal((await sweep(admin, { directory: uploads, graceMs: 50 })).length, 1);
      assert.deepEqual(await stored(), []);
    });

    it("A8: no folder of trips yet is no trouble", async () => {
      await rm(join(uploads, "trips"), { recursive: true, force: true });
      assert.deepEqual(await sweep(admin, { directory: uploads, graceMs: 50 }), []);
    });

    it("A8: a process killed between file and row leaves an orphan that is swept", async () => {
      const server = await spawnServer(config());
      await mkdir(join(uploads, "trips"), { recursive: true });
      const client = ada.at(server.url);
      assert.equal((await client.send(path())).status, 200);
      proxy.mode = "pass";
      // The session is looked up first; only the row must not get through.
      Object.assign(proxy, { cutAfter: "pg_advisory_xact_lock", cuts: 0 });
      const isUnderWay = until("the row is on its way", () => proxy.cuts > 0).then(() => {
        proxy.mode = "silence";
      });
      const answer = client
        .send(path(), { method: "POST", body: form({ text: "Killed" }, picture) })
        .catch(() => "lost");
      await until("the file has its final name", stored, ([file]) => /^\w+\.png$/.test(file ?? ""));
      // The file comes first: killed before its row is sent, the sweep's own lock would be cut.
      await isUnderWay;
      server.child.kill("SIGKILL");
      assert.equal(await answer, "lost");
      await server.exit;
      proxy.mode = "pass";
      proxy.closeAll();
      await sleep(60);
      assert.equal((await sweep(admin, { directory: uploads, graceMs: 50 })).length, 1);
      assert.deepEqual([await rows(), await stored()], [[], []]);
    });
  });
});
