/** Makes the folder that Docker builds a release's image from: the recipe, and the release. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { fail, required } from "../../../lib/command.ts";
import { inRoot } from "../../../lib/paths.ts";
import { releaseDirectory } from "../../../release/hash.ts";

function stage(hash: string): void {
  const images = inRoot(".hastack/images");
  const folder = `${images}/${hash}`;
  if (existsSync(folder)) return;
  execFileSync(process.execPath, [inRoot("release/build.ts")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (!existsSync(releaseDirectory(hash))) {
    throw new Error(`the sources are no longer those of release ${hash}; run up again`);
  }
  const passing = `${folder}.${process.pid}`;
  mkdirSync(passing, { recursive: true });
  cpSync(inRoot("infra/platform/docker/image"), passing, { recursive: true });
  rmSync(`${passing}/release`, { recursive: true });
  // Hard links: the folder costs no time and, once the older ones are gone, no space
  execFileSync("cp", ["-al", releaseDirectory(hash), `${passing}/release`]);
  renameSync(passing, folder);
  for (const other of readdirSync(images)) {
    if (other !== hash) rmSync(`${images}/${other}`, { recursive: true, force: true });
  }
}

try {
  stage(required("RELEASE"));
} catch (error) {
  fail(error);
}
