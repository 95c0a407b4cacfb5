/**
 * What the benchmark measures the application against, as a process of its own: Express and pg, the
 * same queries, the same answers, and nothing else. No validation, retries, cache, sessions, logs or
 * limits. Its configuration is the storefront's.
 */
import express from "express";
import pg from "pg";
import type { Query } from "../../src/data/database.ts";
import { findBooking } from "../../src/domain/bookings.ts";
import { listContent } from "../../src/domain/content.ts";
import { searchOffers } from "../../src/domain/offers.ts";
import { loadViews } from "../../src/http/views.ts";
import { loadServerConfig } from "../../src/run/config.ts";

const config = loadServerConfig();
const { poolSize: max, writer: connectionString } = config.database;
const pool = new pg.Pool({ connectionString, max });
const render = loadViews(config.release);

const on =
  (client: pg.Pool | pg.PoolClient): Query =>
  async (text, values) =>
    (await client.query(text, values)).rows;

/** The statement that the application sends for the offers, and its values. */
async function offersStatement(limit: number): Promise<[string, unknown[]]> {
  let found: [string, unknown[]] = ["", []];
  const note: Query = async (text, values = []) => {
    found = [text, values];
    return [];
  };
  await searchOffers(note, { limit });
  return found;
}

const app = express();
const offers = await offersStatement(50);

app.get("/api/offers", async (_request, response) => {
  const { rows } = await pool.query(...offers);
  response.json({ items: rows.slice(0, 50), next: null });
});

app.get("/", async (_request, response) => {
  const [page, { items }] = await Promise.all([
    listContent(on(pool), { limit: 12 }),
    searchOffers(on(pool), { limit: 3 }),
  ]);
  const frame = { instance: "bare", tier: "storefront", title: "Bare", path: "/" } as const;
  response
    .type("html")
    .send(render("gallery", { ...frame, page, before: undefined, offers: items }));
});

app.post("/api/bookings", express.json(), async (request, response) => {
  const account = Number(request.get("X-Account"));
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const { offerId, quantity } = request.body;
    const { rows } = await client.query("SELECT book($1, $2, $3) AS id", [
      account,
      offerId,
      quantity,
    ]);
    const booking = await findBooking(on(client), account, rows[0].id);
    await client.query("COMMIT");
    response.status(201).json(booking);
  } finally {
    client.release();
  }
});

app.use("/images", express.static(config.uploadsDirectory));
app.listen(config.listen.port, config.listen.host);
