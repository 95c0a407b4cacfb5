/** The file that a kit is written to. */
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { run } from "../../lib/run.ts";

/**
 * Refuses a place where a kit would be lost or get into others' hands.
 * @throws where something is there already, its folder is not, or git would take it up
 */
export async function checkTarget(file: string): Promise<void> {
  const path = resolve(file);
  if (existsSync(path)) throw new Error(`${file} is there already: give another name`);
  const folder = dirname(path);
  if (!existsSync(folder)) throw new Error(`${file}: there is no folder ${folder}`);
  const git = (...words: string[]) => run(["git", "-C", folder, ...words]);
  const inside = await git("rev-parse", "--is-inside-work-tree");
  if (inside.stdout.trim() !== "true") return;
  const { code } = await git("check-ignore", "--quiet", "--", path);
  if (code === 0) return;
  throw new Error(
    `${file} is inside a checkout of git's, which would take it up: write it elsewhere, best to what leaves this machine`,
  );
}

/** Writes it for its owner alone; a reader finds all of it, or nothing. */
export function writeTarget(file: string, content: Uint8Array): void {
  const path = resolve(file);
  const passing = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    writeFileSync(passing, content, { mode: 0o600, flag: "wx" });
    renameSync(passing, path);
  } catch (error) {
    rmSync(passing, { force: true });
    throw new Error(`${file} cannot be written: ${(error as Error).message}`);
  }
}
