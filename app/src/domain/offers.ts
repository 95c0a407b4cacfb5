import { z } from "zod";
import type { CachedReads, CacheUse } from "../data/cached-reads.ts";
import { type Database, foreignKeyViolation, type Position, type Query } from "../data/database.ts";
import { once, requestHash } from "../data/idempotency.ts";
import { HttpError } from "../lib/errors.ts";
import { noNumber } from "./numbers.ts";
import { limitSchema } from "./paging.ts";
import { asSeen, asSeenSql, text } from "./texts.ts";
import { check, Invalid, idSchema, readBack } from "./validation.ts";

/** What can be booked. */
export const offerKinds = ["flight", "bus", "hotel"] as const;

const kind = z
  .enum(offerKinds, { error: "The kind is flight, bus or hotel." })
  .meta({ description: "What can be booked." });

const whole = (name: string, most: number) =>
  z
    .number({ error: noNumber(name, "1200") })
    .int(`The ${name} is not a whole number.`)
    .min(0, `The ${name} is less than 0.`)
    .max(most, `The ${name} is more than ${most}.`);

const date = (name: string) =>
  z.iso
    .date({ error: `The ${name} is not a date like 2027-05-12.` })
    .regex(/^20\d\d-/, `The ${name} is not between 2000 and 2099.`);

const fields = {
  kind,
  name: text("name", 120).meta({ description: "With the kind, what an offer is known by." }),
  origin: text("origin", 80, { empty: true }).meta({
    description: "Where it starts; empty for a hotel.",
  }),
  place: text("place", 80).meta({ description: "Where it goes, or where the hotel is." }),
  startsOn: date("first day").meta({ description: "The first day." }),
  endsOn: date("last day").meta({ description: "The last day, not before the first." }),
  priceCents: z
    .number({ error: noNumber("price", "1200 or 1200.50") })
    .int("The price has parts of a cent.")
    .min(0, "The price is less than 0.")
    .max(100_000_000, "The price is more than 1,000,000.00.")
    .meta({ description: "Price of one, in cents of a euro." }),
  quantity: whole("quantity", 1_000_000).meta({ description: "How many are left." }),
};

const endsTooSoon = "The last day is before the first one.";

/** A new offer, as a client sends it. */
export const offerInput = z
  .object({ ...fields, origin: fields.origin.default("") })
  .refine(({ startsOn, endsOn }) => endsOn >= startsOn, { path: ["endsOn"], error: endsTooSoon })
  .meta({ id: "NewOffer", description: "A new offer." });

/** An offer to add or to change: only kind and name must be there. */
export const offerUpdate = z
  .object({
    kind: fields.kind,
    name: fields.name,
    origin: fields.origin.optional(),
    place: fields.place.optional(),
    startsOn: fields.startsOn.optional(),
    endsOn: fields.endsOn.optional(),
    priceCents: fields.priceCents.optional(),
    quantity: fields.quantity.optional(),
  })
  .meta({
    id: "OfferUpdate",
    description: "A new offer with all its fields, or those fields of a known one that change.",
  });

/** An offer as clients see it. */
export const offerSchema = z
  .object({
    id: z.int().min(1),
    kind,
    name: z.string().meta({ description: "With the kind, what an offer is known by." }),
    origin: z.string().meta({ description: "Where it starts; empty for a hotel." }),
    place: z.string().meta({ description: "Where it goes, or where the hotel is." }),
    startsOn: z.iso.date(),
    endsOn: z.iso.date(),
    priceCents: z.int().min(0).meta({ description: "Price of one, in cents of a euro." }),
    quantity: z.int().min(0).meta({ description: "How many are left." }),
  })
  .meta({ id: "Offer", description: "A flight, a bus ride or a stay that can be booked." });

const cursorPattern = /^(20\d\d-\d\d-\d\d)\.([1-9]\d{0,9})$/;

function openCursor(value: string): { startsOn: string; id: number } | undefined {
  const [, startsOn = "", id = ""] = cursorPattern.exec(value) ?? [];
  const valid = z.iso.date().safeParse(startsOn).success && idSchema.safeParse(id).success;
  return valid ? { startsOn, id: Number(id) } : undefined;
}

/** What is looked for. Everything is optional; dates are the offer's first day. */
export const offerSearch = z
  .object({
    kind: kind.optional(),
    place: text("place", 80, { empty: true })
      .optional()
      .meta({ description: "Part of the name of the place, in any case." }),
    from: date("earliest day")
      .optional()
      .meta({ description: "The earliest first day; without it, today." }),
    until: date("latest day").optional().meta({ description: "The latest first day." }),
    limit: limitSchema,
    after: z
      .string()
      .regex(cursorPattern, "after is taken from the next of an earlier answer.")
      .refine((value) => openCursor(value), "after is taken from the next of an earlier answer.")
      .optional()
      .meta({ description: "Where the list goes on; `next` of an answer holds it." }),
  })
  .refine(({ from, until }) => !from || !until || until >= from, {
    path: ["until"],
    error: "The latest day is before the earliest one.",
  });

export type OfferInput = z.infer<typeof offerInput>;
export type OfferUpdate = z.infer<typeof offerUpdate>;
export type Offer = z.infer<typeof offerSchema>;
export type OfferSearch = z.infer<typeof offerSearch>;

/** Offers in the order of their first day. */
export interface OfferPage {
  items: Offer[];
  /** The `after` of the next page; null on the last one. */
  next: string | null;
}

/** The columns of an offer, under the names that clients see. */
export const offerColumns = `offer.id, offer.kind, offer.name, offer.origin, offer.place,
  to_char(offer.starts_on, 'YYYY-MM-DD') AS "startsOn",
  to_char(offer.ends_on, 'YYYY-MM-DD') AS "endsOn",
  offer.price_cents AS "priceCents", offer.quantity`;

const toOffer = (row: Offer): Offer => readBack(offerSchema, "offer", row);

/** Finds offers, the soonest first; the order stays the same from page to page. */
export async function searchOffers(query: Query, search: OfferSearch): Promise<OfferPage> {
  const { limit, place = "" } = search;
  const after = search.after === undefined ? undefined : openCursor(search.after);
  const rows = await query<Offer>(
    `SELECT ${offerColumns} FROM offer
     WHERE ($1::text IS NULL OR kind = $1)
       AND strpos(lower(place), lower($2)) > 0
       AND starts_on >= coalesce($3::date, current_date)
       AND ($4::date IS NULL OR starts_on <= $4)
       AND ($5::date IS NULL OR (starts_on, id) > ($5, $6::integer))
     ORDER BY starts_on, id LIMIT $7`,
    [search.kind, place, search.from, search.until, after?.startsOn, after?.id, limit + 1],
  );
  const items = rows.slice(0, limit).map(toOffer);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last ? `${last.startsOn}.${last.id}` : null };
}

/** As `searchOffers`, out of the cache where that is safe. */
export function readOffers(
  cached: CachedReads,
  search: OfferSearch,
  after?: Position,
): Promise<{ value: OfferPage; cache: CacheUse }> {
  const { kind, place, from, until, limit } = search;
  const name = JSON.stringify(["list", kind, place, from, until, limit, search.after]);
  return cached.read("offers", name, (query) => searchOffers(query, search), after);
}

/** Lists all offers, past ones too, the newest first, those with an id below `before`. */
export async function listOffers(
  query: Query,
  { limit, before }: { limit: number; before?: number | undefined },
): Promise<{ items: Offer[]; next: number | null }> {
  const rows = await query<Offer>(
    `SELECT ${offerColumns} FROM offer WHERE $1::integer IS NULL OR id < $1
     ORDER BY id DESC LIMIT $2`,
    [before, limit + 1],
  );
  const items = rows.slice(0, limit).map(toOffer);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

/** One offer, if it is there. */
export async function findOffer(query: Query, id: number): Promise<Offer | undefined> {
  const [row] = await query<Offer>(`SELECT ${offerColumns} FROM offer WHERE id = $1`, [id]);
  return row && toOffer(row);
}

/** Inserts an offer. @returns nothing where one of this kind and name is there */
export async function insertOffer(query: Query, offer: OfferInput): Promise<Offer | undefined> {
  const [row] = await query<Offer>(
    `INSERT INTO offer (kind, name, origin, place, starts_on, ends_on, price_cents, quantity)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, name) DO NOTHING
     RETURNING ${offerColumns}`,
    valuesOf(offer),
  );
  return row && toOffer(row);
}

function valuesOf(offer: OfferInput): unknown[] {
  const { kind, name, origin, place, startsOn, endsOn, priceCents, quantity } = offer;
  return [kind, name, origin, place, startsOn, endsOn, priceCents, quantity];
}

/** An offer that was saved, and whether it is new. */
export interface Saved {
  offer: Offer;
  created: boolean;
}

/**
 * Adds an offer; of a known one (same kind and name) changes what is given, the quantity above all.
 * @param key the request's idempotency key; repeats with the same key get the first answer
 * @throws Invalid where a new one lacks a field, or the days are in the wrong order
 */
export async function saveOffer(
  database: Database,
  given: OfferUpdate,
  key: string | undefined,
): Promise<{ value: Saved; position: Position }> {
  const hash = requestHash([JSON.stringify(given)]);
  const claim = { table: "idempotency_key", scope: "offer.save", requestHash: hash } as const;
  return await database.write(
    (query) => {
      const save = () => upsert(query, given);
      return key ? once(query, { ...claim, key }, save) : save();
    },
    // A quantity is not safe to set twice: places may have been booked in between.
    { idempotent: key !== undefined },
  );
}

async function upsert(query: Query, given: OfferUpdate): Promise<Saved> {
  const name = asSeen(given.name);
  // Two names that look the same are one offer's, which no unique index says: a release before this
  // one may have added such twins, and may do so while it still serves.
  await query("SELECT pg_advisory_xact_lock(hashtext('hastack offer'), hashtext($1))", [
    `${given.kind} ${name}`,
  ]);
  const [known] = await query<Offer>(
    `SELECT ${offerColumns} FROM offer WHERE kind = $1 AND ${asSeenSql("name")} = $2
     ORDER BY name = $3 DESC, id LIMIT 1 FOR NO KEY UPDATE`,
    [given.kind, name, given.name],
  );
  if (known) return { offer: await change(query, known, given), created: false };
  const offer = await insertOffer(query, check(offerInput, given));
  // Somebody else has just added it: it is a known one now.
  return offer ? { offer, created: true } : await upsert(query, given);
}

async function change(query: Query, known: Offer, given: OfferUpdate): Promise<Offer> {
  const startsOn = given.startsOn ?? known.startsOn;
  const endsOn = given.endsOn ?? known.endsOn;
  if (endsOn < startsOn) throw new Invalid({ endsOn: endsTooSoon });
  const [row] = await query<Offer>(
    `UPDATE offer SET origin = coalesce($2, origin), place = coalesce($3, place),
       starts_on = $4, ends_on = $5,
       price_cents = coalesce($6, price_cents), quantity = coalesce($7, quantity)
     WHERE id = $1 RETURNING ${offerColumns}`,
    [known.id, given.origin, given.place, startsOn, endsOn, given.priceCents, given.quantity],
  );
  return toOffer(row as Offer);
}

/** A new quantity, and the one that it is to take the place of. */
export const quantityInput = z.object({
  quantity: fields.quantity,
  was: z
    .int({ error: "How many were left is missing: open the page again." })
    .max(2_147_483_647, "How many were left is not a valid number: open the page again."),
});

/** Another quantity is left than the one that was to be replaced. */
export class QuantityMoved extends HttpError {
  readonly left: number;

  constructor(left: number) {
    const now = left === 1 ? "1 is" : `${left || "None"} are`;
    super(
      409,
      "quantity-moved",
      `${now} left now: it was booked or changed meanwhile. Look again.`,
    );
    this.left = left;
  }
}

/**
 * Says how many of an offer are left, where as many are left as whoever says so has seen: a booking
 * in between is never overwritten.
 * @throws HttpError 404; QuantityMoved
 */
export async function setQuantity(
  database: Database,
  id: number,
  { quantity, was }: z.infer<typeof quantityInput>,
): Promise<Position> {
  const { position } = await database.write(
    async (query) => {
      const set = await query(
        "UPDATE offer SET quantity = $2 WHERE id = $1 AND quantity = $3 RETURNING id",
        [id, quantity, was],
      );
      if (set.length > 0) return;
      const found = await findOffer(query, id);
      throw found ? new QuantityMoved(found.quantity) : noOffer();
    },
    // Not tried again after a commit without an answer. Mostly that would only be refused; but where
    // the places that it added have been booked since, `was` is left once more, and it would add them
    // a second time.
    { idempotent: false },
  );
  return position;
}

/** Removes an offer that nobody has booked. @throws HttpError 404, 409 `offer-booked` */
export async function removeOffer(database: Database, id: number): Promise<Position> {
  let found = false;
  const { position } = await database.write(
    async (query) => {
      const removed = await query("DELETE FROM offer WHERE id = $1 RETURNING id", [id]).catch(
        (error: { code?: string }) => {
          throw error.code === foreignKeyViolation ? offerBooked() : error;
        },
      );
      // When a first commit went unanswered, the row may be gone because of it.
      found ||= removed.length > 0;
      if (!found) throw noOffer();
    },
    { idempotent: true },
  );
  return position;
}

/** 404 for an offer. */
export function noOffer(): HttpError {
  return new HttpError(404, "not-found", "There is no such offer.");
}

function offerBooked(): HttpError {
  return new HttpError(
    409,
    "offer-booked",
    "This offer has bookings and stays. Set its quantity to 0 to sell no more of it.",
  );
}
