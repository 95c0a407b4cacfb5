import { HttpError } from "../lib/errors.ts";
import type { Database, Query } from "./database.ts";

/** Room in the store, as the database keeps the books of it (`app/sql/migrations/`, 0005 and 0006). */
export interface UploadRoom {
  /**
   * Takes room for a file before its first byte is written.
   * @param name of the file, without its extension
   * @param bytes the most that it can have
   * @throws HttpError 507 where there is none
   */
  take: (name: string, bytes: number) => Promise<void>;
  /** Gives it back. @param isRemoved false leaves the file to the sweeper, and counts until then */
  leave: (name: string, isRemoved: boolean) => Promise<void>;
  /** Whether the trash has room for another file. */
  hasTrash: () => Promise<boolean>;
  /** Gives room back of a file that is in the trash now. @param path in the shared directory */
  trash: (path: string) => Promise<void>;
}

/** What all pictures take, and may take; the trash apart. */
export interface UploadUse {
  usedBytes: number;
  budgetBytes: number;
  trashBytes: number;
  trashFiles: number;
  trashBudgetBytes: number;
}

/** Reads what all pictures take, and may take. */
export async function uploadUse(query: Query): Promise<UploadUse> {
  // As text, a bigint is what pg gives
  const [row] = await query<Record<string, string>>(
    `SELECT used_bytes, total_bytes, trash_bytes, trash_files, trash_total_bytes
     FROM upload_budget`,
  );
  return {
    usedBytes: Number(row?.used_bytes ?? 0),
    budgetBytes: Number(row?.total_bytes ?? 0),
    trashBytes: Number(row?.trash_bytes ?? 0),
    trashFiles: Number(row?.trash_files ?? 0),
    trashBudgetBytes: Number(row?.trash_total_bytes ?? 0),
  };
}

/** Whether the trash has room for another file, as the primary says. */
export async function hasTrashRoom(database: Database): Promise<boolean> {
  const { value } = await database.write(uploadUse, { idempotent: true });
  return value.trashBytes < value.trashBudgetBytes;
}

/** Room for an account's pictures; without one, for the gallery's. */
export function uploadRoom(database: Database, account?: number): UploadRoom {
  const [sql, whose] =
    account === undefined
      ? ["SELECT take_gallery_room($1, $2)", []]
      : ["SELECT take_account_room($1, $3, $2)", [account]];
  return {
    take: async (name, bytes) => {
      await database
        .write((query) => query(sql, [name, bytes, ...whose]), { idempotent: true })
        .catch((error: unknown) => {
          throw refusalOf(error) ?? error;
        });
    },
    leave: (name, isRemoved) => leaveRoom(database, name, isRemoved),
    hasTrash: () => hasTrashRoom(database),
    trash: (path) => leaveForTrash(database, path),
  };
}

/** Gives room back; where that cannot be, the sweeper does so later. Never fails. */
export async function leaveRoom(
  database: Database,
  name: string,
  isRemoved: boolean,
): Promise<void> {
  await database
    .write((query) => query("SELECT leave_room($1, $2)", [name, isRemoved]), { idempotent: true })
    .catch(() => {});
}

/** Gives room back of a file that is in the trash; where that cannot be, the sweeper does so later. Never fails. */
export async function leaveForTrash(database: Database, path: string): Promise<void> {
  await database
    .write((query) => query("SELECT trash_upload($1)", [path]), { idempotent: true })
    .catch(() => {});
}

interface Raised {
  code?: string;
  detail?: string;
  hint?: string;
}

function refusalOf(error: unknown): HttpError | undefined {
  const { code, detail, hint } = error as Raised;
  if (code === "HA401") return new HttpError(404, "not-found", "There is no such account.");
  if (code !== "HA507") return undefined;
  if (detail === "account") {
    const megabytes = Math.round(Number(hint) / 1024 / 1024);
    const help = `Your pictures have no more room: ${megabytes} MB is what an account may have. Remove one before you add another.`;
    return new HttpError(507, "account-uploads-full", help);
  }
  const help = "There is no more room for pictures at the moment. Nothing was stored.";
  return new HttpError(507, "uploads-full", help, 300);
}
