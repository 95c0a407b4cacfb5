import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats, statSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";
import type { ReleaseRecipe } from "./recipe.ts";

/** Changes when build.ts arranges a release differently, so that old ones are not reused. */
const layout = "2";

/**
 * Never part of a release, unless they are listed by themselves: what programs leave behind must not
 * make another release.
 */
const isLeftOut = (name: string): boolean =>
  name.startsWith(".") || name === "node_modules" || name === "__pycache__";

/**
 * The files that a release is made of, relative to the application's folder, each once and sorted.
 * @throws where a path in the list does not exist, or is outside the folder
 */
export function filesOf({ folder, files }: Pick<ReleaseRecipe, "folder" | "files">): string[] {
  const listed = files?.map((path) => checkedPath(folder, path)) ?? ["."];
  return [...new Set(listed.flatMap((path) => filesUnder(folder, path)))].sort();
}

/** @returns the path without detours such as `./` or a slash at its end */
function checkedPath(folder: string, path: string): string {
  const plain = normalize(path).replace(/\/$/, "");
  if (isAbsolute(plain) || leadsOut(plain)) {
    throw new Error(
      `release.files: ${path} is outside the application's folder ${folder}; ` +
        "a release has only what is in it, so move it there",
    );
  }
  if (lstatSync(join(folder, plain), { throwIfNoEntry: false }) === undefined) {
    throw new Error(
      `release.files: ${path} does not exist (${join(folder, plain)}): ` +
        "create it, or remove it from the list",
    );
  }
  return plain;
}

const leadsOut = (path: string): boolean => path === ".." || path.startsWith("../");

/** What is under a path: itself, or all that is in it. */
function filesUnder(folder: string, path: string): string[] {
  // The application's folder itself may be a link
  const stat = path === "." ? statSync(folder) : lstatSync(join(folder, path));
  if (!stat.isDirectory()) return [checkedFile(folder, path, stat)];
  return readdirSync(join(folder, path))
    .filter((name) => !isLeftOut(name))
    .flatMap((name) => filesUnder(folder, path === "." ? name : `${path}/${name}`));
}

/** @throws for what would be something else, or nothing, on the machines */
function checkedFile(folder: string, path: string, stat: Stats): string {
  if (stat.isFile()) return path;
  if (!stat.isSymbolicLink()) {
    throw new Error(
      `${join(folder, path)} is neither a file, a folder nor a link; a release cannot contain it: ` +
        "remove it, or exclude it by release.files",
    );
  }
  const target = readlinkSync(join(folder, path));
  if (!isAbsolute(target) && !leadsOut(normalize(join(dirname(path), target)))) return path;
  throw new Error(
    `${join(folder, path)} is a link to ${target}, which is outside the application's folder and not in a ` +
      "release; put a copy in its place, or exclude it by release.files",
  );
}

/** What distinguishes a file from another of the same name: kind, length, content. */
function describe(path: string): { readonly kind: string; readonly content: Buffer } {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return { kind: "link", content: Buffer.from(readlinkSync(path)) };
  const kind = (stat.mode & 0o100) === 0 ? "file" : "program";
  return { kind, content: readFileSync(path) };
}

/**
 * The name of the release that an application's files make: the first 12 hex digits of a SHA-256
 * over them, the build command and the application's name. Reads only; the same files give the same
 * name on every machine.
 * @throws as filesOf
 */
export function releaseHash(recipe: ReleaseRecipe): string {
  const { name, folder, build = "" } = recipe;
  const hash = createHash("sha256").update(JSON.stringify([layout, name, build]));
  for (const path of filesOf(recipe)) {
    const { kind, content } = describe(join(folder, path));
    // Lengths are hashed too: moving bytes from one file to the next must not go unseen
    hash.update(`${path}\0${kind}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 12);
}
