/** Builds the release that the machines are to get, for their architecture, and packs it once for all. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { releaseDirectory } from "../../../scripts/release.ts";
import { projectDirectory } from "../../project.ts";
import { fail, required } from "../process.ts";
import { releaseArchive } from "./release-archive.ts";

function build(hash: string, architecture: string): void {
  const archive = releaseArchive(hash, architecture);
  if (existsSync(archive)) return;
  const builder = [`${projectDirectory}scripts/build-release.ts`, "--arch", architecture];
  execFileSync(process.execPath, builder, { stdio: ["ignore", "ignore", "inherit"] });
  if (!existsSync(releaseDirectory(hash))) {
    throw new Error(`the sources are no longer those of release ${hash}; run up again`);
  }
  pack(releaseDirectory(hash), archive);
}

/** Fast rather than small: a machine is usually nearer than that is worth. Older archives go. */
function pack(release: string, archive: string): void {
  const folder = dirname(archive);
  mkdirSync(folder, { recursive: true });
  const passing = `${archive}.${process.pid}`;
  const owners = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  const compress = ["--use-compress-program=gzip -1", "--file", passing];
  execFileSync("tar", ["--create", ...owners, ...compress, `--directory=${release}`, "."]);
  renameSync(passing, archive);
  for (const other of readdirSync(folder)) {
    if (other !== basename(archive)) rmSync(`${folder}/${other}`, { force: true });
  }
}

try {
  build(required("RELEASE"), required("ARCHITECTURE"));
  console.log(`release ${required("RELEASE")} is built`);
} catch (error) {
  fail(error);
}
