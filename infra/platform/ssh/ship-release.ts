/**
 * Brings a release to a machine, if it is not there: sent as one compressed stream, unpacked under a
 * passing name and then moved into place. Releases that no instance runs are pruned, except for the
 * last few.
 */
import { closeSync, openSync } from "node:fs";
import { fail, required } from "../../../lib/command.ts";
import { ConnectionError, callMachine, type Target } from "./connection.ts";
import { folders } from "./layout.ts";
import { archive } from "./release-archive.ts";

/** Releases that stay on a machine for going back, beside those that run. */
const keptReleases = 3;
const sendSeconds = 20 * 60;

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
# The sender of a try that was cut off may still be at it
install -d -m 0755 /run/hastack
exec 9> /run/hastack/releases.lock
flock -w 600 9
rm -rf ${passing}
install -d -m 0755 ${passing}
tar --extract --gzip --no-same-owner --directory=${passing}
test -e ${passing}/release.json
touch ${passing}
rm -rf ${folders.releases}/${hash}
mv -T ${passing} ${folders.releases}/${hash}`;
}

/** Removes releases that nobody runs or would go back to, but for the last few. */
function pruneScript(): string {
  return `set -eu
cd ${folders.releases}
find . -mindepth 1 -maxdepth 1 -name '.*' -mmin +60 -exec rm -rf {} +
running=$(readlink ${folders.current}/* ${folders.files}/*.before/.release || :)
ls -1t | tail -n +${keptReleases + 1} | while read -r release; do
  case "$running" in *"/$release"*) ;; *) rm -rf "./$release"; echo "removed release $release" ;; esac
done`;
}

async function send(target: Target, hash: string, archive: string): Promise<void> {
  const input = openSync(archive, "r");
  try {
    const { code, stderr } = await callMachine(target, ["sh", "-c", unpackScript(hash)], {
      input,
      limitSeconds: sendSeconds,
    });
    if (code !== 0) throw new Error(`release ${hash} could not be unpacked: ${stderr.trim()}`);
  } finally {
    closeSync(input);
  }
}

async function ship(target: Target, hash: string): Promise<void> {
  if (await isThere(target, hash)) return console.log(`release ${hash} is there`);
  await send(target, hash, await archive());
  const prune = ["sh", "-c", pruneScript()];
  const { code, stderr } = await callMachine(target, prune, { limitSeconds: 120 });
  if (code !== 0) throw new Error(`old releases could not be removed: ${stderr.trim()}`);
  console.log(`release ${hash} is there now`);
}

if (import.meta.main) {
  const target: Target = JSON.parse(required("TARGET"));
  await ship(target, required("RELEASE")).catch((error) => {
    const named = error instanceof ConnectionError ? "" : `machine ${target.name}: `;
    fail(new Error(`${named}${(error as Error).message}`));
  });
}
