/** Builds the release that the machines are to get, for their architecture. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { releaseDirectory } from "../../../scripts/release.ts";
import { projectDirectory } from "../../project.ts";
import { fail, required } from "../process.ts";

try {
  const hash = required("RELEASE");
  execFileSync(
    process.execPath,
    [`${projectDirectory}scripts/build-release.ts`, "--arch", required("ARCHITECTURE")],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  if (!existsSync(releaseDirectory(hash))) {
    throw new Error(`the sources are no longer those of release ${hash}; run up again`);
  }
  console.log(`release ${hash} is built`);
} catch (error) {
  fail(error);
}
