/** A release, built and packed on the operator's machine: once for all the machines it goes to. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { inRoot } from "../../../lib/paths.ts";
import { releaseDirectory } from "../../../release/hash.ts";

const folder = inRoot(".hastack/archives");

/**
 * Path of the packed release, which is built where it is not there.
 * @param architecture in Node's words, `x64` or `arm64`
 * @throws Error when the sources are those of another release by now
 */
export function packedRelease(hash: string, architecture: string): string {
  const archive = `${folder}/${hash}-${architecture}.tar.gz`;
  if (existsSync(archive)) return archive;
  const builder = [inRoot("release/build.ts"), "--arch", architecture];
  execFileSync(process.execPath, builder, { stdio: ["ignore", "ignore", "inherit"] });
  if (!existsSync(releaseDirectory(hash))) {
    throw new Error(`the sources are no longer those of release ${hash}; run up again`);
  }
  pack(releaseDirectory(hash), archive);
  for (const other of readdirSync(folder)) {
    if (!other.startsWith(hash)) rmSync(`${folder}/${other}`, { force: true });
  }
  return archive;
}

/** Fast rather than small: a machine is usually nearer than that is worth. */
function pack(release: string, archive: string): void {
  mkdirSync(folder, { recursive: true });
  const passing = `${archive}.${process.pid}`;
  const owners = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  const compress = ["--use-compress-program=gzip -1", "--file", passing];
  execFileSync("tar", ["--create", ...owners, ...compress, `--directory=${release}`, "."]);
  renameSync(passing, archive);
}
