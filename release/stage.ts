import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { inHastack } from "../lib/paths.ts";
import { mustRun } from "../lib/run.ts";
import { ensureRelease, isAbandoned, isReleaseOf } from "./build.ts";
import type { Architecture, ReleaseRecipe } from "./recipe.ts";

/**
 * Makes the folder that an image of a release is built from: the image's own files, and the release
 * in `release/`; built where it is not there.
 * @param image folder of the image's own files
 * @returns the folder
 * @throws Error when the files are those of another release by now
 */
export async function stagedRelease(
  recipe: ReleaseRecipe,
  hash: string,
  architecture: Architecture,
  image: string,
): Promise<string> {
  const images = inHastack("images");
  const folder = join(images, hash);
  if (existsSync(folder)) return folder;
  const release = await ensureRelease(recipe, hash, architecture);
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  cpSync(image, temporary, { recursive: true });
  rmSync(join(temporary, "release"), { recursive: true, force: true });
  // Hard links: the folder costs no time and, once the older ones are gone, no space
  await mustRun(["cp", "-al", release, join(temporary, "release")]);
  renameSync(temporary, folder);
  prune(images, recipe.name, hash);
  return folder;
}

/** Removes the application's other folders, and those that were not finished. */
function prune(images: string, application: string, hash: string): void {
  for (const path of readdirSync(images).map((name) => join(images, name))) {
    const name = basename(path);
    const isOld = name.includes(".")
      ? isAbandoned(path)
      : name !== hash && isReleaseOf(application, join(path, "release"));
    if (isOld) rmSync(path, { recursive: true, force: true });
  }
}
