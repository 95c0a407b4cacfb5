/**
 * Pulumi's parts built on this machine, by Go, from their public sources and the few of toolchain/: the
 * last way, for a network in which only package registries can be reached. What is built says so by
 * `+hastack` in its version, and a file beside it holds the hash of the sources it was built from.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot, pinnedVersion } from "../lib/paths.ts";
import { lastWords, type Outcome, run } from "../lib/run.ts";
import { type Part, partLabel, type Source } from "./parts.ts";

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

function programsOf(part: Part): Program[] {
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

const isSource = (name: string) => /\.go$|^go\.(mod|sum)$/.test(name);

/** Hash of all that decides what is built: toolchain/, and the versions that package.json asks for. */
export function sourcesHash(): string {
  const folder = inRoot("toolchain");
  const hash = createHash("sha256");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isSource(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const path of entries) {
    hash
      .update(`${path.slice(folder.length)}\0`)
      .update(readFileSync(path))
      .update("\0");
  }
  for (const name of ["pulumi", "docker", "random", "command"]) {
    hash.update(`${name} ${pinnedVersion(`@pulumi/${name}`)}\0`);
  }
  return hash.digest("hex").slice(0, 16);
}

const markOf = (folder: string) => join(folder, "built-from");

/** Hash of the sources that the part in this folder was built from; nothing if it was not built here. */
export function builtFrom(folder: string): string | undefined {
  return existsSync(markOf(folder)) ? readFileSync(markOf(folder), "utf8").trim() : undefined;
}

const go = (args: readonly string[], module: string, hear?: (text: string) => void) =>
  run(["go", ...args], {
    cwd: inRoot(module),
    // A C compiler or a workspace of the user's must not decide what is built
    env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off" },
    hear,
  });

/** Why Go cannot build here; nothing if it can. */
async function whyNoGo(): Promise<string | undefined> {
  const needed = /^go (\S+)$/m.exec(readFileSync(inRoot("toolchain/go.mod"), "utf8"))?.[1];
  const outcome = await go(["version"], "toolchain");
  if (outcome.code === 0) return undefined;
  const fix = `install Go ${needed}, or an older one (1.21 or newer) with GOTOOLCHAIN=auto`;
  return outcome.code === 127
    ? `there is no go on PATH; ${fix}`
    : `${lastWords(outcome, 2)}; ${fix}`;
}

const progressSeconds = 15;

/** Tells from time to time how far a program of Go's is, by the lines that it prints. */
function progress(tell: (count: number, seconds: number) => void): (text: string) => void {
  const start = Date.now();
  let [count, told] = [0, start];
  return (text) => {
    count += text.split("\n").length - 1;
    if (Date.now() - told < progressSeconds * 1000) return;
    told = Date.now();
    tell(count, Math.round((told - start) / 1000));
  };
}

/** Builds one program. @returns the outcome of the last command of Go's */
async function build(program: Program, into: string, say: (line: string) => void) {
  const { name, module } = program;
  const common = ["-mod=readonly", "-buildvcs=false", "-trimpath"];
  const fetched = progress((count, seconds) =>
    say(`${name}: fetched ${count} modules, ${seconds} s`),
  );
  const list = ["list", ...common, "-deps", "-f", "{{.ImportPath}}", program.package];
  const packages = await go(list, module, fetched);
  if (packages.code !== 0) return packages;
  const all = packages.stdout.trim().split("\n").length;
  const compiled = progress((count, seconds) =>
    say(`${name}: compiled ${count} of ${all} packages, ${seconds} s`),
  );
  const stamp = `-s -w -X ${program.versionIn}=${program.version}`;
  const output = ["-o", join(into, name), program.package];
  return go(["build", ...common, "-v", "-ldflags", stamp, ...output], module, compiled);
}

/** What Go said, without its lines of progress. */
function reason(outcome: Outcome): string {
  const isProgress = (line: string) => /^(go: downloading |[\w.-]+(\/[\w.~-]+)*$)/.test(line);
  const stderr = outcome.stderr.split("\n").filter((line) => !isProgress(line));
  return lastWords({ ...outcome, stdout: "", stderr: stderr.join("\n") }, 5);
}

/** Builds a part; the sources of Go's packages come from where Go's own settings say. */
export const built: Source = {
  name: "built here, from public sources",
  async provide(part, into, say) {
    const lacking = await whyNoGo();
    if (lacking !== undefined) return { lacking };
    const hash = sourcesHash();
    say(`${partLabel(part)}: nowhere else to be had, so it is built here by Go; minutes, once`);
    for (const program of programsOf(part)) {
      const outcome = await build(program, into, say);
      if (outcome.code !== 0) return { lacking: `go build ${program.package}: ${reason(outcome)}` };
    }
    writeFileSync(markOf(into), `${hash}\n`);
    return { from: `its public sources, built here (not Pulumi's release; sources ${hash})` };
  },
};
