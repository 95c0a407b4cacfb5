import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Database, foreignKeyViolation, type Position, type Query } from "../data/database.ts";
import { once, requestHash } from "../data/idempotency.ts";
import { onStore, syncDirectory } from "../data/store.ts";
import type { PictureStore } from "../data/trash.ts";
import { uploadRoom } from "../data/upload-room.ts";
import {
  type KeptImage,
  keepImage,
  orDrop,
  type ReceivedForm,
  removePicture,
  storeError,
} from "../data/uploads.ts";
import { HttpError, OutcomeUnknown } from "../lib/errors.ts";
import { noBooking } from "./bookings.ts";
import { text } from "./texts.ts";
import { check, readBack } from "./validation.ts";

/** The most things on one trip's list. */
export const mostItems = 100;

/** The most pictures on all trips of one account: the store is everybody's. */
export const mostPictures = 200;

/** Something to do, as a client sends it; a picture comes beside it. */
export const tripItemInput = z
  .object({ text: text("text", 200).meta({ description: "What is to be done." }) })
  .meta({ id: "NewTripItem" });

/** A tick, or its removal. */
export const tripItemUpdate = z
  .object({ done: z.boolean({ error: "done is true or false." }) })
  .meta({ id: "TripItemUpdate" });

/** Something to do for a trip, as its owner sees it. */
export const tripItemSchema = z
  .object({
    id: z.int().min(1),
    text: z.string().meta({ description: "What is to be done." }),
    done: z.boolean(),
    image: z.string().nullable().meta({ description: "Path of its picture, for its owner only." }),
    imageWidth: z.int().min(1).nullable().meta({ description: "Pixels." }),
    imageHeight: z.int().min(1).nullable().meta({ description: "Pixels." }),
    createdAt: z.iso.datetime().meta({ description: "UTC." }),
  })
  .meta({ id: "TripItem", description: "Something to do for a trip." });

export type TripItem = z.infer<typeof tripItemSchema>;

/** Whose trip, and which. */
export interface Trip {
  account: number;
  booking: number;
}

interface Row {
  id: number;
  text: string;
  done: boolean;
  image_file: string | null;
  image_width: number | null;
  image_height: number | null;
  created_at: Date;
}

const columns = `trip_item.id, trip_item.text, trip_item.done, trip_item.image_file,
  trip_item.image_width, trip_item.image_height, trip_item.created_at`;

/** Only what belongs to the account's own booking: $1 and $2 are a trip's. */
const own = "booking.account_id = $1 AND booking.id = $2 AND booking.id = trip_item.booking_id";

const toItem =
  (booking: number) =>
  (row: Row): TripItem => {
    const { id, image_file: file, image_width: imageWidth, image_height: imageHeight } = row;
    const image = file && `/bookings/${booking}/pictures/${file}`;
    const createdAt = row.created_at.toISOString();
    const item = { id, text: row.text, done: row.done, image, imageWidth, imageHeight, createdAt };
    return readBack(tripItemSchema, "trip item", item);
  };

/** The folder of trips' pictures: inside the uploads, out of reach of `/images`. */
export const tripsFolder = "trips";

/** Where trips' pictures lie. */
export function picturesDirectory(uploads: string): string {
  return join(uploads, tripsFolder);
}

/** Makes that folder, where it is not there yet. @throws HttpError 507, 503 */
async function ensurePicturesDirectory(uploads: string): Promise<string> {
  const directory = picturesDirectory(uploads);
  try {
    await onStore(() => mkdir(directory));
    await syncDirectory(uploads);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw storeError(error) ?? error;
  }
  return directory;
}

/** Lists what is to be done, in the order in which it was written down. */
export async function listItems(query: Query, trip: Trip): Promise<TripItem[]> {
  const rows = await query<Row>(
    `SELECT ${columns} FROM trip_item, booking WHERE ${own} ORDER BY trip_item.id`,
    [trip.account, trip.booking],
  );
  return rows.map(toItem(trip.booking));
}

/** Whether a picture belongs to the trip. */
export async function hasPicture(query: Query, trip: Trip, file: string): Promise<boolean> {
  const rows = await query(
    `SELECT 1 FROM trip_item, booking WHERE ${own} AND trip_item.image_file = $3`,
    [trip.account, trip.booking, file],
  );
  return rows.length > 0;
}

interface Store {
  database: Database;
  /** The folder of all uploads. */
  uploads: string;
}

/**
 * Adds something to do: its picture and its row together, or neither.
 * @param readKey the request's idempotency key; repeats with the same key get the first answer
 * @throws HttpError 404 no such trip of this account, 409 `list-full`, `pictures-full`, 415, 422,
 *   507, 503
 */
export async function addItem(
  { database, uploads }: Store,
  trip: Trip,
  form: ReceivedForm,
  readKey: () => string | undefined,
): Promise<{ value: TripItem; position: Position }> {
  const { input, key, directory } = await orDrop(form, async () => ({
    input: check(tripItemInput, form.fields),
    key: readKey(),
    directory: form.upload ? await ensurePicturesDirectory(uploads) : "",
  }));
  const image = form.upload && (await keepImage(form, directory));
  const claim = {
    ...tripKeys(trip),
    requestHash: requestHash([input.text, image?.sha256 ?? ""]),
  };
  try {
    const result = await database.write(
      (query) => {
        const insert = () => insertItem(query, trip, input.text, image);
        return key ? once(query, { ...claim, key }, insert) : insert();
      },
      { idempotent: key !== undefined },
    );
    // A repeat was answered with the first request's picture: this one is not needed.
    if (image && !result.value.image?.endsWith(image.file)) await image.drop();
    return result;
  } catch (error) {
    // A row may name the file after all: then only the sweeper can tell.
    if (!(error instanceof OutcomeUnknown)) await image?.drop();
    throw error;
  }
}

/** Where the keys of what is added to a trip's list are. */
export function tripKeys({ account, booking }: Trip) {
  return { table: "visitor_idempotency_key", scope: `trip:${account}:${booking}` } as const;
}

/**
 * What stands in the way of one more thing on the list, and of one more picture.
 * @throws HttpError 404 no such trip of this account
 */
export async function refusals(
  query: Query,
  { account, booking }: Trip,
): Promise<{ item: HttpError | undefined; picture: HttpError | undefined }> {
  const [trip] = await query<{ items: number; pictures: number }>(
    `SELECT (SELECT count(*)::integer FROM trip_item WHERE booking_id = trip.id) AS items,
       (SELECT count(image_file)::integer FROM trip_item, booking
        WHERE booking_id = booking.id AND account_id = $1) AS pictures
     FROM booking AS trip WHERE account_id = $1 AND id = $2`,
    [account, booking],
  );
  if (!trip) throw noBooking();
  return {
    item: trip.items >= mostItems ? listFull() : undefined,
    picture: trip.pictures >= mostPictures ? picturesFull() : undefined,
  };
}

async function insertItem(
  query: Query,
  trip: Trip,
  text: string,
  image: KeptImage | undefined,
): Promise<TripItem> {
  if (image?.refusal) throw image.refusal;
  // Two that come at once are counted one after the other.
  await query("SELECT pg_advisory_xact_lock(hashtext('hastack trip'), $1)", [trip.account]);
  const { item, picture } = await refusals(query, trip);
  const refusal = item ?? (image && picture);
  if (refusal) throw refusal;
  const [row] = await query<Row>(
    `INSERT INTO trip_item
       (booking_id, text, image_file, image_bytes, image_width, image_height)
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${columns}`,
    [trip.booking, text, image?.file, image?.bytes, image?.width, image?.height],
  ).catch((error: { code?: string }) => {
    // The booking went with its account since it was looked for.
    throw error.code === foreignKeyViolation ? noBooking() : error;
  });
  return toItem(trip.booking)(row as Row);
}

/** Ticks something off, or not. @throws HttpError 404 */
export async function tickItem(
  database: Database,
  trip: Trip,
  id: number,
  done: boolean,
): Promise<{ value: TripItem; position: Position }> {
  return await database.write(
    async (query) => {
      const [row] = await query<Row>(
        `UPDATE trip_item SET done = $4 FROM booking WHERE ${own} AND trip_item.id = $3
         RETURNING ${columns}`,
        [trip.account, trip.booking, id, done],
      );
      if (!row) throw noItem();
      return toItem(trip.booking)(row);
    },
    { idempotent: true },
  );
}

/** Removes something from the list, then its picture. @throws HttpError 404 */
export async function removeItem(
  { database, pictures }: { database: Database; pictures: PictureStore },
  trip: Trip,
  id: number,
): Promise<Position> {
  let removed: Pick<Row, "image_file"> | undefined;
  const { position } = await database.write(
    async (query) => {
      const [row] = await query<Pick<Row, "image_file">>(
        `DELETE FROM trip_item USING booking WHERE ${own} AND trip_item.id = $3
         RETURNING trip_item.image_file`,
        [trip.account, trip.booking, id],
      );
      // When a first commit went unanswered, the row may be gone because of it.
      removed = row ?? removed;
      if (!removed) throw noItem();
    },
    { idempotent: true },
  );
  if (removed?.image_file) {
    const room = uploadRoom(database, trip.account);
    await removePicture(room, pictures, join(tripsFolder, removed.image_file));
  }
  return position;
}

function noItem(): HttpError {
  return new HttpError(404, "not-found", "There is no such thing on the list.");
}

function listFull(): HttpError {
  return new HttpError(
    409,
    "list-full",
    `The list has ${mostItems} things on it. Remove one before you add another.`,
  );
}

function picturesFull(): HttpError {
  return new HttpError(
    409,
    "pictures-full",
    `There are ${mostPictures} pictures on your trips. Remove one before you add another.`,
  );
}
