import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import type { Database } from "../data/database.ts";
import { forgetExpired } from "../data/expired.ts";
import { forgetOldKeys } from "../data/idempotency.ts";
import { onStore, removeStored, statStored } from "../data/store.ts";
import { leaveRoom } from "../data/upload-room.ts";
import {
  bareMode,
  bareStored,
  filesOfUpload,
  imageName,
  storeAgain,
  temporaryName,
} from "../data/uploads.ts";
import { forgetIdle } from "../domain/sessions.ts";
import { picturesDirectory } from "../domain/trips.ts";
import { HttpError } from "../lib/errors.ts";
import { orphansRemoved } from "../lib/metrics.ts";

export interface SweepOptions {
  directory: string;
  /**
   * Age before a file without a row counts as an orphan, milliseconds. Far longer than a row can
   * follow its file: a write is tried for 30 s, and a commit waits for a standby or a failover.
   * @default 15 minutes
   */
  graceMs?: number;
}

const defaultGraceMs = 15 * 60_000;
const sweepEveryMs = 60_000;

/** A folder of pictures, and the table whose rows name them. */
interface Shelf {
  directory: string;
  table: "content" | "trip_item";
}

/**
 * Removes files that no row names, trips' pictures too. Any number of instances may do so at once: a
 * file is only removed, never touched otherwise, and one that is gone already is no error.
 * @returns the names removed
 */
export async function sweep(database: Database, options: SweepOptions): Promise<string[]> {
  const { directory, graceMs = defaultGraceMs } = options;
  const trips = picturesDirectory(directory);
  return [
    ...(await sweepShelf(database, { directory, table: "content" }, graceMs)),
    ...(await sweepShelf(database, { directory: trips, table: "trip_item" }, graceMs)),
  ];
}

async function sweepShelf(database: Database, shelf: Shelf, graceMs: number): Promise<string[]> {
  const old = await oldFiles(shelf, graceMs);
  // The age is looked at before the rows: whatever is committed in between is only kept.
  const finished = old.filter((file) => imageName.test(file));
  const named = await namedFiles(database, shelf.table, finished);
  const orphans = old.filter((file) => !named.has(file));
  for (const file of orphans) {
    const isRemoved = await removeStored(join(shelf.directory, file));
    orphansRemoved.inc();
    // Room that a crash has left behind it
    const [name] = /[0-9a-f]{32}/.exec(file) ?? [];
    if (name) await leaveRoom(database, name, isRemoved);
  }
  return orphans;
}

async function oldFiles(shelf: Shelf, graceMs: number): Promise<string[]> {
  const found: string[] = [];
  for (const file of await filesOf(shelf.directory)) {
    // Other names are not files of this application.
    if (!imageName.test(file) && !temporaryName.test(file)) continue;
    const changed = await statStored(join(shelf.directory, file)).then(
      ({ ctimeMs }) => ctimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (Date.now() - changed > graceMs) found.push(file);
  }
  return found;
}

async function filesOf(directory: string): Promise<string[]> {
  return await onStore(() => readdir(directory)).catch((error: NodeJS.ErrnoException) => {
    // The folder of trips' pictures is made with the first of them.
    if (basename(directory) === "trips" && error.code === "ENOENT") return [];
    throw error;
  });
}

/** Files that are removed, and measured, in one round. */
const filesAtOnce = 500;

/**
 * Removes the files of uploads that came to nothing and of rows that have gone, and gives their room back.
 * @returns how many
 */
export async function removeDropped(database: Database, directory: string): Promise<number> {
  const { value } = await database.write(
    (query) =>
      query<{ name: string; account_id: number | null }>(
        "SELECT name, account_id FROM uploads_to_remove($1)",
        [filesAtOnce],
      ),
    { idempotent: true },
  );
  const stuck: string[] = [];
  for (const { name, account_id: account } of value) {
    // What has not got its name yet lies among the gallery's.
    const folders = account === null ? [directory] : [directory, picturesDirectory(directory)];
    const files = folders.flatMap((folder) =>
      filesOfUpload(name).map((file) => join(folder, file)),
    );
    const gone = await Promise.all(files.map((file) => removeStored(file)));
    if (gone.every(Boolean)) await leaveRoom(database, name, true);
    else stuck.push(name);
  }
  if (stuck.length > 0) throw new Error(`files of these uploads stay: ${stuck.join(", ")}`);
  return value.length;
}

/**
 * Says how large pictures are that were there before they were counted.
 * @returns how many
 */
export async function measureUploads(database: Database, directory: string): Promise<number> {
  const { value } = await database.write(
    (query) =>
      query<{ name: string; account_id: number | null; file: string }>(
        "SELECT name, account_id, file FROM upload WHERE bytes IS NULL AND file IS NOT NULL LIMIT $1",
        [filesAtOnce],
      ),
    { idempotent: true },
  );
  for (const { name, account_id: account, file } of value) {
    const folder = account === null ? directory : picturesDirectory(directory);
    const bytes = await statStored(join(folder, file)).then(
      ({ size }) => size,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return 0;
        throw error;
      },
    );
    await database.write((query) => query("SELECT measure_upload($1, $2)", [name, bytes]), {
      idempotent: true,
    });
  }
  return value.length;
}

/** Pictures that are made bare in one round: each is read and written as a whole. */
const bareAtOnce = 20;

/**
 * Takes metadata out of pictures that a release stored before it did so as they came. Which those are
 * their mode says, so that each is read once, by whichever instance comes first.
 * @returns those that are bare now, and those that no picture can be seen in: they stay as they are
 */
export async function barePictures(
  directory: string,
  most: number,
): Promise<{ bare: string[]; broken: string[] }> {
  const done = { bare: [] as string[], broken: [] as string[] };
  for (const file of await filesOf(directory)) {
    if (done.bare.length + done.broken.length >= most) break;
    if (!imageName.test(file)) continue;
    const path = join(directory, file);
    const mode = await statStored(path).then(
      (found) => found.mode & 0o777,
      () => bareMode,
    );
    if (mode === bareMode) continue;
    try {
      await bareStored(directory, file);
      done.bare.push(file);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      // Not looked at again
      await storeAgain(directory, file, await onStore(() => readFile(path)));
      done.broken.push(file);
    }
  }
  return done;
}

/** Asks the primary: a standby that lags would make a new picture look like an orphan. */
async function namedFiles(
  database: Database,
  table: Shelf["table"],
  files: string[],
): Promise<Set<string>> {
  if (files.length === 0) return new Set();
  const { value } = await database.write(
    (query) =>
      query<{ image_file: string }>(
        `SELECT image_file FROM ${table} WHERE image_file = ANY($1::text[])`,
        [files],
      ),
    { idempotent: true },
  );
  return new Set(value.map((row) => row.image_file));
}

/**
 * Sweeps files, and removes what has expired in the database, every minute. Each on its own: a
 * store that fails or hangs leaves the database no fuller.
 * @param options.everyMs between two rounds, milliseconds. @default a minute
 * @returns how to stop it
 */
export function startSweeper(
  database: Database,
  options: SweepOptions & { log: Logger; everyMs?: number },
): () => void {
  const { log, everyMs = sweepEveryMs } = options;
  const stops = [
    repeat("forgetting", everyMs, log, async () => {
      await database.write(forgetOldKeys, { idempotent: true });
      await database.write(forgetExpired, { idempotent: true });
      await database.write(forgetIdle, { idempotent: true });
    }),
    repeat("picture metadata", everyMs, log, async () => {
      for (const directory of [options.directory, picturesDirectory(options.directory)]) {
        const { bare, broken } = await barePictures(directory, bareAtOnce);
        if (bare.length > 0) log.info({ pictures: bare.length }, "metadata of pictures removed");
        if (broken.length > 0) log.warn({ broken }, "no pictures: their metadata was not removed");
      }
    }),
    repeat("uploads", everyMs, log, async () => {
      const removed = await removeDropped(database, options.directory);
      if (removed > 0) log.info({ removed }, "uploads that no row names removed");
    }),
    // On its own: a file whose size cannot be read gives no room back, and keeps none
    repeat("sizes of uploads", everyMs, log, async () => {
      await measureUploads(database, options.directory);
    }),
    repeat("sweep", everyMs, log, async () => {
      const removed = await sweep(database, options);
      if (removed.length > 0) log.info({ removed }, "orphans removed");
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** Does something again and again, whether it fails or not. @returns how to stop it */
function repeat(what: string, everyMs: number, log: Logger, work: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout;
  let stopped = false;
  const round = async () => {
    await work().catch((error) => log.warn({ err: error }, `${what} failed; next try in a minute`));
    // Some jitter, so that instances started together do not sweep together.
    if (!stopped) timer = setTimeout(round, everyMs * (0.75 + Math.random() / 2));
  };
  timer = setTimeout(round, everyMs * Math.random());
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
