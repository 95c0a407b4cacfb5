import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Database } from "../data/database.ts";
import { removeStored, syncDirectory } from "../data/store.ts";
import { inTrash, isHeld } from "../data/trash.ts";
import { leaveRoom } from "../data/upload-room.ts";
import { imageName, nameOfPicture } from "../data/uploads.ts";
import { tripsFolder } from "../domain/trips.ts";
import { ConfigError, exitConfig, loadEraseConfig } from "./config.ts";
import type { Say } from "./migrate.ts";
import { namedPaths } from "./named-files.ts";
import { forgetTrashed } from "./trash-sweeper.ts";

const usage = `use: node src/run/erase.ts PICTURE… | --account ADDRESS|NUMBER
  PICTURE is a file's path in the uploads, as trips/0123….jpg, also with .trash/ before it;
  ADDRESS is the e-mail address of an account, NUMBER its number, also of one that is deleted`;

/**
 * Removes removed pictures at once and for good, and not once their time in the trash is over. What a row
 * names stays: the row is to go first.
 * @param paths in the uploads
 * @returns how many stay
 * @throws while the stack is being restored
 */
export async function eraseFiles(
  database: Database,
  directory: string,
  paths: readonly string[],
  say: Say,
): Promise<number> {
  const named = await namedPaths(database, paths);
  if (await isHeld(directory)) {
    throw new Error(
      "the stack is being restored, and nothing is removed: accept or undo the restore, and run this again",
    );
  }
  let left = 0;
  for (const path of paths) {
    const isErased = !named.has(path) && (await erase(database, directory, path));
    if (!isErased) left += 1;
    if (isErased) say(`${path}: erased`);
    else if (named.has(path)) say(`${path}: stays, as it is shown; remove what shows it first`);
    else say(`${path}: the store does not remove it; run this again`);
  }
  return left;
}

/** @returns whether it is gone for sure */
async function erase(database: Database, directory: string, path: string): Promise<boolean> {
  for (const place of [join(directory, path), inTrash(directory, path)]) {
    if (!(await removeStored(place))) return false;
    await syncDirectory(dirname(place)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
  await forgetTrashed(database, path);
  await leaveRoom(database, nameOfPicture(basename(path)), true);
  return true;
}

/** A picture's path in the uploads. @throws for what can be none */
export function pathOfPicture(given: string): string {
  const path = given.replace(/^\.trash\//, "");
  const [folder, file = ""] = path.startsWith(`${tripsFolder}/`)
    ? [tripsFolder, path.slice(tripsFolder.length + 1)]
    : ["", path];
  if (!imageName.test(file)) throw new Error(`${given} can be no picture\n${usage}`);
  return join(folder, file);
}

/**
 * All pictures of an account that the books know, in the trash or not.
 * @param account its e-mail address, or its number
 * @throws where there is no account with this address
 */
export async function picturesOfAccount(database: Database, account: string): Promise<string[]> {
  const { value } = await database.write(
    async (query) => {
      const [found] = /^\d{1,9}$/.test(account)
        ? [{ id: Number(account) }]
        : await query<{ id: number }>("SELECT id FROM account WHERE email = $1", [account]);
      if (!found) {
        throw new Error(
          `there is no account with the address ${account}: name one that is deleted by its number`,
        );
      }
      return await query<{ path: string }>(
        `SELECT $2 || '/' || file AS path FROM upload WHERE account_id = $1 AND file IS NOT NULL
         UNION SELECT path FROM upload_trash WHERE account_id = $1 ORDER BY path`,
        [found.id, tripsFolder],
      );
    },
    { idempotent: true },
  );
  return value.map(({ path }) => path);
}

/** Trips' pictures in the trash that came there in a restore: whose they were is not known any more. */
async function countUnowned(database: Database): Promise<number> {
  const { value } = await database.write(
    (query) =>
      query<{ count: string }>(
        "SELECT count(*) FROM upload_trash WHERE account_id IS NULL AND path LIKE $1",
        [`${tripsFolder}/%`],
      ),
    { idempotent: true },
  );
  return Number(value[0]?.count);
}

async function run(args: string[], say: Say): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: { account: { type: "string" } },
    allowPositionals: true,
  });
  const { account } = values;
  if ((account === undefined) === (positionals.length === 0)) throw new Error(usage);
  const given = positionals.map(pathOfPicture);
  const config = loadEraseConfig();
  const database = new Database({ ...config, instance: "erase" }, () => {});
  try {
    const paths = account === undefined ? given : await picturesOfAccount(database, account);
    if (paths.length === 0) say("there are no pictures of this account");
    const left = await eraseFiles(database, config.uploadsDirectory, paths, say);
    const unowned = account === undefined ? 0 : await countUnowned(database);
    if (unowned > 0) {
      say(
        `${unowned} pictures of trips are in the trash since a restore: nobody knows whose they are`,
      );
    }
    say("copies in backups stay until their time is over");
    return left === 0 ? 0 : 1;
  } finally {
    await database.close();
  }
}

async function main(): Promise<void> {
  try {
    process.exit(await run(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`)));
  } catch (error) {
    process.stderr.write(`nothing more was erased: ${(error as Error).message}\n`);
    process.exit(error instanceof ConfigError ? exitConfig : 1);
  }
}

if (import.meta.main) await main();
