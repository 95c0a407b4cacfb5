import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { onStore, renameStored, statStored, syncDirectory } from "./store.ts";

/** Where pictures lie, and for how long they are kept once their rows have gone. */
export interface PictureStore {
  /** Path of the shared directory. */
  directory: string;
  /** Days in the trash; 0: there are no backups that could need them, and they are removed at once. */
  keepDays: number;
}

/** What becomes of a file that is moved: `gone` is one that was not there (any more). */
export type Moved = "moved" | "gone" | "stuck";

/** The folder of files whose rows have gone. In it they have the path that they had. */
const trash = ".trash";

/** Whoever restores the stack to an earlier moment makes this file, and removes it when all is well. */
const marker = ".hastack-restore";

/** Path of a file in the trash. @param path its own, in the shared directory */
export function inTrash(directory: string, path: string): string {
  return join(directory, trash, path);
}

/**
 * Whether the stack is being restored. Then no file may be moved or removed: a database of another moment may
 * take this one's place at any time.
 * @throws what `stat` throws, StoreHung: nobody knows
 */
export async function isHeld(directory: string): Promise<boolean> {
  return await statStored(join(directory, marker)).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
}

/**
 * Moves files to the trash, durably.
 * @param paths in the shared directory
 * @returns what became of each, in their order
 * @throws StoreHung, and what the store throws: then some may have been moved
 */
export function moveToTrash(directory: string, paths: readonly string[]): Promise<Moved[]> {
  return moveAll(paths.map((path) => [join(directory, path), inTrash(directory, path)]));
}

/** Moves files from the trash to where they were, as `moveToTrash` does the other way round. */
export function moveFromTrash(directory: string, paths: readonly string[]): Promise<Moved[]> {
  return moveAll(paths.map((path) => [inTrash(directory, path), join(directory, path)]));
}

async function moveAll(moves: readonly [from: string, to: string][]): Promise<Moved[]> {
  const touched = new Set<string>();
  for (const folder of new Set(moves.map(([, to]) => dirname(to)))) {
    const made = await onStore(() => mkdir(folder, { recursive: true }));
    // `.trash/trips` may be two new folders
    if (made !== undefined) touched.add(dirname(made)).add(dirname(folder));
  }
  const done: Moved[] = [];
  for (const [from, to] of moves) {
    const became = await renameStored(from, to).then(
      (): Moved => "moved",
      (error: NodeJS.ErrnoException): Moved => (error.code === "ENOENT" ? "gone" : "stuck"),
    );
    if (became === "moved") touched.add(dirname(from)).add(dirname(to));
    done.push(became);
  }
  for (const folder of touched) await syncDirectory(folder);
  return done;
}

/** Files in the trash, as they are called in the shared directory. @param folders of it, "" its own */
export async function listTrash(directory: string, folders: readonly string[]): Promise<string[]> {
  const lists = folders.map(async (folder) => {
    const names = await onStore(() => readdir(inTrash(directory, folder))).catch(
      (error: NodeJS.ErrnoException) => {
        // Each is made with its first file.
        if (error.code === "ENOENT") return [];
        throw error;
      },
    );
    return names.map((name) => join(folder, name));
  });
  return (await Promise.all(lists)).flat();
}
