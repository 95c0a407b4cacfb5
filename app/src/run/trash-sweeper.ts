import { basename, join } from "node:path";
import type { Database } from "../data/database.ts";
import { removeStored, statStored } from "../data/store.ts";
import { inTrash, isHeld, listTrash, moveFromTrash, type PictureStore } from "../data/trash.ts";
import { imageName } from "../data/uploads.ts";
import { tripsFolder } from "../domain/trips.ts";
import { namedPaths } from "./named-files.ts";

/** Files that are removed from the trash in one round. */
const filesAtOnce = 5000;
const dayMs = 86_400_000;

/** What a round has done, as paths in the shared directory. */
export interface TrashSweep {
  /** Taken from the trash: rows name them, since an earlier moment was restored. */
  back: string[];
  /** Removed: their time was over. */
  removed: string[];
}

/**
 * Brings the books of the trash into line with its files, and removes what no backup needs any more. Books of
 * an earlier moment, as a restore leaves them, are no harm: files are looked at before they are removed, and
 * those that rows name go back to their place. While the stack is being restored, nothing is done.
 */
export async function sweepTrash(database: Database, store: PictureStore): Promise<TrashSweep> {
  const { directory, keepDays } = store;
  const done: TrashSweep = { back: [], removed: [] };
  const files = (await listTrash(directory, ["", tripsFolder])).filter((path) =>
    imageName.test(basename(path)),
  );
  const unknown = await askFor(database, "SELECT match_trash($1) AS path", [files]);
  const named = await namedPaths(database, unknown);
  if (await isHeld(directory)) return done;
  const known = new Set(await takeBack(database, directory, [...named]));
  done.back.push(...known);
  for (const path of unknown) if (!known.has(path)) await note(database, directory, path);
  const due = await askFor(database, dueSql, [(keepDays * dayMs) / 1000, filesAtOnce]);
  const missed = await namedPaths(database, due);
  if (due.length === 0 || (await isHeld(directory))) return done;
  const back = new Set(await takeBack(database, directory, [...missed]));
  done.back.push(...back);
  for (const path of due) {
    if (!back.has(path) && (await removeDue(database, store, path))) done.removed.push(path);
  }
  return done;
}

const dueSql = `SELECT path FROM upload_trash
  WHERE moved_at <= clock_timestamp() - make_interval(secs => $1) ORDER BY moved_at LIMIT $2`;

/** Rows of one column, from the primary. */
async function askFor(database: Database, sql: string, values: unknown[]): Promise<string[]> {
  const { value } = await database.write((query) => query<{ path: string }>(sql, values), {
    idempotent: true,
  });
  return value.map(({ path }) => path);
}

/** Where a file is in its place already, the one in the trash is left to its time. */
async function takeBack(database: Database, directory: string, paths: string[]): Promise<string[]> {
  const back: string[] = [];
  for (const path of paths) {
    if (await statIfThere(join(directory, path))) continue;
    const [became] = await moveFromTrash(directory, [path]);
    if (became === "stuck") throw new Error(`${path} is named, and stays in the trash`);
    await forgetTrashed(database, path);
    back.push(path);
  }
  return back;
}

/** Writes down a file that is in the trash: since when, its last change says, which is that it was moved. */
async function note(database: Database, directory: string, path: string): Promise<void> {
  const found = await statIfThere(inTrash(directory, path));
  if (!found) return;
  await database.write(
    (query) => query("SELECT note_trash($1, $2, $3)", [path, found.size, found.ctime]),
    { idempotent: true },
  );
}

/** @returns whether it is removed: a file that is younger than the books say stays, and corrects them */
async function removeDue(
  database: Database,
  { directory, keepDays }: PictureStore,
  path: string,
): Promise<boolean> {
  const found = await statIfThere(inTrash(directory, path));
  if (found && Date.now() - found.ctimeMs < keepDays * dayMs) {
    await note(database, directory, path);
    return false;
  }
  if (!(await removeStored(inTrash(directory, path)))) return false;
  await forgetTrashed(database, path);
  return found !== undefined;
}

async function statIfThere(path: string) {
  return await statStored(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** Takes a file that is in the trash no more off its books. */
export async function forgetTrashed(database: Database, path: string): Promise<void> {
  await database.write((query) => query("SELECT forget_trash($1)", [path]), { idempotent: true });
}
