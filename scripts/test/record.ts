/**
 * Which part of `npm run test:full` came out how on which commit: what has passed on this one need
 * not run again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { inHastack, root } from "../../lib/paths.ts";
import { run } from "../../lib/run.ts";
import { duration, type Result } from "./summary.ts";

/** What was tested. */
export interface Tested {
  readonly commit: string;
  /** Whether all files were those of the commit. */
  readonly clean: boolean;
}

/** A part's last run. */
export interface Entry extends Tested {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** When it ended. */
  readonly at: string;
}

export type RunRecord = Readonly<Record<string, Entry>>;

export const recordFile = inHastack("tests", "full.json");

/** The commit that the checkout is at. @returns nothing where there is no git */
export async function tested(folder: string = root): Promise<Tested | undefined> {
  const git = (...args: string[]) => run(["git", "-C", folder, ...args], { limitSeconds: 60 });
  const head = await git("rev-parse", "HEAD");
  const status = await git("status", "--porcelain");
  if (head.code !== 0 || status.code !== 0) return undefined;
  return { commit: head.stdout.trim(), clean: status.stdout === "" };
}

export function readRecord(file: string = recordFile): RunRecord {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/**
 * Writes a part's result down.
 * @param before what was tested when it began, which counts only if it is the same at its end
 */
export function note(
  { step, passed, failed, skipped, seconds }: Result,
  before: Tested,
  after: Tested,
  file: string = recordFile,
): void {
  const clean = before.clean && after.clean && before.commit === after.commit;
  const at = new Date().toISOString();
  const entry: Entry = { commit: before.commit, clean, passed, failed, skipped, seconds, at };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...readRecord(file), [step]: entry }, null, 2)}\n`);
}

/** Why a part need not run again; nothing where it must. */
export function whyPassed(entry: Entry | undefined, now: Tested | undefined): string | undefined {
  if (!entry || !now?.clean || !entry.clean || entry.failed > 0) return undefined;
  if (entry.commit !== now.commit) return undefined;
  return `it passed on this commit, ${when(entry)}; --again runs it again`;
}

/** What is left to do on this commit, for the end of a full run. */
export function whatIsLeft(
  names: readonly string[],
  record: RunRecord,
  now: Tested | undefined,
): string {
  if (!now) return "This is no git checkout: no result is kept for another run.";
  const commit = now.commit.slice(0, 7);
  if (!now.clean) return `There are changes since ${commit}: no result counts for another run.`;
  const left = names.filter((name) => whyPassed(record[name], now) === undefined);
  if (left.length === 0) return `All parts have passed on ${commit}.`;
  return `Not passed yet on ${commit}: ${left.join(", ")}.`;
}

const when = ({ at }: Entry) => `${at.slice(0, 16).replace("T", " ")} UTC`;

/** A part's last result, for people. */
export function lastResult(entry: Entry | undefined): string {
  if (!entry) return "never run";
  const skipped = entry.skipped > 0 ? `, ${entry.skipped} skipped` : "";
  const counts = `${entry.passed} passed, ${entry.failed} failed${skipped}`;
  const tree = entry.clean ? "" : " with changes";
  const on = `${entry.commit.slice(0, 7)}${tree}`;
  return `${counts} on ${on}, ${when(entry)}, in ${duration(entry.seconds)}`;
}
