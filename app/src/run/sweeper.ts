import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import type { Database } from "../data/database.ts";
import { forgetExpired } from "../data/expired.ts";
import { forgetOldKeys } from "../data/idempotency.ts";
import { onStore, removeStored, statStored } from "../data/store.ts";
import { inTrash, isHeld, moveToTrash, type PictureStore } from "../data/trash.ts";
import { hasTrashRoom, leaveForTrash, leaveRoom } from "../data/upload-room.ts";
import {
  bareMode,
  bareStored,
  imageName,
  picturesOfUpload,
  storeAgain,
  temporaryName,
  temporaryPath,
} from "../data/uploads.ts";
import { forgetIdle } from "../domain/sessions.ts";
import { picturesDirectory, tripsFolder } from "../domain/trips.ts";
import { HttpError } from "../lib/errors.ts";
import { orphansRemoved } from "../lib/metrics.ts";
import { namedFiles } from "./named-files.ts";
import { sweepTrash } from "./trash-sweeper.ts";

export interface SweepOptions {
  directory: string;
  /** As in `PictureStore`. @default 0: files are removed at once */
  keepDays?: number;
  /**
   * Age before a file without a row counts as an orphan, milliseconds. Far longer than a row can
   * follow its file: a write is tried for 30 s, and a commit waits for a standby or a failover.
   * @default 15 minutes
   */
  graceMs?: number;
}

const defaultGraceMs = 15 * 60_000;
const sweepEveryMs = 60_000;
/** The trash is compared with its books less often: all its names are. */
const roundsPerTrash = 10;

/** A folder of pictures, and the table whose rows name them. */
interface Shelf {
  folder: string;
  table: "content" | "trip_item";
}

const shelves: Shelf[] = [
  { folder: "", table: "content" },
  { folder: tripsFolder, table: "trip_item" },
];

/**
 * Moves files that no row names to the trash, trips' pictures too; what never was a whole picture is removed.
 * Any number of instances may do so at once: one that is gone already is no error. While the stack is being
 * restored, nothing is done.
 * @returns the names of what is gone
 */
export async function sweep(database: Database, options: SweepOptions): Promise<string[]> {
  const found: string[] = [];
  for (const shelf of shelves) found.push(...(await sweepShelf(database, shelf, options)));
  return found;
}

async function sweepShelf(
  database: Database,
  { folder, table }: Shelf,
  { directory, keepDays = 0, graceMs = defaultGraceMs }: SweepOptions,
): Promise<string[]> {
  const old = await oldFiles(join(directory, folder), graceMs);
  // The age is looked at before the rows: whatever is committed in between is only kept.
  const finished = old.filter((file) => imageName.test(file));
  const named = await namedFiles(database, table, finished);
  const orphans = old.filter((file) => !named.has(file));
  // After the rows: whoever restores says so before another database says what they are.
  if (orphans.length === 0 || (await isHeld(directory))) return [];
  for (const file of orphans) {
    const path = join(folder, file);
    orphansRemoved.inc();
    if (keepDays > 0 && imageName.test(file)) {
      const [became] = await moveToTrash(directory, [path]);
      if (became !== "stuck") await leaveForTrash(database, path);
      continue;
    }
    const isRemoved = await removeStored(join(directory, path));
    // Room that a crash has left behind it
    const [name] = /[0-9a-f]{32}/.exec(file) ?? [];
    if (name) await leaveRoom(database, name, isRemoved);
  }
  return orphans;
}

async function oldFiles(directory: string, graceMs: number): Promise<string[]> {
  const found: string[] = [];
  for (const file of await filesOf(directory)) {
    // Other names are not files of this application.
    if (!imageName.test(file) && !temporaryName.test(file)) continue;
    const changed = await statStored(join(directory, file)).then(
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
    if (basename(directory) === tripsFolder && error.code === "ENOENT") return [];
    throw error;
  });
}

/** Files that are removed, and measured, in one round. */
const filesAtOnce = 500;

/** An upload that is to go. */
interface Dropped {
  name: string;
  /** NULL: the gallery's. */
  account_id: number | null;
  /** What a row has called it; NULL: none ever has. */
  file: string | null;
}

/**
 * Moves the files of rows that have gone to the trash, removes what is left of uploads that came to nothing,
 * and gives their room back. What the trash has no room for stays; while the stack is being restored, all does.
 * @returns how many
 */
export async function removeDropped(database: Database, store: PictureStore): Promise<number> {
  const { directory, keepDays } = store;
  const withKept = keepDays === 0 || (await hasTrashRoom(database));
  const { value } = await database.write(
    (query) =>
      query<Dropped>("SELECT name, account_id, file FROM uploads_to_drop($1, $2)", [
        ...[filesAtOnce, withKept],
      ]),
    { idempotent: true },
  );
  if (value.length === 0 || (await isHeld(directory))) return 0;
  const stuck: string[] = [];
  let count = 0;
  for (const dropped of value) {
    const isKept = dropped.file !== null && keepDays > 0;
    if (isKept && !(await hasTrashRoom(database))) continue;
    if (await drop(database, store, dropped)) count += 1;
    else stuck.push(dropped.name);
  }
  if (stuck.length > 0) throw new Error(`files of these uploads stay: ${stuck.join(", ")}`);
  return count;
}

/** @returns whether its files are gone from their place */
async function drop(
  database: Database,
  { directory, keepDays }: PictureStore,
  { name, account_id: account, file }: Dropped,
): Promise<boolean> {
  const folder = account === null ? "" : tripsFolder;
  const pictures = (file === null ? picturesOfUpload(name) : [file]).map((one) =>
    join(folder, one),
  );
  // What has not got its name yet lies among the gallery's.
  const temporary = [...new Set(["", folder])].map((one) =>
    temporaryPath(join(directory, one), name),
  );
  const removed = keepDays === 0 ? pictures.map((path) => join(directory, path)) : [];
  const gone = await Promise.all([...temporary, ...removed].map((path) => removeStored(path)));
  if (!gone.every(Boolean)) return false;
  if (keepDays === 0) {
    await leaveRoom(database, name, true);
    return true;
  }
  const became = await moveToTrash(directory, pictures);
  if (became.includes("stuck")) return false;
  // One that a row has named was moved by whoever removed the row, where it is gone.
  const moved = file === null ? pictures[became.indexOf("moved")] : pictures[0];
  if (moved) await leaveForTrash(database, moved);
  else await leaveRoom(database, name, true);
  return true;
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
  // Until a restore is done, a file that is not there may still come back.
  if (value.length === 0 || (await isHeld(directory))) return 0;
  for (const { name, account_id: account, file } of value) {
    const path = join(account === null ? "" : tripsFolder, file);
    const bytes =
      (await sizeOf(join(directory, path))) ?? (await sizeOf(inTrash(directory, path))) ?? 0;
    await database.write((query) => query("SELECT measure_upload($1, $2)", [name, bytes]), {
      idempotent: true,
    });
  }
  return value.length;
}

/** Bytes of a file; nothing where there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  return await statStored(path).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    },
  );
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
  const { log, everyMs = sweepEveryMs, directory, keepDays = 0 } = options;
  const store = { directory, keepDays };
  const stops = [
    repeat("forgetting", everyMs, log, async () => {
      await database.write(forgetOldKeys, { idempotent: true });
      await database.write(forgetExpired, { idempotent: true });
      await database.write(forgetIdle, { idempotent: true });
    }),
    repeat("picture metadata", everyMs, log, async () => {
      for (const folder of [directory, picturesDirectory(directory)]) {
        const { bare, broken } = await barePictures(folder, bareAtOnce);
        if (bare.length > 0) log.info({ pictures: bare.length }, "metadata of pictures removed");
        if (broken.length > 0) log.warn({ broken }, "no pictures: their metadata was not removed");
      }
    }),
    repeat("uploads", everyMs, log, async () => {
      const removed = await removeDropped(database, store);
      if (removed > 0) log.info({ removed }, "uploads that no row names removed");
    }),
    // On its own: a file whose size cannot be read gives no room back, and keeps none
    repeat("sizes of uploads", everyMs, log, async () => {
      await measureUploads(database, directory);
    }),
    repeat("sweep", everyMs, log, async () => {
      const removed = await sweep(database, options);
      if (removed.length > 0) log.info({ removed }, "orphans removed");
    }),
    repeat("trash", everyMs * roundsPerTrash, log, async () => {
      const { back, removed } = await sweepTrash(database, store);
      if (back.length > 0) log.info({ back }, "pictures that rows name again taken from the trash");
      if (removed.length > 0) log.info({ removed }, "pictures in the trash that were due removed");
      if (keepDays > 0 && !(await hasTrashRoom(database))) log.warn(fullTrash);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

const fullTrash =
  "the trash is full: pictures that are removed count as uploads until there is room (trashMegabytes)";

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
