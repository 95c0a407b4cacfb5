/** Shell texts for a machine as such: its base, and Debian packages. Each may run again and again. */

import { currentReleaseDirectory } from "../platform.ts";
import { commandLine, quote } from "../shell.ts";

/** Number of the user `hastack`, the same on every machine: shared files know owners by number. */
export const userId = 880;

/** Where releases, links to them and the workloads' files lie. */
export const folders = {
  releases: "/opt/hastack/releases",
  current: currentReleaseDirectory,
  files: "/etc/hastack",
  state: "/var/lib/hastack",
} as const;

/** What the stack's own scripts need, beside what every Debian has. */
const basePackages = ["ca-certificates", "curl", "iproute2", "procps"] as const;

/** Hours after which a machine's package lists are fetched again before something is installed. */
const listsHours = 12;

/** Whose a machine is: the stack and its name there. */
export interface Owner {
  readonly stack: string;
  readonly machine: string;
}

const ownerFile = `${folders.files}/.machine`;

/** Makes a bare machine ready for workloads. One that is another stack's is refused. */
export function baseScript({ stack, machine }: Owner): string {
  return `set -eu
owner=$(cat ${ownerFile} 2> /dev/null || :)
case $owner in
  '' | ${quote(stack)}\\ *) ;;
  *) echo "it belongs to the stack \${owner%% *}: take that away first, or use another machine" >&2; exit 1 ;;
esac
${installPackages(basePackages)}
id hastack > /dev/null 2>&1 ||
  useradd --system --uid ${userId} --user-group --home-dir /nonexistent --shell /usr/sbin/nologin hastack
install -d -m 0755 ${commandLine(Object.values(folders))} /run/hastack
echo ${quote(`${stack} ${machine}`)} > ${ownerFile}
echo 'the machine is ready'`;
}

/** Ends a removal where the machine has another name, or is another stack's, by now. */
export function onlyOf({ stack, machine }: Owner): string {
  return `[ "$(cat ${ownerFile} 2> /dev/null || :)" = ${quote(`${stack} ${machine}`)} ] || {
  echo 'it has another name by now; nothing was removed'
  exit 0
}`;
}

/**
 * Takes back what `baseScript` made, and what is left of members that never got healthy and are in no
 * state. Packages stay, and kept data.
 */
export function removeBaseScript(owner: Owner): string {
  return `set -eu
${onlyOf(owner)}
for unit in ${folders.files}/*/units/*.service; do
  [ -e "$unit" ] || continue
  systemctl disable --quiet --now "\${unit##*/}" || :
  systemctl kill --kill-whom=all --signal=KILL "\${unit##*/}" 2> /dev/null || :
done
rm -rf ${folders.files}/*/ ${ownerFile} /etc/sysctl.d/90-hastack-*.conf ${folders.state}/*.sysctl
systemctl daemon-reload
rm -rf ${commandLine([folders.releases, folders.current])} /run/hastack
rmdir /opt/hastack ${commandLine([folders.files, folders.state])} 2> /dev/null || :
! id hastack > /dev/null 2>&1 || userdel hastack`;
}

/** Keeps two runs of one thing apart, such as one that was cut off and the next. */
export function oneAtATime(name: string): string {
  return `install -d -m 0755 /run/hastack
exec 9> ${quote(`/run/hastack/${name}.lock`)}
flock -w 300 9 || { echo ${quote(`another run is at work on ${name}; wait for its end, then try again`)} >&2; exit 1; }`;
}

/** Installs a workload's packages. */
export function packagesScript(packages: readonly string[]): string {
  return `${installPackages(packages)}
echo 'the packages are there'`;
}

/**
 * Installs what is missing. Nothing that comes along is started, now or at boot: the stack's own
 * units run these programs, with its own files; nor does PostgreSQL make a cluster of its own.
 */
function installPackages(packages: readonly string[]): string {
  return `set -eu
export DEBIAN_FRONTEND=noninteractive
wanted=${quote(packages.join(" "))}
set --
for package in $wanted; do
  state=$(dpkg-query -W -f '\${db:Status-Status}' "$package" 2> /dev/null || :)
  [ "$state" = installed ] || set -- "$@" "$package"
done
policy=/usr/sbin/policy-rc.d
# There while something is installed, so that a run that was cut off is completed by the next one
passing=$policy.hastack
# shellcheck disable=SC2086 # words of a list
[ ! -e "$passing" ] || set -- $wanted
apt() { apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Languages=none -qq "$@" > /dev/null; }
if [ $# -gt 0 ]; then
  cluster=/etc/postgresql-common/createcluster.d/hastack.conf
  [ -e "$policy" ] && [ ! -e "$passing" ] || {
    : > "$passing"
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 0755 "$policy"
  }
  install -d "\${cluster%/*}"
  echo 'create_main_cluster = false' > "$cluster"
  tidy() {
    for unit in $(dpkg -L "$@" 2> /dev/null | sed -n 's|.*/systemd/system/\\([^/@]*\\.service\\)$|\\1|p' | sort -u); do
      systemctl disable --quiet --now "$unit" 2> /dev/null || :
    done
    rm -f "$cluster"
    rmdir /etc/postgresql-common/createcluster.d /etc/postgresql-common 2> /dev/null || :
    [ ! -e "$passing" ] || rm -f "$policy" "$passing"
  }
  trap 'tidy "$@"' EXIT
  # What a run that was cut off left half-done
  dpkg --configure -a > /dev/null
  [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -mmin -${listsHours * 60} 2> /dev/null)" ] || apt update
  echo "installing $*"
  apt install -y --no-install-recommends "$@" || {
    apt update
    apt install -y --no-install-recommends "$@"
  }
fi`;
}
