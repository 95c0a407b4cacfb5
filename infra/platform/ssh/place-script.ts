/**
 * The shell text that places a workload on a machine, as one transaction: its files are delivered
 * and checked, its units told, and its health awaited. A workload with a release goes back as a whole
 * to what it was when the new one does not get healthy.
 */
import { deliveryScript } from "../delivery.ts";
import type { ManagedFile, Workload } from "../platform.ts";
import { commandLine, quote } from "../shell.ts";
import { folders, oneAtATime } from "./machine-script.ts";
import { noticeCommands, releaseLink, steady, unitFiles, unitName } from "./systemd.ts";

const logLines = 25;
/** Starts of processes after which waiting is of no use: systemd starts one a second. */
const hopelessStarts = 8;

/** A workload's folder on its machine. */
export function workloadFolder(member: string): string {
  return `${folders.files}/${member}`;
}

/** Shell text that shows a release where components look for it; for a shell with its own mounts. */
export function bindRelease(hash: string): string {
  return `mount --bind ${folders.releases}/${hash} ${folders.current}`;
}

/** @param timeoutSeconds how long the workload may take to get healthy */
export function placeScript(workload: Workload, timeoutSeconds: number): string {
  const { host, processes, release, health = steady(processes), sysctls = {} } = workload;
  const root = workloadFolder(host.name);
  const units = processes.map(({ name }) => unitName(name));
  return [
    "set -eu",
    `member=${quote(host.name)}`,
    `root=${quote(root)}`,
    `units=${quote(units.join(" "))}`,
    `link=${releaseLink(host.name)}`,
    `release=${release ? `../releases/${release.hash}` : ""}`,
    `health=${quote(health.command)}`,
    // Whoever listened may be gone; what was begun is brought to its end all the same
    "trap '' PIPE",
    functions(timeoutSeconds, health.meaning),
    oneAtATime(host.name),
    "keep_before",
    deliveryScript(root, deliveredFiles(workload, root)).trimEnd(),
    ...kernelSettings(host.name, sysctls),
    "point_link",
    "systemctl daemon-reload",
    'for unit in $units; do systemctl enable --quiet "$root/units/$unit"; done',
    ...processes.map((process) => {
      const { reload, restart } = noticeCommands(process);
      return `notify ${quote(process.name)} ${unitName(process.name)} ${quote(restart)} ${quote(reload)}`;
    }),
    'rm -f "$root/.restart"',
    "await_health || go_back",
    ': > "$root/.healthy"',
    'rm -rf "$root.gone"',
    '[ ! -e "$root.before" ] || mv "$root.before" "$root.gone"',
    'rm -rf "$root.gone"',
    "",
  ].join("\n");
}

/** Checks may name the release's programs, which only the units' own mounts show. */
function deliveredFiles(workload: Workload, root: string): ManagedFile[] {
  const { release, files } = workload;
  const units = unitFiles(workload, root).map((unit) =>
    release && unit.check
      ? {
          ...unit,
          check: `unshare --mount sh -ec ${quote(`${bindRelease(release.hash)}\n${unit.check}`)}`,
        }
      : unit,
  );
  return [...files, ...units];
}

function kernelSettings(member: string, sysctls: Readonly<Record<string, string>>): string[] {
  const names = Object.keys(sysctls);
  if (names.length === 0) return [];
  const text = Object.entries(sysctls).map(([name, value]) => `${name} = ${value}\n`);
  const file = sysctlFile(member);
  const before = `${folders.state}/${member}.sysctl`;
  return [
    `[ -e ${file} ] || { sysctl ${commandLine(names)} > ${before}.new; mv ${before}.new ${before}; }`,
    `printf %s ${quote(text.join(""))} > ${file}`,
    `sysctl --quiet --load ${file}`,
  ];
}

export const sysctlFile = (member: string): string => `/etc/sysctl.d/90-hastack-${member}.conf`;

function functions(timeoutSeconds: number, meaning: string): string {
  return `say() { echo "$*" 2> /dev/null || :; }
# What was healthy last; a run that was cut off has left it there
keep_before() {
  [ -n "$release" ] && [ -e "$root/.healthy" ] && [ -L "$link" ] && [ ! -e "$root.before" ] || return 0
  rm -rf "$root.copy"
  cp -a "$root" "$root.copy"
  cp -P "$link" "$root.copy/.release"
  mv "$root.copy" "$root.before"
}
point_link() {
  [ -n "$release" ] && [ "$(readlink "$link" || :)" != "$release" ] || return 0
  ln -sfn "$release" "$link.new"
  : > "$root/.restart"
  mv -T "$link.new" "$link"
  say "release \${release##*/}"
}
# NAME UNIT RESTART RELOAD: what a process has to do about changed files
notify() {
  act=
  if [ -e "$root/.restart" ] || [ -e "$root/.notices/restart:$1" ]; then act=restart; command=$3
  elif [ -e "$root/.notices/reload:$1" ]; then act=reload; command=$4
  fi
  if ! systemctl is-active --quiet "$2"; then act=start; command="systemctl start $2"; fi
  [ -n "$act" ] || return 0
  systemctl reset-failed "$2" 2> /dev/null || :
  sh -c "$command" || return 0
  rm -f "$root/.notices/restart:$1" "$root/.notices/reload:$1"
  say "$act of $1"
}
starts() {
  sum=0
  for unit in $units; do
    count=$(systemctl show --property=NRestarts --value "$unit")
    sum=$((sum + count))
  done
  echo "$sum"
}
await_health() {
  end=$(($(date +%s) + ${timeoutSeconds}))
  first=$(starts)
  until answer=$(cd "$root" && timeout 10 sh -c "$health" 2>&1 < /dev/null); do
    died=$(($(starts) - first))
    if [ "$died" -ge ${hopelessStarts} ]; then why="its processes died $died times"
    elif [ "$(date +%s)" -ge "$end" ]; then why='it was not within ${timeoutSeconds} s'
    else sleep 0.5; continue
    fi
    set --
    for unit in $units; do set -- "$@" "--unit=$unit"; done
    (
      printf '%s must be healthy (%s); %s; the last answer: %s\\n' "$member" ${quote(meaning)} "$why" "\${answer:-none}"
      echo 'Its last log lines:'
      journalctl --quiet --no-pager --output=cat --lines=${logLines} "$@"
      echo 'Members that come after it were not touched. Mend the cause, then run up again.'
    ) >&2 || :
    return 1
  done
}
go_back() {
  if [ -e "$root.before" ]; then
    was=$(readlink "$root.before/.release")
    ln -sfn "$was" "$link.new"
    mv -T "$link.new" "$link"
    rm -rf "$root"
    mv "$root.before" "$root"
    rm "$root/.release"
    systemctl daemon-reload
    for unit in $units; do systemctl restart "$unit" || :; done
    echo "$member is back at release \${was##*/}, which was healthy before." >&2 || :
  fi
  exit 1
}`;
}
