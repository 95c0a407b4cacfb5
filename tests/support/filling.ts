/** Fills a stack's database with rows that compress about 2:1, and looks for the room before. */
import { statfs } from "node:fs/promises";
import { must, primary, sql } from "./members.ts";
import type { TestStack } from "./test-stack.ts";

const gibibyte = 1024 ** 3;
/** Eight rows of a thousand bytes on each page of 8 KiB. */
const rowsPerGibibyte = (gibibyte / 8192) * 8;
/** A batch is a transaction: a failover would cost one. */
const batchRows = 100_000;
/** Of one batch, on a machine that has other work. */
const batchSeconds = 600;

/** Rows that are one byte in two of entropy: digits of hashes. */
const digits = [
  ...Array.from({ length: 7 }, (_, part) => `encode(sha512(('${part}:'||n)::bytea),'hex')`),
  "encode(sha256(n::text::bytea),'hex')",
].join(" || ");

/** SQL, with time for long statements. */
async function run(stack: TestStack, query: string): Promise<string> {
  const psql = ["psql", "-h/run/postgresql", "-XAt", "-v", "ON_ERROR_STOP=1", "hastack"];
  const options = { user: "postgres", input: query, limitSeconds: batchSeconds };
  return (await must(stack, await primary(stack), psql, options)).trim();
}

/** @param to how many rows there are in the end @param tell gets how far it is */
export async function fill(
  stack: TestStack,
  gibibytes: number,
  tell: (text: string) => void,
): Promise<void> {
  const rows = Math.round(gibibytes * rowsPerGibibyte);
  await run(
    stack,
    "CREATE TABLE IF NOT EXISTS measured (id bigint PRIMARY KEY, data text NOT NULL)",
  );
  for (let from = 0; from < rows; from += batchRows) {
    const to = Math.min(from + batchRows, rows) - 1;
    await run(
      stack,
      `INSERT INTO measured SELECT n, ${digits} FROM generate_series(${from}, ${to}) AS n ON CONFLICT DO NOTHING`,
    );
    tell(`${to + 1} of ${rows} rows`);
  }
  await run(stack, "VACUUM ANALYZE measured");
  await writeOut(stack);
}

/** A copy of the standby has what that has written out; all later changes are in the log that goes with it. */
async function writeOut(stack: TestStack): Promise<void> {
  await run(stack, "CHECKPOINT");
  for (const member of ["db-1", "db-2"]) await sql(stack, member, "CHECKPOINT");
}

/** Changes one row in a hundred, side by side as those of one day are. */
export async function change(stack: TestStack, gibibytes: number): Promise<void> {
  const rows = Math.round((gibibytes * rowsPerGibibyte) / 100);
  await run(stack, `UPDATE measured SET data = reverse(data) WHERE id < ${rows}`);
  await writeOut(stack);
}

/** Bytes of the database. */
export const sizeOf = async (stack: TestStack): Promise<number> =>
  Number(await run(stack, "SELECT pg_database_size('hastack')"));

/**
 * @param folder on the disk that all of it will be on
 * @param times how often the database is there at once, at most
 * @throws where it has not the room
 */
export async function assertDiskFor(folder: string, gibibytes: number, times: number) {
  const { bavail, bsize } = await statfs(folder);
  const free = (bavail * bsize) / gibibyte;
  // Log, images and what else a stack needs
  const wanted = gibibytes * times + 5;
  if (free >= wanted) return;
  throw new Error(
    `--gib ${gibibytes} needs ${wanted.toFixed(0)} GiB of the disk at ${folder}, and ${free.toFixed(0)} are free: ` +
      "ask for less, or make room",
  );
}
