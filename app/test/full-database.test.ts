import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { asAdmin } from "./support/admin.ts";
import {
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { docker } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { type Client, visitor } from "./support/visitor.ts";

// The tables of one database lie on a disk of their own, which fills up.
describe("a database whose disk is full", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let client: Client;
  let trip: number;

  const sql = (text: string) => postgres.sql(text, name);

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name, writer: postgres }, uploads));
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
    ({ client } = await visitor(postgres, name, storefront.url));
    const offerId = await offerRow(postgres, name);
    const booked = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    trip = ((await booked.json()) as { id: number }).id;
    // As superuser: the smallest disk that there is, the container's memory
    await docker("exec", postgres.container, "bash", "-c", "install -d -o postgres /dev/shm/small");
    await sql("CREATE TABLESPACE small LOCATION '/dev/shm/small'");
    for (const table of ["trip_item", "content", "booking"]) {
      await sql(`ALTER TABLE ${table} SET TABLESPACE small`);
    }
    // Every page of these tables is taken, and so is every byte of the disk
    await sql(`INSERT INTO trip_item (booking_id, text)
      SELECT ${trip}, repeat('x', 200) FROM generate_series(1, 90)`);
    await docker("exec", postgres.container, "bash", "-c", fill);
  });
  after(async () => {
    await docker("exec", postgres.container, "rm", "-f", "/dev/shm/filler");
    await Promise.all([storefront?.close(), admin?.close()]);
    if (name) await postgres.sql(`DROP DATABASE ${name} WITH (FORCE)`);
    await postgres.sql("DROP TABLESPACE small").catch(() => {});
    if (uploads) await rm(uploads, { recursive: true });
  });
  const fill = "dd if=/dev/zero of=/dev/shm/filler bs=4k 2>/dev/null; true";

  const error = async (answer: Response) => [
    answer.status,
    ((await answer.json()) as { error: string }).error,
    Number(answer.headers.get("retry-after")) > 0,
  ];
  const full = [503, "database-full", true];
  /** Fills the page that is there, until the table needs another one. */
  const untilFull = async (send: () => Promise<Response>) => {
    const done: number[] = [];
    for (let i = 0; i < 400; i += 1) {
      const answer = await send();
      if (answer.status !== 201) return { done, answer };
      done.push(((await answer.json()) as { id: number }).id);
    }
    throw new Error("it never gets full");
  };

  it("S4: changes answer 503 with Retry-After; reads go on, and nothing acknowledged is lost", async () => {
    const offerId = await offerRow(postgres, name, { quantity: 100_000 });
    const book = () => client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    const { done, answer } = await untilFull(book);
    assert.deepEqual(await error(answer), full);
    assert.equal((await client.send("/api/bookings")).status, 200);
    assert.equal((await fetch(`${storefront.url}/`)).status, 200);
    const rows = await sql(`SELECT id FROM booking WHERE offer_id = ${offerId} ORDER BY id`);
    assert.deepEqual(
      rows.map(({ id }) => id),
      done,
    );
    const [offer] = await sql(`SELECT quantity FROM offer WHERE id = ${offerId}`);
    assert.equal(offer?.quantity, 100_000 - done.length, "the places are not taken either");
    const page = await client.form("/bookings", { offerId: String(offerId), quantity: "1" });
    assert.equal(page.status, 503);
    assert.match(await page.text(), /There is no room to save changes at the moment/);
  });

  it("S4: an upload without a row leaves no file, and no room taken", async () => {
    const upload = () =>
      fetch(`${admin.url}/api/content`, {
        ...{ method: "POST", headers: asAdmin },
        body: form({ quote: "x".repeat(500) }, { content: png(1000) }),
      });
    const { done, answer } = await untilFull(upload);
    assert.deepEqual(await error(answer), full);
    assert.equal((await readdir(uploads)).length, done.length);
    const [sum] = await sql("SELECT used_bytes FROM upload_budget");
    assert.equal(Number(sum?.used_bytes), done.length * 1000);
  });

  it("S4: it goes on by itself once there is room", async () => {
    await docker("exec", postgres.container, "rm", "/dev/shm/filler");
    const answer = await client.json("POST", `/api/bookings/${trip}/items`, { text: "again" });
    assert.equal(answer.status, 201);
  });
});
