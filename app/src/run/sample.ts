import { randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { extname, join } from "node:path";
import type pg from "pg";
import { z } from "zod";
import type { Query } from "../data/member.ts";
import { removeStored, syncDirectory } from "../data/store.ts";
import { bareMode, inspect, type StoredImage } from "../data/uploads.ts";
import { countContent, insertContent, textSchema } from "../domain/content.ts";
import { insertOffer, offerInput, offerUpdate } from "../domain/offers.ts";

const directory = join(import.meta.dirname, "../../sample");
const samplesSchema = z.array(textSchema.extend({ image: z.string().regex(/^[\w-]+\.\w+$/) }));
const offersSchema = z.array(
  offerUpdate
    .omit({ startsOn: true, endsOn: true })
    .extend({ startsInDays: z.int().min(1), days: z.int().min(1) }),
);

/** Fills the offers if there are none, with days to come. @returns what was done, in words */
export async function addSampleOffers(client: pg.Client): Promise<string> {
  const samples = offersSchema.parse(
    JSON.parse(await readFile(join(directory, "offers.json"), "utf8")),
  );
  const query: Query = async (text, values) => (await client.query(text, values)).rows;
  await query("BEGIN");
  try {
    // Only one run may find the table empty.
    await query("SELECT pg_advisory_xact_lock(hashtext('hastack sample data'))");
    const [row] = await query<{ some: boolean }>("SELECT EXISTS (SELECT FROM offer) AS some");
    for (const { startsInDays, days, ...sample } of row?.some ? [] : samples) {
      const startsOn = dayFromNow(startsInDays);
      const endsOn = dayFromNow(startsInDays + days - 1);
      await insertOffer(query, offerInput.parse({ ...sample, startsOn, endsOn }));
    }
    await query("COMMIT");
    return row?.some
      ? "sample data: there are offers already"
      : `sample data: ${samples.length} offers added`;
  } catch (error) {
    await query("ROLLBACK").catch(() => {});
    throw error;
  }
}

function dayFromNow(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}

/** Fills the gallery if it is empty. @returns what was done, in words */
export async function addSampleData(client: pg.Client, uploads: string): Promise<string> {
  const samples = samplesSchema.parse(
    JSON.parse(await readFile(join(directory, "destinations.json"), "utf8")),
  );
  const query: Query = async (text, values) => (await client.query(text, values)).rows;
  const stored: StoredImage[] = [];
  let committing = false;
  await query("BEGIN");
  try {
    // Only one run may find the table empty.
    await query("SELECT pg_advisory_xact_lock(hashtext('hastack sample data'))");
    if ((await countContent(query)) > 0) {
      await query("ROLLBACK");
      return "sample data: the gallery has content already";
    }
    // The newest comes first on the page, so the list is filled from its end.
    for (const sample of samples.toReversed()) {
      const image = await store(join(directory, sample.image), uploads);
      stored.push(image);
      await insertContent(query, sample, image);
    }
    await syncDirectory(uploads);
    committing = true;
    await query("COMMIT");
    return `sample data: ${samples.length} destinations added`;
  } catch (error) {
    // A commit without an answer may have been made: then the sweeper decides about the files.
    if (committing) throw error;
    await query("ROLLBACK").catch(() => {});
    for (const { file } of stored) await removeStored(join(uploads, file));
    throw error;
  }
}

async function store(source: string, uploads: string): Promise<StoredImage> {
  const { content, type, width, height } = inspect(await readFile(source));
  const name = randomBytes(16).toString("hex");
  const temporary = join(uploads, `.upload-${name}.part`);
  const handle = await open(temporary, "wx");
  try {
    await handle.writeFile(content);
    await handle.chmod(bareMode);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const file = `${name}${extname(source)}`;
  await rename(temporary, join(uploads, file));
  return { file, type, width, height, bytes: content.length, sha256: "" };
}
