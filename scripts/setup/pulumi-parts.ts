/** Where Pulumi's parts come from: the user's own, a folder, the download site, or built here. */
import {
  chmodSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { inHastack, root } from "../../lib/paths.ts";
import { lastWords, run } from "../../lib/run.ts";
import { built, builtFrom, isBuilt, sourcesHash } from "./built-parts.ts";
import { ChecksumError, verify } from "./checksums.ts";
import {
  cliCompany,
  cliPrograms,
  holds,
  isExecutable,
  type Part,
  partFolder,
  partLabel,
  programsOf,
  requiredParts,
  type Source,
} from "./parts.ts";

const probeSeconds = 5;
/** A program that tells its version, on a busy machine. */
const versionSeconds = 30;
const downloadSeconds = 600;
/** No run takes this long. */
const leftoverHours = 3;

/** [major, minor, patch] of `v3.259.0`, `3.259.0-dev` and the like; nothing for other text. */
function numbers(version: string): number[] | undefined {
  return /^v?(\d+)\.(\d+)\.(\d+)/.exec(version.trim())?.slice(1).map(Number);
}

/** True for a version that is not older than `wanted` and has the same major number. */
export function isCompatible(version: string, wanted: string): boolean {
  const [have, need] = [numbers(version), numbers(wanted)];
  if (have === undefined || need === undefined || have[0] !== need[0]) return false;
  const at = have.findIndex((number, index) => number !== need[index]);
  return at === -1 || (have[at] ?? 0) > (need[at] ?? 0);
}

/** A `pulumi` on PATH that is not this project's launcher. */
function usersCli(): string | undefined {
  const ours = [join(root, "node_modules/.bin"), inHastack()];
  return (
    (process.env.PATH ?? "")
      .split(delimiter)
      .filter((folder) => folder !== "" && !ours.some((own) => resolve(folder).startsWith(own)))
      // npm and npx also put node_modules/.bin of other folders on PATH: a launcher, not the CLI
      .filter((folder) => !folder.endsWith("node_modules/.bin"))
      .map((folder) => join(folder, "pulumi"))
      .find(isExecutable)
  );
}

/** What the user has: linked, not copied, so that it stays theirs to update. */
const installed: Source = {
  name: "installed on this machine",
  async provide(part, into) {
    if (part.kind === "plugin") {
      const folder = partFolder(part, join(homedir(), ".pulumi"));
      if (!holds(folder, part)) return { lacking: `no ${folder}` };
      if (builtFrom(folder) !== undefined)
        return { lacking: `${folder} is not a release of Pulumi` };
      for (const name of readdirSync(folder)) symlinkSync(join(folder, name), join(into, name));
      return { from: folder };
    }
    const cli = usersCli();
    if (cli === undefined) return { lacking: "no pulumi on PATH" };
    const { stdout } = await run([cli, "version"], { limitSeconds: versionSeconds });
    if (isBuilt(stdout)) return { lacking: `${cli} is not a release of Pulumi: ${stdout.trim()}` };
    if (!isCompatible(stdout, part.version)) {
      return {
        lacking: `${cli} is ${stdout.trim() || "without a version"}, not ${part.version} or newer`,
      };
    }
    if (!holds(dirname(cli), part)) {
      return { lacking: `${cli} has no pulumi-language-nodejs beside it` };
    }
    for (const name of [...cliPrograms, ...cliCompany]) {
      const path = join(dirname(cli), name);
      if (existsSync(path)) symlinkSync(path, join(into, name));
    }
    return { from: `${cli} (${stdout.trim()})` };
  },
};

/** Moves the wanted programs from wherever an archive put them to `into`. */
function gather(from: string, into: string, names: readonly string[]): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory() || !names.includes(entry.name)) continue;
    renameSync(join(entry.parentPath, entry.name), join(into, entry.name));
    chmodSync(join(into, entry.name), 0o755);
  }
}

/** Unpacks an archive beside `into` and moves the part's programs there. */
async function unpack(archive: string, part: Part, into: string): Promise<string | undefined> {
  const scratch = mkdtempSync(`${into}.unpack-`);
  try {
    const outcome = await run(["tar", "xf", archive, "-C", scratch]);
    if (outcome.code !== 0) return `${archive} cannot be unpacked: ${lastWords(outcome, 2)}`;
    gather(scratch, into, [...programsOf(part), ...(part.kind === "cli" ? cliCompany : [])]);
    return holds(into, part)
      ? undefined
      : `${archive} does not contain ${programsOf(part).join(", ")}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What is beside the archives of a folder if they are to be verified. */
const folderList = "SHA256SUMS";

/** A folder with the parts as archives, for machines that reach no download site. */
const folder: Source = {
  name: "folder named by HASTACK_TOOLCHAIN",
  async provide(part, into) {
    const path = process.env.HASTACK_TOOLCHAIN;
    if (path === undefined || path === "") return { lacking: "HASTACK_TOOLCHAIN is not set" };
    const name =
      part.kind === "cli" ? "bin.tar.xz" : `resource-${part.name}-v${part.version}.tar.xz`;
    const archive = resolve(path, name);
    if (!existsSync(archive)) return { lacking: `no ${archive}` };
    const origin = resolve(path, folderList);
    const unknown = existsSync(origin)
      ? await verify(archive, name, { list: readFileSync(origin, "utf8"), origin })
      : undefined;
    const lacking = unknown ?? (await unpack(archive, part, into));
    if (lacking !== undefined) return { lacking };
    if (part.kind === "plugin") return { from: archive };
    const version = await run([join(into, "pulumi"), "version"], { limitSeconds: versionSeconds });
    const said = version.stdout.trim() || "without a version";
    if (!isCompatible(said, part.version)) return { lacking: `${archive} is ${said}` };
    return { from: archive };
  },
};

const downloads = "https://get.pulumi.com/releases";

/** Pulumi's own names for this machine. */
const platform = (): string =>
  `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;

/** The address of a part's official archive, and of the list with its checksum. */
export function downloadAddresses(part: Part, from = downloads, machine = platform()) {
  const { name, version } = part;
  const goMachine = machine.replace("x64", "amd64");
  return part.kind === "cli"
    ? {
        archive: `${from}/sdk/pulumi-v${version}-${machine}.tar.gz`,
        checksums: `${from}/sdk/pulumi-${version}-checksums.txt`,
      }
    : {
        archive: `${from}/plugins/pulumi-resource-${name}-v${version}-${goMachine}.tar.gz`,
        checksums: `${from}/plugins/pulumi-${name}_${version}_checksums.txt`,
      };
}

const ask = (address: string, limitSeconds: number): Promise<Response> =>
  fetch(address, { signal: AbortSignal.timeout(limitSeconds * 1000) });

async function download(address: string, file: string): Promise<void> {
  const answer = await ask(address, downloadSeconds);
  if (!answer.ok || answer.body === null) throw new Error(`${address} answers ${answer.status}`);
  await pipeline(answer.body, createWriteStream(file));
}

/**
 * A download site laid out as Pulumi's. What it gives is installed only where its checksum is
 * published and right. The list of checksums is asked for first: where the site is not reachable, that
 * costs seconds, and it is not asked for the next part again.
 */
export function downloadSite(from = downloads): Source {
  let unreachable: string | undefined;
  return {
    name: "Pulumi's download site",
    async provide(part, into) {
      if (unreachable !== undefined) return { lacking: unreachable };
      const { archive, checksums } = downloadAddresses(part, from);
      const file = `${into}.tar.gz`;
      try {
        const published = await ask(checksums, probeSeconds).catch((error: Error) => {
          unreachable = `${checksums}: ${((error.cause ?? error) as Error).message}`;
          throw new Error(unreachable);
        });
        if (!published.ok) {
          const lacking = `${checksums} answers ${published.status}: nothing to verify the archive by`;
          return { lacking };
        }
        const list = await published.text();
        await download(archive, file);
        const lacking =
          (await verify(file, basename(archive), { list, origin: checksums })) ??
          (await unpack(file, part, into));
        return lacking === undefined ? { from: archive } : { lacking };
      } catch (error) {
        if (error instanceof ChecksumError) throw error;
        return { lacking: (error as Error).message };
      } finally {
        rmSync(file, { force: true });
      }
    },
  };
}

/** Where parts are looked for, in this order. */
export const sources: readonly Source[] = [installed, folder, downloadSite(), built];

export interface Wish {
  /** @default all sources, in order */
  readonly from?: readonly Source[];
  /** The PULUMI_HOME to put parts into. @default the project's own */
  readonly home?: string;
  /** Told one line for each part that was put there, and for what takes a while. */
  readonly say?: (line: string) => void;
}

const tell = (line: string): void => console.error(`Pulumi: ${line}`);

/** Leftovers of runs that were interrupted; other runs may be in progress. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder).filter((one) => one.startsWith(".new-"))) {
    const path = join(folder, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > leftoverHours * 3600_000) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Gets one part from the first source that has it; it is in place whole or not at all.
 * @returns where it came from
 * @throws with what every source answered.
 */
export async function obtain(part: Part, wish: Wish = {}): Promise<string> {
  const { from = sources, home = inHastack("pulumi"), say = tell } = wish;
  const target = partFolder(part, home);
  const answers: string[] = [];
  mkdirSync(dirname(target), { recursive: true });
  removeLeftovers(dirname(target));
  for (const source of from) {
    const into = mkdtempSync(join(dirname(target), ".new-"));
    try {
      const answer = await source.provide(part, into, say);
      if ("from" in answer) {
        rmSync(target, { recursive: true, force: true });
        renameSync(into, target);
        return answer.from;
      }
      answers.push(`  ${source.name}: ${answer.lacking}`);
    } finally {
      rmSync(into, { recursive: true, force: true });
    }
  }
  throw new Error(
    `${partLabel(part)} was not found anywhere:\n${answers.join("\n")}\n` +
      "Install Pulumi (https://www.pulumi.com/docs/install), or name a folder with its archives " +
      "in HASTACK_TOOLCHAIN, or give this machine access to get.pulumi.com, or install Go; then " +
      "`npm run setup`",
  );
}

/** Whether a part is there, and if it was built here, from today's sources. */
function isThere(part: Part, home: string): boolean {
  if (!holds(partFolder(part, home), part)) return false;
  const hash = builtFrom(partFolder(part, home));
  return hash === undefined || hash === sourcesHash();
}

/** A part that is there, in words. */
const thereLabel = (part: Part, home: string): string =>
  `${partLabel(part)}${builtFrom(partFolder(part, home)) === undefined ? "" : " (built here)"}`;

/**
 * Puts Pulumi's CLI, language host and plugins into a home, where they are missing.
 * @returns the parts that were there already, in words
 */
export async function ensurePulumiParts(wish: Wish = {}): Promise<string[]> {
  const { home = inHastack("pulumi"), say = tell } = wish;
  const [there, missing] = [[] as Part[], [] as Part[]];
  for (const part of requiredParts()) (isThere(part, home) ? there : missing).push(part);
  for (const part of missing) say(`${partLabel(part)} from ${await obtain(part, wish)}`);
  return there.map((part) => thereLabel(part, home));
}
