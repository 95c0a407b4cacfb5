import { basename } from "node:path";
import type { Database } from "../data/database.ts";
import { tripsFolder } from "../domain/trips.ts";

/**
 * Which of these files rows of a table name. Asks the primary: a standby that lags would make a new picture
 * look like an orphan.
 */
export async function namedFiles(
  database: Database,
  table: "content" | "trip_item",
  files: readonly string[],
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

/** The same for paths in the shared directory. */
export async function namedPaths(
  database: Database,
  paths: readonly string[],
): Promise<Set<string>> {
  const isTrip = (path: string) => path.startsWith(`${tripsFolder}/`);
  const trips = paths.filter(isTrip).map((path) => basename(path));
  const gallery = await namedFiles(
    ...[database, "content" as const],
    paths.filter((path) => !isTrip(path)),
  );
  const named = await namedFiles(database, "trip_item", trips);
  return new Set([...gallery, ...[...named].map((file) => `${tripsFolder}/${file}`)]);
}
