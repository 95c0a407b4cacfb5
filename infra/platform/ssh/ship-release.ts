/**
 * Brings a release to a machine, if it is not there: built here, sent as one compressed stream,
 * unpacked under a passing name and then moved into place. Releases that no instance runs are pruned,
 * except for the last few.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { releaseDirectory } from "../../../scripts/release.ts";
import { fail, required } from "../process.ts";
import {
  ConnectionError,
  callMachine,
  connectionProblem,
  sshArguments,
  type Target,
  withKnownHosts,
} from "./connection.ts";
import { folders } from "./machine-script.ts";

/** Releases that stay on a machine for going back, beside those that run. */
const keptReleases = 3;
const sendMinutes = 20;

/** Whether the release is on the machine, whole; it counts as used then. */
async function isThere(target: Target, hash: string): Promise<boolean> {
  const folder = `${folders.releases}/${hash}`;
  const script = `test -e ${folder}/release.json && touch ${folder}`;
  const { code } = await callMachine(target, ["sh", "-c", script], { limitSeconds: 60 });
  return code === 0;
}

/** Takes an archive by standard input; what an earlier try left is thrown away. */
function unpackScript(hash: string): string {
  const passing = `${folders.releases}/.${hash}`;
  return `set -eu
rm -rf ${passing}
install -d -m 0755 ${passing}
tar --extract --gzip --no-same-owner --directory=${passing}
test -e ${passing}/release.json
touch ${passing}
rm -rf ${folders.releases}/${hash}
mv -T ${passing} ${folders.releases}/${hash}`;
}

/** Removes releases that nobody runs, but for the last few. */
function pruneScript(): string {
  return `set -eu
cd ${folders.releases}
running=$(for link in ${folders.current}/* /etc/hastack/*.before/.release; do readlink "$link" || :; done)
ls -1t | tail -n +${keptReleases + 1} | while read -r release; do
  case "$running" in *"/$release"*) ;; *) rm -rf "./$release"; echo "removed release $release" ;; esac
done`;
}

async function send(target: Target, hash: string): Promise<void> {
  const folder = releaseDirectory(hash);
  if (!existsSync(folder)) {
    throw new Error(`the sources are no longer those of release ${hash}; run up again`);
  }
  await withKnownHosts(target, async (knownHosts) => {
    const limit = { timeout: sendMinutes * 60_000 };
    const unpack = ["sh", "-c", unpackScript(hash)];
    const pack = [
      "--create",
      "--gzip",
      "--owner=0",
      "--group=0",
      "--sort=name",
      `--directory=${folder}`,
      ".",
    ];
    const tar = spawn("tar", pack, { stdio: ["ignore", "pipe", "inherit"], ...limit });
    const ssh = spawn("ssh", sshArguments(target, knownHosts, unpack), {
      stdio: [tar.stdout, "inherit", "pipe"],
      ...limit,
    });
    // ssh reads it now; a second reader here would keep the pipe open
    tar.stdout.destroy();
    let said = "";
    ssh.stderr.setEncoding("utf8").on("data", (chunk) => (said += chunk));
    const ended = await Promise.all([once(tar, "exit"), once(ssh, "close")]);
    const [packed, unpacked] = ended.map(([code]) => code as number | null);
    if (unpacked === 255) throw new ConnectionError(connectionProblem(target, said));
    if (packed !== 0 || unpacked !== 0) {
      throw new Error(
        `machine ${target.name}: release ${hash} could not be brought there: ${said.trim() || "sending it was cut off"}`,
      );
    }
  });
}

async function ship(): Promise<void> {
  const target: Target = JSON.parse(required("TARGET"));
  const hash = required("RELEASE");
  if (await isThere(target, hash)) return console.log(`release ${hash} is there`);
  await send(target, hash);
  const { code, stderr } = await callMachine(target, ["sh", "-c", pruneScript()], {
    limitSeconds: 120,
  });
  if (code !== 0)
    throw new Error(`machine ${target.name}: old releases could not be removed: ${stderr.trim()}`);
  console.log(`release ${hash} is there now`);
}

await ship().catch(fail);
