import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { inHastack } from "../lib/paths.ts";
import { mustRun } from "../lib/run.ts";
import { ensureRelease } from "./build.ts";
import type { Architecture, ReleaseRecipe } from "./recipe.ts";

/**
 * Path of a release as one compressed archive, built and packed where it is not there.
 * @throws Error when the files are those of another release by now
 */
export async function packedRelease(
  recipe: ReleaseRecipe,
  hash: string,
  architecture: Architecture,
): Promise<string> {
  const folder = inHastack("archives");
  const own = `${recipe.name}-${hash}-`;
  const archive = join(folder, `${own}${architecture}.tar.gz`);
  if (existsSync(archive)) return archive;
  const release = await ensureRelease(recipe, hash, architecture);
  mkdirSync(folder, { recursive: true });
  await pack(release, archive);
  // This application's others, and those of before archives had an application's name
  const others = new RegExp(`^(${recipe.name}-)?[0-9a-f]{12}-(x64|arm64)\\.tar\\.gz$`);
  for (const name of readdirSync(folder)) {
    if (others.test(name) && !name.startsWith(own)) rmSync(join(folder, name), { force: true });
  }
  return archive;
}

/** Fast rather than small: a machine is usually nearer than that is worth. */
async function pack(release: string, archive: string): Promise<void> {
  const temporary = `${archive}.${process.pid}`;
  const owners = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  const compress = ["--use-compress-program=gzip -1", "--file", temporary];
  await mustRun(["tar", "--create", ...owners, ...compress, `--directory=${release}`, "."]);
  renameSync(temporary, archive);
}
