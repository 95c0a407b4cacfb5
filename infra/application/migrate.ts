/** Shell text that runs an application's migrations at the primary. */
import { currentReleaseDirectory } from "../platform/platform.ts";
import { commandLine } from "../platform/shell.ts";
import { patroniCurl, patroniUrl } from "../render/patroni.ts";
import type { Topology } from "../topology.ts";
import { environmentFile } from "./environment.ts";

/** How long a primary is looked for: a failover takes up to half of it. */
const findSeconds = 60;

/** Run in the folder of the task's files. */
export function migrationScript({ members }: Topology, command: readonly string[]): string {
  const addresses = members.database.map(({ backend }) => backend);
  return `PRIMARY=
find_primary() {
  for PRIMARY in ${commandLine(addresses)}; do
    if ${patroniCurl()} -fs --max-time 2 --output /dev/null "${patroniUrl({ backend: "$PRIMARY" })}/primary"; then return; fi
  done
  return 1
}
until=$(($(date +%s) + ${findSeconds}))
until find_primary; do
  [ "$(date +%s)" -lt "$until" ] || {
    echo 'no database member was the primary within ${findSeconds} s; patronictl list shows why; then run up again' >&2
    exit 1
  }
  sleep 1
done
echo "the primary is $PRIMARY"
set -a
. ./${environmentFile}
set +a
cd ${currentReleaseDirectory}
exec ${commandLine(command)}`;
}
