import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Database } from "../src/data/database.ts";
import { measureUploads, removeDropped, sweep } from "../src/run/sweeper.ts";
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
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { type Client, visitor } from "./support/visitor.ts";

const mega = 1024 * 1024;

/** A visitor with a trip. */
interface Traveller {
  client: Client;
  id: number;
  path: string;
}

describe("budget of uploads", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let storefronts: TestApp[];
  let admin: TestApp;
  let sweeper: Database;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const config = (tier: "storefront" | "admin") =>
      serverConfig(tier, { name, writer: postgres }, uploads);
    storefronts = await Promise.all([1, 2].map(() => startApp(config("storefront"))));
    admin = await startApp(config("admin"));
    sweeper = new Database(config("admin"), () => {});
  });
  after(async () => {
    await Promise.all([...(storefronts ?? []), admin].map((app) => app?.close()));
    await sweeper?.close();
    if (uploads) await rm(uploads, { recursive: true });
  });
  beforeEach(async () => {
    await sql("DELETE FROM account");
    await sql("DELETE FROM content");
    await sql("UPDATE upload SET until = now() - interval '1 second'");
    await removeDropped(sweeper, { directory: uploads, keepDays: 0 });
    assert.deepEqual([await used(), await stored()], [0, []]);
    await budget(100 * mega, 10 * mega);
  });

  const sql = <Row extends Record<string, unknown>>(text: string) => postgres.sql<Row>(text, name);
  const budget = (total: number, account: number) =>
    sql(`UPDATE upload_budget SET total_bytes = ${total}, visitor_bytes = ${account}`);
  const used = async () =>
    Number(
      (await sql<{ used_bytes: string }>("SELECT used_bytes FROM upload_budget"))[0]?.used_bytes,
    );
  const usedBy = async (account: number) =>
    Number(
      (
        await sql<{ used_bytes: string }>(
          `SELECT used_bytes FROM account_upload WHERE account_id = ${account}`,
        )
      )[0]?.used_bytes ?? 0,
    );
  const stored = async () =>
    (await readdir(uploads, { recursive: true })).filter((file) => /\.\w+$/.test(file));
  const rows = () => sql("SELECT image_file FROM trip_item WHERE image_file IS NOT NULL");
  /** The books are right: each sum is that of the rows, and of the files. */
  const audited = async () => {
    const [row] = await sql<{ used: string; sum: string; accounts: string; own: string }>(
      `SELECT used_bytes AS used, (SELECT coalesce(sum(bytes), 0) FROM upload) AS sum,
         (SELECT coalesce(sum(used_bytes), 0) FROM account_upload) AS accounts,
         (SELECT coalesce(sum(bytes), 0) FROM upload WHERE account_id IS NOT NULL) AS own
       FROM upload_budget`,
    );
    assert.deepEqual([row?.used, row?.accounts], [row?.sum, row?.own]);
  };
  afterEach(audited);

  const traveller = async (app = storefronts[0] as TestApp): Promise<Traveller> => {
    const { client, id } = await visitor(postgres, name, app.url);
    const offerId = await offerRow(postgres, name);
    const answer = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    const booking = ((await answer.json()) as { id: number }).id;
    return { client, id, path: `/api/bookings/${booking}/items` };
  };
  const add = ({ client, path }: Traveller, bytes: number, headers: Record<string, string> = {}) =>
    client.send(path, {
      ...{ method: "POST", headers },
      body: form({ text: "x" }, { content: png(bytes) }),
    });
  const addToGallery = (bytes: number, headers: Record<string, string> = {}) =>
    fetch(`${admin.url}/api/content`, {
      ...{ method: "POST", headers: { ...asAdmin, ...headers } },
      body: form({ quote: "x" }, { content: png(bytes) }),
    });
  const errorOf = async (answer: Response) => ((await answer.json()) as { error: string }).error;
  /** Asserts an error, and that nothing came of it. */
  const refused = async (sent: Promise<Response>, status: number, code: string) => {
    const before = [(await stored()).sort(), await rows(), await used()];
    const answer = await sent;
    assert.equal(answer.status, status, await answer.clone().text());
    assert.equal(await errorOf(answer), code);
    assert.deepEqual([(await stored()).sort(), await rows()], before.slice(0, 2));
    // An answer waits for it a second at most
    await until("no room is taken", used, (bytes) => bytes <= Number(before[2]), 5);
    return answer;
  };

  it("A2, A8: what is stored counts with its own size, and no more once it is removed", async () => {
    const ada = await traveller();
    const answer = await add(ada, 100_000);
    assert.equal(answer.status, 201, await answer.clone().text());
    const { id } = (await answer.json()) as { id: number };
    assert.deepEqual([await used(), await usedBy(ada.id)], [100_000, 100_000]);
    const gallery = await addToGallery(50_000);
    assert.equal(gallery.status, 201);
    assert.deepEqual([await used(), await usedBy(ada.id)], [150_000, 100_000]);
    assert.equal((await ada.client.send(`${ada.path}/${id}`, { method: "DELETE" })).status, 204);
    assert.deepEqual([await used(), await usedBy(ada.id)], [50_000, 0]);
    const item = (await gallery.json()) as { id: number };
    const gone = await fetch(`${admin.url}/api/content/${item.id}`, {
      ...{ method: "DELETE", headers: asAdmin },
    });
    assert.equal(gone.status, 204);
    assert.deepEqual([await used(), await stored()], [0, []]);
  });

  it("S4, A8: beyond its account's budget an upload is refused with 507; another account's is not", async () => {
    const [ada, bob] = [await traveller(), await traveller()];
    for (let i = 0; i < 3; i += 1) assert.equal((await add(ada, 3 * mega)).status, 201);
    const answer = await refused(add(ada, 3 * mega), 507, "account-uploads-full");
    assert.equal(answer.headers.get("retry-after"), null);
    assert.equal((await add(bob, 3 * mega)).status, 201);
    assert.equal((await ada.client.json("POST", ada.path, { text: "no picture" })).status, 201);
  });

  it("S4, A2: beyond the budget of all, one is refused with 507 and Retry-After, the gallery's too", async () => {
    const ada = await traveller();
    await budget(5 * mega, 10 * mega);
    assert.equal((await add(ada, 3 * mega)).status, 201);
    const answer = await refused(add(ada, 3 * mega), 507, "uploads-full");
    assert.equal(answer.headers.get("retry-after"), "300");
    await refused(addToGallery(3 * mega), 507, "uploads-full");
    assert.equal((await addToGallery(mega)).status, 201);
  });

  it("S4, A8: thirty at once, at two instances, do not get past either budget", async () => {
    const travellers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => traveller(storefronts[i % 2])),
    );
    await budget(8 * mega, 2 * mega);
    const answers = await Promise.all(
      travellers.flatMap((one) => [1, 2, 3, 4, 5].map(() => add(one, 900_000))),
    );
    const codes = await Promise.all(
      answers.map(async (answer) => (answer.status === 201 ? "stored" : await errorOf(answer))),
    );
    const count = (code: string) => codes.filter((one) => one === code).length;
    // Two of 0.9 MB fit into 2 MB, nine into 8 MB
    assert.equal(count("stored"), 9, codes.join(" "));
    assert.equal(count("account-uploads-full") + count("uploads-full"), 21, codes.join(" "));
    assert.deepEqual([await used(), (await stored()).length], [9 * 900_000, 9]);
    for (const one of travellers) assert.ok((await usedBy(one.id)) <= 2 * mega);
  });

  it("S4: nothing of a refused one is written, and it is refused before its body has come", async () => {
    const ada = await traveller();
    await budget(100 * mega, mega);
    const socket = begin(ada, 5_000_000);
    const text = await new Promise<string>((resolve) => {
      socket.once("data", (chunk) => resolve(chunk.toString()));
    });
    socket.destroy();
    assert.match(text, /^HTTP\/1\.1 507 /);
    assert.deepEqual([await stored(), await used()], [[], 0]);
  });

  /** Begins an upload that does not go on. */
  const begin = ({ client, path }: Traveller, length: number): Socket => {
    const { hostname, port, host } = new URL(client.url);
    const lines = Object.entries({
      ...{ Host: host, ...client.headers, "Content-Length": String(length) },
      "Content-Type": "multipart/form-data; boundary=b",
    }).map((pair) => pair.join(": "));
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    socket.write([`POST ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
    socket.write('--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n');
    socket.write(png(200_000));
    return socket;
  };

  it("S4, L10: uploads that are under way count, and those that are broken off count no more", async () => {
    const ada = await traveller();
    const sockets = [begin(ada, 4_500_000), begin(ada, 4_500_000)];
    await until("both are under way", stored, (files) => files.length === 2);
    await until("both count", used, (bytes) => bytes === 9_000_000);
    await refused(add(ada, 3 * mega), 507, "account-uploads-full");
    for (const socket of sockets) socket.destroy();
    await until("neither counts", used, (bytes) => bytes === 0, 5);
    assert.deepEqual(await stored(), []);
    assert.equal((await add(ada, 3 * mega)).status, 201);
  });

  it("S4, L10: who uploads and deletes again and again takes no more than what is there", async () => {
    const ada = await traveller();
    for (let round = 0; round < 8; round += 1) {
      const answer = await add(ada, 4 * mega);
      assert.equal(answer.status, 201, await answer.clone().text());
      const { id } = (await answer.json()) as { id: number };
      await ada.client.send(`${ada.path}/${id}`, { method: "DELETE" });
      assert.deepEqual([await stored(), await used()], [[], 0]);
    }
  });

  it("A2: one that is refused for what it is leaves no room taken", async () => {
    const ada = await traveller();
    const send = (content: Buffer, fields = { text: "x" }) =>
      ada.client.send(ada.path, { method: "POST", body: form(fields, { content }) });
    await refused(send(Buffer.from("<svg/>")), 415, "not-an-image");
    await refused(send(png(5 * mega + 1)), 413, "image-too-large");
    await refused(send(png(), { text: "" }), 422, "text-invalid");
    await refused(addToGallery(5 * mega + 10), 413, "image-too-large");
  });

  it("A8: a deleted account's pictures count until they are removed, which is with the next sweep", async () => {
    const ada = await traveller();
    assert.equal((await add(ada, mega)).status, 201);
    await sql(`DELETE FROM account WHERE id = ${ada.id}`);
    assert.deepEqual([await used(), (await stored()).length], [mega, 1]);
    assert.equal(await removeDropped(sweeper, { directory: uploads, keepDays: 0 }), 1);
    assert.deepEqual([await used(), await usedBy(ada.id), await stored()], [0, 0, []]);
  });

  it("S4: room that a crash has left is given back once its time is over, with whatever file there is", async () => {
    const file = `.upload-${"a".repeat(32)}.part`;
    await sql(`INSERT INTO upload (name, account_id, bytes, until)
      VALUES ('${"a".repeat(32)}', 1, 1000, now() + interval '1 minute')`);
    await writeFile(join(uploads, file), "x");
    assert.equal(await removeDropped(sweeper, { directory: uploads, keepDays: 0 }), 0);
    assert.deepEqual([await used(), await stored()], [1000, [file]]);
    await sql("UPDATE upload SET until = now()");
    assert.equal(await removeDropped(sweeper, { directory: uploads, keepDays: 0 }), 1);
    assert.deepEqual([await used(), await stored()], [0, []]);
  });

  it("S4: room goes with an orphan that is swept before its time is over", async () => {
    const orphan = `${"b".repeat(32)}.png`;
    await sql(`INSERT INTO upload (name, bytes, until)
      VALUES ('${"b".repeat(32)}', 1000, now() + interval '1 hour')`);
    await writeFile(join(uploads, orphan), "x");
    await sleep(60);
    assert.deepEqual(await sweep(sweeper, { directory: uploads, graceMs: 50 }), [orphan]);
    assert.equal(await used(), 0);
  });

  it("S4: a file whose time is over cannot be kept any more: no row without a file", async () => {
    const insert = (file: string) =>
      sql(`INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
        VALUES ('x', '${file}.png', 'image/png', 1, 1, 1)`);
    await sql(`INSERT INTO upload (name, bytes, until) VALUES ('${"c".repeat(32)}', 9, now())`);
    await assert.rejects(insert("c".repeat(32)), { code: "HA408" });
    // Nor one that another row names, or that another account has
    await sql(`INSERT INTO upload (name, bytes) VALUES ('${"d".repeat(32)}', 9)`);
    await assert.rejects(insert("d".repeat(32)), { code: "HA408" });
    await sql(`INSERT INTO upload (name, account_id, bytes, until)
      VALUES ('${"e".repeat(32)}', 5, 9, now() + interval '1 hour')`);
    await assert.rejects(insert("e".repeat(32)), { code: "HA408" });
  });

  it("A12: what the release before stores and removes counts as well, once it is measured", async () => {
    const ada = await traveller();
    const file = `${"f".repeat(32)}.png`;
    assert.equal((await add(ada, 1000)).status, 201);
    await writeFile(join(uploads, "trips", file), png(70_000));
    await sql(`INSERT INTO trip_item (booking_id, text, image_file, image_width, image_height)
      SELECT id, 'x', '${file}', 1, 1 FROM booking WHERE account_id = ${ada.id}`);
    assert.equal(await used(), 1000);
    assert.equal(await measureUploads(sweeper, uploads), 1);
    assert.deepEqual([await used(), await usedBy(ada.id)], [71_000, 71_000]);
    await sql(`DELETE FROM trip_item WHERE image_file = '${file}'`);
    await rm(join(uploads, "trips", file));
    assert.equal(await removeDropped(sweeper, { directory: uploads, keepDays: 0 }), 1);
    assert.equal(await used(), 1000);
  });

  it("A11: a repeat of what took the last room gets the first answer, and stores nothing", async () => {
    const ada = await traveller();
    await budget(100 * mega, mega);
    const key = { "Idempotency-Key": "last-room" };
    const first = await add(ada, 900_000, key);
    assert.equal(first.status, 201);
    const again = await add(ada, 900_000, key);
    assert.equal(again.status, 201);
    assert.equal(await again.text(), await first.text());
    await refused(add(ada, 910_000, key), 422, "idempotency-key-reused");
    await refused(add(ada, 900_000, { "Idempotency-Key": "other" }), 507, "account-uploads-full");
    await budget(mega, 5 * mega);
    await sql("DELETE FROM account");
    await removeDropped(sweeper, { directory: uploads, keepDays: 0 });
    assert.equal((await addToGallery(900_000, key)).status, 201);
    assert.equal((await addToGallery(900_000, key)).status, 201);
    assert.equal((await stored()).length, 1);
  });

  it("A15: health and metrics say what is used of how much", async () => {
    assert.equal((await addToGallery(1000)).status, 201);
    type Health = { storage: { usedBytes: number; budgetBytes: number } };
    await until(
      "the health of both tiers says it",
      async () =>
        await Promise.all(
          [admin, storefronts[0]].map(async (app) => {
            const { storage } = (await (await fetch(`${app?.url}/api/health`)).json()) as Health;
            return [storage.usedBytes, storage.budgetBytes];
          }),
        ),
      (seen) => seen.every(([bytes, all]) => bytes === 1000 && all === 100 * mega),
    );
    const metrics = await (await fetch(`${admin.url}/metrics`)).text();
    assert.match(metrics, /^upload_bytes 1000$/m);
    assert.match(metrics, /^upload_budget_bytes 104857600$/m);
    assert.match(metrics, /^store_operations_stuck 0$/m);
  });

  it("A12: a run of the migrations sets both budgets, and leaves what is used", async () => {
    assert.equal((await addToGallery(1000)).status, 201);
    await migrateDatabase(name, postgres, { uploadsMegabytes: 7, uploadsPerAccountMegabytes: 3 });
    assert.deepEqual(
      await sql("SELECT total_bytes, visitor_bytes, used_bytes FROM upload_budget"),
      [{ total_bytes: String(7 * mega), visitor_bytes: String(3 * mega), used_bytes: "1000" }],
    );
  });
});
