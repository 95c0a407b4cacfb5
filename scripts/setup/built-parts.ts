/**
 * Pulumi's parts built on this machine, by Go, from their public sources and the few of toolchain/: the
 * last way, for a network in which only package registries can be reached. What is built says so by
 * `+hastack` in its version, and a file beside it holds the hash of the sources it was built from.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot } from "../../lib/paths.ts";
import { lastWords, type Outcome, run } from "../../lib/run.ts";
import { type Part, partFolder, partLabel, requiredParts, type Source } from "./parts.ts";

/** A program that Go builds. */
interface Program {
  readonly name: string;
  /** The Go module that pins it, below the checkout. */
  readonly module: string;
  /** Its Go package. */
  readonly package: string;
  /** The Go variable that holds its version. */
  readonly versionIn: string;
  readonly version: string;
}

const suffix = "+hastack";

/** Whether a version is one of what is built by this project, here or elsewhere. */
export const isBuilt = (version: string): boolean => version.trim().endsWith(suffix);

const sdk = "github.com/pulumi/pulumi/sdk/v3";
const sdkVersion = `${sdk}/go/common/version.Version`;

/** The version of a Go module that a go.mod asks for, such as `v3.68.0`. */
export function moduleVersion(folder: string, module: string): string {
  const text = readFileSync(inRoot(folder, "go.mod"), "utf8");
  const version = text
    .split(/\s*\n\s*(?:require )?/)
    .find((line) => line.startsWith(`${module} v`));
  if (version === undefined) throw new Error(`${folder}/go.mod: ${module} is not required`);
  return version.split(" ")[1] ?? "";
}

/** What Go builds of a part. */
function goPrograms(part: Part): Program[] {
  if (part.kind === "plugin") {
    const name = `pulumi-resource-${part.name}`;
    const version = `${part.version}${suffix}`;
    return [
      { name, module: "toolchain", package: `./${part.name}`, versionIn: "main.version", version },
    ];
  }
  return [
    {
      name: "pulumi",
      module: "toolchain/cli",
      package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      versionIn: sdkVersion,
      version: `v${part.version}${suffix}`,
    },
    {
      name: "pulumi-language-nodejs",
      module: "toolchain/language-nodejs",
      package: `${sdk}/nodejs/cmd/pulumi-language-nodejs`,
      versionIn: sdkVersion,
      version: `${moduleVersion("toolchain/language-nodejs", sdk)}${suffix}`,
    },
  ];
}

export const buildFlags = ["-mod=readonly", "-buildvcs=false", "-trimpath"];
const linkerFlags = "-s -w";
const processors: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** A C compiler or a workspace of the user's must not decide what is built, nor what it is for. */
export const goSettings = { CGO_ENABLED: "0", GOWORK: "off" };
const target = { GOOS: process.platform, GOARCH: processors[process.arch] ?? process.arch };

/** Tracked, and says which sources were proved: no source itself. */
export const proofFile = inRoot("toolchain/proved");

/**
 * Hash of all that decides what is built: toolchain/, versions of the parts, and how Go is called; the
 * same on every kind of machine.
 */
export function sourcesHash(): string {
  const folder = inRoot("toolchain");
  const hash = createHash("sha256");
  const how = [buildFlags, linkerFlags, goSettings, requiredParts().map(goPrograms)];
  hash.update(JSON.stringify(how));
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path !== proofFile)
    .sort();
  for (const path of paths) {
    hash
      .update(`${path.slice(folder.length)}\0`)
      .update(readFileSync(path))
      .update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}

const markOf = (folder: string) => join(folder, "built-from");

/** Hash of the sources that the part in this folder was built from; nothing if it was not built here. */
export function builtFrom(folder: string): string | undefined {
  return existsSync(markOf(folder)) ? readFileSync(markOf(folder), "utf8").trim() : undefined;
}

/** The parts of a home that were built here. @param home @default the project's own */
export const builtParts = (home?: string): Part[] =>
  requiredParts().filter((part) => builtFrom(partFolder(part, home)) !== undefined);

const go = (args: readonly string[], module: string, hear?: (text: string) => void) =>
  run(["go", ...args], {
    cwd: inRoot(module),
    env: { ...process.env, ...goSettings, ...target },
    hear,
  });

/** Why Go cannot build a module here; nothing if it can. */
async function whyNoGo(module: string): Promise<string | undefined> {
  const outcome = await go(["list", "-m"], module);
  if (outcome.code === 0) return undefined;
  const needed = /^go (\S+)$/m.exec(readFileSync(inRoot(module, "go.mod"), "utf8"))?.[1];
  const fix = `install Go ${needed}, or an older one (1.21 or newer) with GOTOOLCHAIN=auto`;
  const problem = /ENOENT/.test(outcome.stderr) ? "there is no go on PATH" : lastWords(outcome, 2);
  return `${problem}; ${fix}`;
}

const progressSeconds = 15;

/** Reports from time to time how many lines of one kind a running program has printed. */
async function withProgress<T>(
  counts: (line: string) => boolean,
  tell: (count: number, seconds: number) => void,
  act: (hear: (text: string) => void) => Promise<T>,
): Promise<T> {
  const start = Date.now();
  let count = 0;
  const timer = setInterval(() => {
    tell(count, Math.round((Date.now() - start) / 1000));
  }, progressSeconds * 1000);
  try {
    return await act((text) => {
      count += text.split("\n").filter(counts).length;
    });
  } finally {
    clearInterval(timer);
  }
}

/** Builds one program. @returns the outcome of the last command of Go's */
async function build(program: Program, into: string, say: (line: string) => void) {
  const { name, module } = program;
  const list = ["list", ...buildFlags, "-deps", "-f", "{{.ImportPath}}", program.package];
  const packages = await withProgress(
    (line) => line.startsWith("go: downloading "),
    (count, seconds) => say(`${name}: fetched ${count} modules, ${seconds} s`),
    (hear) => go(list, module, hear),
  );
  if (packages.code !== 0) return packages;
  const all = packages.stdout.trim().split("\n").length;
  const stamp = `${linkerFlags} -X ${program.versionIn}=${program.version}`;
  const output = ["-ldflags", stamp, "-o", join(into, name), program.package];
  return withProgress(
    Boolean,
    (count, seconds) => say(`${name}: compiled ${count} of at most ${all} packages, ${seconds} s`),
    (hear) => go(["build", ...buildFlags, "-v", ...output], module, hear),
  );
}

/** What Go said, without its lines of progress. */
function reason(outcome: Outcome): string {
  const isProgress = (line: string) => /^(go: downloading |[\w.-]+(\/[\w.~-]+)*$)/.test(line);
  const stderr = outcome.stderr.split("\n").filter((line) => !isProgress(line));
  const words = lastWords({ ...outcome, stdout: "", stderr: stderr.join("\n") }, 5);
  return words || `exit code ${outcome.code}`;
}

/** Builds a part; the sources of Go's packages come from where Go's own settings say. */
export const built: Source = {
  name: "built here, from public sources",
  async provide(part, into, say) {
    const modules = new Set(goPrograms(part).map(({ module }) => module));
    for (const module of modules) {
      const lacking = await whyNoGo(module);
      if (lacking !== undefined) return { lacking };
    }
    const hash = sourcesHash();
    say(
      `${partLabel(part)}: building it from its public sources with Go; this takes minutes, once`,
    );
    for (const program of goPrograms(part)) {
      const outcome = await build(program, into, say);
      if (outcome.code !== 0) return { lacking: `go build ${program.package}: ${reason(outcome)}` };
    }
    writeFileSync(markOf(into), `${hash}\n`);
    return { from: `its public sources, built here (not Pulumi's release; sources ${hash})` };
  },
};
