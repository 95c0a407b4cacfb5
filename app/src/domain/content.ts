import { z } from "zod";
import type { Database, Position, Query } from "../data/database.ts";
import { type IdempotencyKey, once, requestHash } from "../data/idempotency.ts";
import type { PictureStore } from "../data/trash.ts";
import { uploadRoom } from "../data/upload-room.ts";
import {
  keepImage,
  orDrop,
  type ReceivedForm,
  removePicture,
  type StoredImage,
} from "../data/uploads.ts";
import { HttpError, OutcomeUnknown } from "../lib/errors.ts";
import { text } from "./texts.ts";
import { check, readBack } from "./validation.ts";

/** A destination as clients see it. */
export const destinationSchema = z
  .object({
    id: z.int().min(1),
    title: z.string().meta({ description: "The place; empty where it has no name." }),
    quote: z.string(),
    author: z.string().meta({ description: "Who said it; empty where nobody knows." }),
    image: z.string().meta({ description: "Path of the picture, on any instance." }),
    imageType: z.string().meta({ description: "Media type of the picture." }),
    width: z.int().min(1).meta({ description: "Pixels." }),
    height: z.int().min(1).meta({ description: "Pixels." }),
    createdAt: z.iso.datetime().meta({ description: "UTC." }),
  })
  .meta({ id: "Destination", description: "A quote and a picture of the gallery." });

export type Destination = z.infer<typeof destinationSchema>;

/** Destinations, newest first. */
export interface DestinationPage {
  items: Destination[];
  /** The `before` of the next page; null on the last one. */
  next: number | null;
}

/** The text that goes with a picture. */
export const textSchema = z.object({
  quote: text("quote", 500),
  title: text("place", 80, { empty: true }).default(""),
  author: text("author", 80, { empty: true }).default(""),
});

export type DestinationText = z.infer<typeof textSchema>;

interface Row {
  id: number;
  title: string;
  quote: string;
  author: string;
  image_file: string;
  image_type: string;
  image_width: number;
  image_height: number;
  created_at: Date;
}

const columns =
  "id, title, quote, author, image_file, image_type, image_width, image_height, created_at";

function toDestination(row: Row): Destination {
  return readBack(destinationSchema, "destination", {
    id: row.id,
    title: row.title,
    quote: row.quote,
    author: row.author,
    image: `/images/${row.image_file}`,
    imageType: row.image_type,
    width: row.image_width,
    height: row.image_height,
    createdAt: row.created_at.toISOString(),
  });
}

/** Lists destinations, newest first, those with an id below `before`. */
export async function listContent(
  query: Query,
  { limit, before }: { limit: number; before?: number | undefined },
): Promise<DestinationPage> {
  const rows = await query<Row>(
    `SELECT ${columns} FROM content WHERE $1::integer IS NULL OR id < $1
     ORDER BY id DESC LIMIT $2`,
    [before ?? null, limit + 1],
  );
  const items = rows.slice(0, limit).map(toDestination);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

/** One destination, if it is there. */
export async function findContent(query: Query, id: number): Promise<Destination | undefined> {
  const [row] = await query<Row>(`SELECT ${columns} FROM content WHERE id = $1`, [id]);
  return row && toDestination(row);
}

/** The newest destination of this name, in any case, if there is one. */
export async function findPlace(query: Query, name: string): Promise<Destination | undefined> {
  const [row] = await query<Row>(
    `SELECT ${columns} FROM content WHERE lower(title) = lower($1) ORDER BY id DESC LIMIT 1`,
    [name],
  );
  return row && toDestination(row);
}

/** Counts the destinations. */
export async function countContent(query: Query): Promise<number> {
  const [row] = await query<{ count: number }>("SELECT count(*)::integer AS count FROM content");
  return row?.count ?? 0;
}

/** Inserts a destination whose picture is stored already. */
export async function insertContent(
  query: Query,
  text: DestinationText,
  image: StoredImage,
): Promise<Destination> {
  const [row] = await query<Row>(
    `INSERT INTO content
       (title, quote, author, image_file, image_type, image_bytes, image_width, image_height)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${columns}`,
    [
      text.title,
      text.quote,
      text.author,
      image.file,
      image.type,
      image.bytes,
      image.width,
      image.height,
    ],
  );
  return toDestination(row as Row);
}

/**
 * Adds a destination: picture and row together, or neither.
 * @param readKey the request's idempotency key; repeats with the same key get the first answer
 * @throws HttpError for anything wrong with the form, the store or the database
 */
export async function addContent(
  { database, directory }: { database: Database; directory: string },
  form: ReceivedForm,
  readKey: () => string | undefined,
): Promise<{ value: Destination; position: Position }> {
  const { text, key } = await orDrop(form, () => ({
    text: check(textSchema, form.fields),
    key: readKey(),
  }));
  const image = await keepImage(form, directory);
  const idempotency = key ? contentKey(key, text, image) : undefined;
  try {
    const result = await database.write(
      (query) => {
        const insert = () => {
          if (image.refusal) throw image.refusal;
          return insertContent(query, text, image);
        };
        return idempotency ? once(query, idempotency, insert) : insert();
      },
      { idempotent: idempotency !== undefined },
    );
    // A repeat was answered with the first request's picture: this one is not needed.
    if (result.value.image !== `/images/${image.file}`) await image.drop();
    return result;
  } catch (error) {
    // A row may name the file after all: then only the sweeper can tell.
    if (!(error instanceof OutcomeUnknown)) await image.drop();
    throw error;
  }
}

/** Where the keys of new destinations are. */
export const contentKeys = { table: "idempotency_key", scope: "content.add" } as const;

function contentKey(key: string, text: DestinationText, image: StoredImage): IdempotencyKey {
  const parts = [text.title, text.quote, text.author, image.sha256];
  return { ...contentKeys, key, requestHash: requestHash(parts) };
}

/** Removes a destination, then its picture. @throws HttpError 404 */
export async function removeContent(
  { database, pictures }: { database: Database; pictures: PictureStore },
  id: number,
): Promise<Position> {
  let file: string | undefined;
  const { position } = await database.write(
    async (query) => {
      const [row] = await query<{ image_file: string }>(
        "DELETE FROM content WHERE id = $1 RETURNING image_file",
        [id],
      );
      // When a first commit went unanswered, the row may be gone because of it.
      file = row?.image_file ?? file;
      if (!file) throw new HttpError(404, "not-found", "There is no such destination.");
    },
    { idempotent: true },
  );
  if (file) await removePicture(uploadRoom(database), pictures, file);
  return position;
}
