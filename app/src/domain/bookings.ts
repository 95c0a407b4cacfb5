import { z } from "zod";
import type { Database, Position, Query } from "../data/database.ts";
import { once, requestHash } from "../data/idempotency.ts";
import { HttpError, LoginNeeded } from "../lib/errors.ts";
import { noNumber } from "./numbers.ts";
import { noOffer, type Offer, offerColumns, offerSchema } from "./offers.ts";
import { readBack } from "./validation.ts";

/** The most that one booking takes. */
export const mostPlaces = 100;

/** A booking, as a client asks for it. */
export const bookingInput = z
  .object({
    offerId: z
      .number({ error: "offerId is missing, or not a number." })
      .int("offerId is not a whole number.")
      .min(1, "There is no such offer.")
      .max(2_147_483_647, "There is no such offer."),
    quantity: z
      .number({ error: noNumber("quantity", "2") })
      .int("The quantity is not a whole number.")
      .min(1, "The quantity is less than 1.")
      .max(mostPlaces, `One booking takes at most ${mostPlaces}.`)
      .meta({ description: "How many are taken." }),
  })
  .meta({ id: "NewBooking" });

/** A booking as its owner sees it. */
export const bookingSchema = z
  .object({
    id: z.int().min(1),
    offer: offerSchema,
    quantity: z.int().min(1).meta({ description: "How many were taken." }),
    priceCents: z.int().min(0).meta({ description: "Price of one when it was booked." }),
    total: z.int().min(0).meta({ description: "Price of all, in cents of a euro." }),
    status: z.enum(["booked", "cancelled"]),
    createdAt: z.iso.datetime().meta({ description: "UTC." }),
  })
  .meta({ id: "Booking", description: "A trip: places taken from one offer." });

export type BookingInput = z.infer<typeof bookingInput>;
export type Booking = z.infer<typeof bookingSchema>;

/** One's bookings, newest first. */
export interface BookingPage {
  items: Booking[];
  /** The `before` of the next page; null on the last one. */
  next: number | null;
}

interface Row {
  booking_id: number;
  taken: number;
  price: number;
  booked_at: Date;
  cancelled_at: Date | null;
}

const select = `SELECT booking.id AS booking_id, booking.quantity AS taken,
    booking.price_cents AS price, booking.created_at AS booked_at, booking.cancelled_at,
    ${offerColumns}
  FROM booking JOIN offer ON offer.id = booking.offer_id`;

function toBooking(row: Row & Offer): Booking {
  const { booking_id, taken, price, booked_at, cancelled_at, ...offer } = row;
  return readBack(bookingSchema, "booking", {
    id: booking_id,
    offer,
    quantity: taken,
    priceCents: price,
    total: taken * price,
    status: cancelled_at ? "cancelled" : "booked",
    createdAt: booked_at.toISOString(),
  });
}

/** Lists an account's bookings, newest first, those with an id below `before`. */
export async function listBookings(
  query: Query,
  account: number,
  { limit, before }: { limit: number; before?: number | undefined },
): Promise<BookingPage> {
  const rows = await query<Row & Offer>(
    `${select} WHERE account_id = $1 AND ($2::integer IS NULL OR booking.id < $2)
     ORDER BY booking.id DESC LIMIT $3`,
    [account, before, limit + 1],
  );
  const items = rows.slice(0, limit).map(toBooking);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

/** One booking of an account. @throws HttpError 404, also for somebody else's */
export async function findBooking(query: Query, account: number, id: number): Promise<Booking> {
  const [row] = await query<Row & Offer>(`${select} WHERE account_id = $1 AND booking.id = $2`, [
    account,
    id,
  ]);
  if (!row) throw noBooking();
  return toBooking(row);
}

/**
 * Takes places, all or none.
 * @param key the request's idempotency key; repeats with the same key get the first answer
 * @throws HttpError 404 no such offer, 409 `sold-out`, 410 `offer-started`
 */
export async function book(
  database: Database,
  account: number,
  { offerId, quantity }: BookingInput,
  key: string | undefined,
): Promise<{ value: Booking; position: Position }> {
  const hash = requestHash([String(offerId), String(quantity)]);
  const claim = { table: "visitor_idempotency_key", scope: `booking:${account}` } as const;
  return await database.write(
    (query) => {
      const take = async () => {
        const [row] = await query<{ id: number }>("SELECT book($1, $2, $3) AS id", [
          account,
          offerId,
          quantity,
        ]).catch(refuse(bookRefusals));
        return await findBooking(query, account, row?.id ?? 0);
      };
      return key ? once(query, { ...claim, key, requestHash: hash }, take) : take();
    },
    { idempotent: key !== undefined },
  );
}

/**
 * Gives the places of a booking back. Repeating it is safe: they are given back once.
 * @throws HttpError 404 no such booking of this account, 410 `trip-started`
 */
export async function cancelBooking(
  database: Database,
  account: number,
  id: number,
): Promise<{ value: Booking; position: Position }> {
  return await database.write(
    async (query) => {
      await query("SELECT cancel_booking($1, $2)", [account, id]).catch(refuse(cancelRefusals));
      return await findBooking(query, account, id);
    },
    { idempotent: true },
  );
}

/** 404 for a booking: there is none, or it is somebody else's. */
export function noBooking(): HttpError {
  return new HttpError(404, "not-found", "There is no such booking.");
}

type DatabaseError = Error & { code?: string; detail?: string };
type Refusals = Record<string, (error: DatabaseError) => HttpError>;

/** The states that the functions of sql/migrations/0002_travel.sql raise. */
const bookRefusals: Refusals = {
  // The account was deleted while this request was under way.
  HA401: () => new LoginNeeded(),
  HA404: noOffer,
  HA409: ({ detail }) => new HttpError(409, "sold-out", soldOut(Number(detail))),
  HA410: () => new HttpError(410, "offer-started", "This offer has started already."),
};

const cancelRefusals: Refusals = {
  HA404: noBooking,
  HA410: () =>
    new HttpError(410, "trip-started", "This trip has started; it cannot be cancelled any more."),
};

function refuse(refusals: Refusals): (error: DatabaseError) => never {
  return (error) => {
    throw refusals[error.code ?? ""]?.(error) ?? error;
  };
}

function soldOut(left: number): string {
  return left === 0 ? "It is sold out: none is left." : `Only ${left} left. Book fewer.`;
}
