import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baseImage } from "../../lib/base-image.ts";
import { onPath, thisMachine } from "../../lib/machine.ts";
import { lastWords, mustRun, run } from "../../lib/run.ts";
import { aptInstall, cannotInstall } from "./apt.ts";

const pullSeconds = 120;
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Left out, as in Debian's own slim image. */
const slim = ["doc", "man", "info", "locale"].map((name) => `path-exclude=/usr/share/${name}/*`);
const licences = "path-include=/usr/share/doc/*/copyright";

/** Where Debian's packages come from. */
export interface Mirrors {
  readonly main: string;
  readonly security: string;
}

/**
 * The mirrors that this machine's own apt uses, or nothing if it is no Debian.
 * @param targets lines "origin|label|address" from `apt-get indextargets`
 */
export function mirrorsOf(targets: string): Mirrors | undefined {
  const rows = targets.split("\n").map((line) => line.split("|"));
  const address = (label: string) =>
    rows.find((row) => row[0] === "Debian" && row[1] === label)?.[2]?.replace(/\/$/, "");
  const main = address("Debian");
  const security = address("Debian-Security");
  return main === undefined || security === undefined ? undefined : { main, security };
}

async function hostMirrors(): Promise<Mirrors | undefined> {
  const format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
  return mirrorsOf((await run(["apt-get", "indextargets", "--format", format])).stdout);
}

/**
 * The command that makes the base image's file system as a tar archive.
 * @param mirrors where the packages come from; without them mmdebstrap takes Debian's own
 */
export function bootstrapCommand(
  archive: string,
  mirrors: Mirrors | undefined,
  keys?: string,
): string[] {
  const { suite } = baseImage;
  return [
    "mmdebstrap",
    "--variant=minbase",
    "--components=main",
    ...(keys === undefined ? [] : [`--keyring=${keys}`]),
    ...[...slim, licences].map((option) => `--dpkgopt=${option}`),
    suite,
    archive,
    ...(mirrors === undefined
      ? []
      : [
          `deb ${mirrors.main} ${suite} main`,
          `deb ${mirrors.main} ${suite}-updates main`,
          `deb ${mirrors.security} ${suite}-security main`,
        ]),
  ];
}

async function makeImage(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-base-"));
  try {
    const archive = join(folder, "base.tar");
    const keys = existsSync(keyring) ? keyring : undefined;
    await mustRun(bootstrapCommand(archive, await hostMirrors(), keys));
    await mustRun(["docker", "import", "--change", 'CMD ["bash"]', archive, baseImage.name]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Sees to it that the base image is there: pulled, or made where no image registry answers.
 * @param say told what takes a while
 * @returns what there is now
 * @throws with what to do.
 */
export async function ensureBaseImage(say: (line: string) => void): Promise<string> {
  const { name } = baseImage;
  const there = await run(["docker", "image", "inspect", name], { limitSeconds: 20 });
  if (there.code === 0) return "there";
  say(`pulling ${name}`);
  const pull = await run(["docker", "pull", "--quiet", name], { limitSeconds: pullSeconds });
  if (pull.code === 0) return `${name} pulled`;
  say(`no image registry has it (${lastWords(pull, 1)}); making it with mmdebstrap`);
  if (onPath("mmdebstrap") === undefined) {
    const reason = cannotInstall(thisMachine());
    if (reason !== undefined) {
      throw new Error(
        `${name} can neither be pulled nor built: mmdebstrap is not installed, and ${reason}. ` +
          `Load the image by hand (\`docker load\`), or \`sudo apt-get install mmdebstrap\``,
      );
    }
    await aptInstall(["mmdebstrap"], ["debian-archive-keyring"]);
  }
  try {
    await makeImage();
  } catch (error) {
    throw new Error(
      `${(error as Error).message}\n${name} can neither be pulled nor built: give this machine an image ` +
        "registry or a Debian mirror that it can reach, or load the image by hand (`docker load`)",
    );
  }
  return `${name} made with mmdebstrap`;
}
