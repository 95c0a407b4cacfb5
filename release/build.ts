/** Building an application's release: its files, and what its build command makes of them. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { inHastack, withOwnNode } from "../lib/paths.ts";
import { lastWords, run } from "../lib/run.ts";
import { filesOf, releaseHash } from "./hash.ts";
import { type Architecture, aboutFile, builtReleaseFolder, type ReleaseRecipe } from "./recipe.ts";

/** How many releases of an application are kept, the newest used first: enough to go back by hand. */
const keptReleases = 3;
/** A build that was killed leaves its staging folder; after this long it is removed. */
const abandonedAfterSeconds = 3600;
/** Files carry one date, so that image layers of the same content are the same. */
const date = new Date("2000-01-01T00:00:00Z");

const say = (text: string) => process.stderr.write(`release: ${text}\n`);

/** Builds the release of the files as they are, unless it is there already. @returns its folder */
export async function buildRelease(
  recipe: ReleaseRecipe,
  architecture: Architecture,
): Promise<string> {
  return ensureRelease(recipe, releaseHash(recipe), architecture);
}

/**
 * Sees to it that the release of that name is there.
 * @returns its folder
 * @throws when it is not, and the files are those of another release by now
 */
export async function ensureRelease(
  recipe: ReleaseRecipe,
  hash: string,
  architecture: Architecture,
): Promise<string> {
  const folder = builtReleaseFolder(hash, architecture);
  if (!existsSync(folder)) await build(recipe, hash, architecture);
  const now = new Date();
  utimesSync(folder, now, now); // last used: prune() keeps the newest
  prune(recipe.name);
  return folder;
}

async function build(
  recipe: ReleaseRecipe,
  hash: string,
  architecture: Architecture,
): Promise<void> {
  if (releaseHash(recipe) !== hash) throw changed(recipe, hash);
  const staging = inHastack("releases", `.${hash}-${randomBytes(4).toString("hex")}`);
  mkdirSync(staging, { recursive: true });
  try {
    copyFiles(recipe, staging);
    // A file may have been saved in between
    if (releaseHash({ ...recipe, folder: staging }) !== hash) throw changed(recipe, hash);
    await runBuild(recipe, staging, architecture);
    const about = { release: hash, architecture, application: recipe.name };
    writeFileSync(aboutFile(staging), `${JSON.stringify(about, null, 2)}\n`);
    normalise(staging);
    publish(staging, builtReleaseFolder(hash, architecture));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  say(`${hash} of ${recipe.name} is built for linux-${architecture}`);
}

const changed = ({ folder }: ReleaseRecipe, hash: string): Error =>
  new Error(`the files in ${folder} are no longer those of release ${hash}; run up again`);

/** Links stay links: what they lead to is part of the release, or filesOf() refuses them. */
function copyFiles(recipe: ReleaseRecipe, staging: string): void {
  for (const path of filesOf(recipe)) {
    const source = join(recipe.folder, path);
    const target = join(staging, path);
    mkdirSync(dirname(target), { recursive: true });
    if (lstatSync(source).isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else copyFileSync(source, target);
  }
}

/** @throws with the command, its exit code and its last words */
async function runBuild(
  { name, build: command }: ReleaseRecipe,
  cwd: string,
  architecture: Architecture,
): Promise<void> {
  if (command === undefined) return;
  say(`building ${name} for linux-${architecture}`);
  const env = { ...process.env, PATH: withOwnNode(), RELEASE_ARCHITECTURE: architecture };
  const outcome = await run(["sh", "-euc", command], { cwd, env, show: "stderr" });
  if (outcome.code === 0) return;
  const indented = command.trim().replace(/^/gm, "  ");
  throw new Error(
    `the release of ${name} could not be built: release.build failed with exit code ${outcome.code}; ` +
      `what served before keeps serving. The command:\n${indented}\nIts last output:\n` +
      (lastWords(outcome) || "(none)"),
  );
}

/** Same modes and dates whatever the umask and the hour: readable by all, writable by the owner. */
function normalise(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) {
    lutimesSync(path, date, date);
    return;
  }
  if (stat.isDirectory()) for (const name of readdirSync(path)) normalise(join(path, name));
  const open = stat.isDirectory() || (stat.mode & 0o100) !== 0;
  chmodSync(path, open ? 0o755 : 0o644);
  utimesSync(path, date, date);
}

/** Puts the staged release in its place; the loser of a race keeps the winner's, which is equal. */
function publish(staging: string, folder: string): void {
  try {
    renameSync(staging, folder);
  } catch (error) {
    if (!existsSync(aboutFile(folder))) throw error;
  }
}

/** Whether a release is this application's, or was made before applications had names. */
export function isReleaseOf(application: string, folder: string): boolean {
  try {
    const about = JSON.parse(readFileSync(aboutFile(folder), "utf8"));
    return (about.application ?? application) === application;
  } catch {
    return false;
  }
}

/** Whether something is old enough to be left by a command that was killed. */
export const isAbandoned = (path: string): boolean =>
  Date.now() - statSync(path).mtimeMs > abandonedAfterSeconds * 1000;

/** Removes what is older than the last few releases, and staging folders of builds that died. */
function prune(application: string): void {
  const releases = inHastack("releases");
  const paths = readdirSync(releases).map((name) => join(releases, name));
  const isStaging = (path: string) => basename(path).startsWith(".");
  const abandoned = paths.filter((path) => isStaging(path) && isAbandoned(path));
  const old = paths
    .filter((path) => !isStaging(path) && isReleaseOf(application, path))
    .map((path) => ({ path, time: statSync(path).mtimeMs }))
    .sort((a, b) => b.time - a.time)
    .slice(keptReleases);
  for (const path of [...abandoned, ...old.map((one) => one.path)]) {
    rmSync(path, { recursive: true, force: true });
  }
}
