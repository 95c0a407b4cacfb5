/**
 * Shell texts for a shared directory on GlusterFS: two machines have every file, a third one keeps
 * names and attributes alone, as the vote that decides. Each text runs as root and may run again.
 */

import type { Member, Topology } from "../../topology.ts";
import type { SharedDirectory } from "../platform.ts";
import { hereDocument } from "../shell.ts";
import { unitName } from "./systemd.ts";

export const brickPackages: readonly string[] = ["glusterfs-server"];
export const mountPackages: readonly string[] = ["glusterfs-client"];

/** Seconds after which a brick that hangs is given up; writes wait for so long. */
const pingSeconds = 5;
/** Seconds that machines and bricks get to find each other. */
const waitSeconds = 60;

/** Changes glusterd's own unit; it is there where GlusterFS is the stack's. */
export const dropIn = "/etc/systemd/system/glusterd.service.d/hastack.conf";
const bricks = "/var/lib/hastack/bricks";
/** Where glusterd keeps the definitions of all volumes that the machine has a part of. */
const definitions = "/var/lib/glusterd/vols";
/** Where it keeps the machines that it belongs together with. */
const peers = "/var/lib/glusterd/peers";

const brickOf = ({ name }: SharedDirectory): string => `${bricks}/${name}`;
const volumeOf = ({ name }: SharedDirectory): string => `hastack-${name}`;

/** The arbiter is the last one. */
const membersOf = ({ members }: Topology): readonly Member[] => [
  ...members.brick,
  ...members.arbiter,
];

/** GlusterFS's own service and a place for files, on a brick's or the arbiter's machine. */
export function brickScript(directory: SharedDirectory): string {
  return `set -eu
install -d -m 0755 ${dropIn.replace(/\/[^/]*$/, "")}
cat > ${dropIn} ${hereDocument(glusterdSettings)}
systemctl daemon-reload
systemctl enable --quiet --now glusterd
install -d -m 0700 ${bricks}
install -d -m 0755 ${brickOf(directory)}
echo 'the brick is there'`;
}

/** After a power cut it may start too early, fail, and would be left alone. */
const glusterdSettings = `[Unit]
Wants=network-online.target
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=2
`;

const glusterFunctions = `g() { gluster --mode=script "$@"; }
fail() { echo "$1" >&2; exit 1; }
# SECONDS COMMAND...: tries until it succeeds
within() {
  end=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 0.5
  done
}
answers() { g pool list > /dev/null 2>&1; }`;

/**
 * The volume, made on the first brick's machine once all of them have run `brickScript`. One that
 * an earlier stack has left is taken as it is.
 */
export function volumeScript(topology: Topology, directory: SharedDirectory): string {
  const volume = volumeOf(directory);
  const members = membersOf(topology);
  const wanted = members.map(({ backend }) => `${backend}:${brickOf(directory)}`).join(" ");
  const joins = members.slice(1).map(({ name, backend }) => `join ${name} ${backend}`);
  const clients = topology.machines.map(({ backend }) => backend).join(",");
  return `set -eu
${glusterFunctions}
connected() { [ "$(g pool list | grep -c Connected)" -ge ${members.length} ]; }
online() { [ "$(g volume status ${volume} detail 2> /dev/null | grep -c '^Online *: Y')" = ${members.length} ]; }
started() { g volume info ${volume} | grep -qx 'Status: Started'; }
option() {
  [ "$(g volume get ${volume} "$1" | awk -v name="$1" '$1 == name { print $2 }')" = "$2" ] ||
    g volume set ${volume} "$1" "$2" > /dev/null
}
within ${waitSeconds} answers || fail 'glusterd does not answer here; see journalctl --unit=glusterd'
${undoFunction(volume)}
trap undo EXIT
${joinFunction}
${joins.join("\n")}
within ${waitSeconds} connected || {
  g pool list >&2 || :
  fail 'not all of these machines are connected. Those that do not run must come back; one that has lost its disk is another machine to GlusterFS: its files are still on the others, and it joins again by GlusterFS own replace-brick'
}
if g volume info ${volume} > /dev/null 2>&1; then
  there=$(g volume info ${volume} | sed -n 's/^Brick[0-9]*: \\([^ ]*\\).*/\\1/p' | paste -sd ' ')
  [ "$there" = "${wanted}" ] || fail "the volume ${volume} is kept on $there, but the machines' roles want it on ${wanted}; give the roles brick and arbiter back to the machines that had them"
else
  g volume create ${volume} replica 3 arbiter 1 ${wanted} force ||
    fail 'the volume cannot be made. A brick that is already part of a volume holds kept files of one whose definition is gone: move ${brickOf(directory)} away on that machine'
fi
option network.ping-timeout ${pingSeconds}
option auth.allow ${clients}
started || g volume start ${volume}
within 15 online || g volume start ${volume} force
within ${waitSeconds} online || { g volume status ${volume} >&2 || :; fail 'not all bricks are online'; }
echo 'the volume is there'`;
}

/**
 * What fails is not recorded, so nothing would remove it: without a volume, the machines are parted
 * again. A volume that was made stays, for the next `up`: its bricks would be refused by another one.
 */
const undoFunction = (volume: string): string => `joined=
undo() {
  code=$?
  [ $code != 0 ] || return 0
  g volume info ${volume} > /dev/null 2>&1 ||
    for address in $joined; do g peer detach "$address" > /dev/null || :; done
  exit $code
}`;

const joinFunction = `# NAME ADDRESS
join() {
  ! g pool list | grep -qwF "$2" || return 0
  answer=$(g peer probe "$2" 2>&1) && joined="$joined $2" ||
    fail "$1 does not join at $2: $answer. If it is part of another pool, the machines do not belong together: either this one or $1 keeps files of an earlier stack that the other one does not know. Give the roles brick and arbiter to the machines that had them, or remove what is kept (/var/lib/glusterd and ${bricks}) where it is not wanted"
}`;

/**
 * Mounts the directory on a machine. The client is a unit of its own, which starts it again until
 * the bricks are there, after a power cut of all machines for example.
 */
export function mountScript(
  machine: string,
  topology: Topology,
  directory: SharedDirectory,
): string {
  const unit = unitName(directory.name);
  return `set -eu
${glusterFunctions}
new=$(mktemp)
trap 'rm -f "$new"' EXIT
cat > "$new" ${hereDocument(mountUnit(machine, topology, directory))}
mounted() { [ "$(stat -c %i ${directory.path} 2> /dev/null)" = 1 ] && mountpoint -q ${directory.path}; }
# What is written while nothing is mounted would be lost from sight: only root may
mounted || install -d -o root -g root -m 0755 ${directory.path}
# Stopped before its file is the new one: a run that was cut off in between is completed by the next
cmp -s "$new" /etc/systemd/system/${unit} || {
  ! systemctl cat ${unit} > /dev/null 2>&1 || systemctl stop ${unit}
  install -m 0644 "$new" /etc/systemd/system/${unit}
}
systemctl daemon-reload
systemctl enable --quiet ${unit}
systemctl start --no-block ${unit}
within ${waitSeconds} mounted || {
  journalctl --quiet --no-pager --output=cat --lines=15 --unit=${unit} >&2
  fail '${directory.path} cannot be mounted'
}
echo 'the directory is mounted'`;
}

function mountUnit(
  machine: string,
  topology: Topology,
  { name, path, ...rest }: SharedDirectory,
): string {
  const volume = volumeOf({ name, path, ...rest });
  // A server on the machine itself is asked first
  const servers = [...membersOf(topology)].sort(
    (a, b) => Number(b.machine === machine) - Number(a.machine === machine),
  );
  const client = [
    "/usr/sbin/glusterfs --no-daemon --process-name=fuse --log-level=WARNING --log-file=-",
    ...servers.map(({ backend }) => `--volfile-server=${backend}`),
    `--volfile-id=/${volume} ${path}`,
  ].join(" ");
  return `[Unit]
Description=hastack: ${name}, mounted from GlusterFS
Wants=network-online.target
After=network-online.target glusterd.service
StartLimitIntervalSec=0

[Service]
Type=exec
# What a client that died has left
ExecStartPre=-/usr/bin/umount --lazy --quiet ${path}
ExecStart=${client}
ExecStartPost=/bin/sh -c 'until [ "$$(stat -c %%i ${path} 2> /dev/null)" = 1 ]; do kill -0 $MAINPID || exit 1; sleep 0.2; done'
ExecStopPost=-/usr/bin/umount --lazy --quiet ${path}
TimeoutStartSec=30
TimeoutStopSec=10
Restart=always
RestartSec=1
SyslogIdentifier=hastack-${name}
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`;
}

/** Unmounts the directory for good, once nothing of the machine uses it. */
export function removeMountScript({ name, path }: SharedDirectory): string {
  const unit = unitName(name);
  return `set -eu
! systemctl cat ${unit} > /dev/null 2>&1 || systemctl disable --quiet --now ${unit}
rm -f /etc/systemd/system/${unit}
systemctl daemon-reload
systemctl reset-failed ${unit} 2> /dev/null || :
umount --lazy --quiet ${path} || :
[ ! -d ${path} ] || rmdir ${path} || echo '${path} holds files of its own beneath the mount; they stay'`;
}

/** Takes the volume away, on the first brick's machine; one that is kept rests with its bricks. */
export function removeVolumeScript(
  topology: Topology,
  directory: SharedDirectory,
  keepData: boolean,
): string {
  if (keepData) return `echo 'the volume is kept'`;
  const volume = volumeOf(directory);
  const others = membersOf(topology).slice(1);
  return `set -eu
${glusterFunctions}
systemctl cat glusterd.service > /dev/null 2>&1 || {
  echo 'GlusterFS is not installed here: there is no volume to remove'
  exit 0
}
# One that is down keeps the definition: without its bricks it would be in the next volume's way
systemctl start glusterd || :
within 30 answers || fail 'glusterd does not answer here, so the volume ${volume} cannot be removed; see journalctl --unit=glusterd, then run destroy again'
if g volume info ${volume} > /dev/null 2>&1; then
  ! g volume info ${volume} | grep -qx 'Status: Started' || g volume stop ${volume} force > /dev/null
  g volume delete ${volume} > /dev/null || fail 'the volume cannot be deleted while a machine of it is away; start it, then run destroy again'
fi
if g volume list 2>&1 | grep -q 'No volumes present'; then
  for address in ${others.map(({ backend }) => backend).join(" ")}; do
    ! g pool list | grep -qwF "$address" || g peer detach "$address" > /dev/null
  done
fi
echo 'the volume is gone'`;
}

/**
 * Stops GlusterFS's own service, unless it has others' volumes too, and removes the brick unless it
 * is kept. One that its volume still needs is not removed: its role came to another machine.
 */
export function removeBrickScript(
  topology: Topology,
  directory: SharedDirectory,
  keepData: boolean,
): string {
  const removal = keepData
    ? ""
    : `\nrm -rf ${brickOf(directory)}\nrmdir ${bricks} 2> /dev/null || :`;
  return `set -eu
others=$(find ${definitions} -mindepth 1 -maxdepth 1 -type d ! -name ${volumeOf(directory)} -printf '%f ' 2> /dev/null || :)
${keepData ? leaveBrick : giveUpBrick(directory)}
${partMachines(topology, directory)}
rm -f ${dropIn}
rmdir ${dropIn.replace(/\/[^/]*$/, "")} 2> /dev/null || :
systemctl daemon-reload
${removeTraces(directory)}${removal}`;
}

const stopService =
  "! systemctl cat glusterd.service > /dev/null 2>&1 || systemctl disable --quiet --now glusterd";

/** With others' volumes the kept one is served on, by all that belongs to it. */
const leaveBrick = `[ -z "$others" ] || {
  echo "glusterd runs on, and serves the kept volume: it has others, too (\${others% })"
  exit 0
}
${stopService}`;

function giveUpBrick(directory: SharedDirectory): string {
  const volume = volumeOf(directory);
  return `[ ! -e ${definitions}/${volume} ] || {
  echo '${brickOf(directory)} is still part of the volume ${volume}: give this machine its role (brick or arbiter) back. If all of its files are to go, run there, then try again: gluster volume stop ${volume} force; gluster volume delete ${volume}' >&2
  exit 1
}
if [ -n "$others" ]; then
  echo "glusterd runs on: it has other volumes, too (\${others% })"
else
  ${stopService}
fi`;
}

/** An `up` that was cut off may have joined machines, and made no volume that they would part with. */
function partMachines(topology: Topology, directory: SharedDirectory): string {
  const addresses = membersOf(topology).map(({ backend }) => backend);
  return `[ -n "$others" ] || [ -e ${definitions}/${volumeOf(directory)} ] ||
  for peer in ${peers}/*; do
    case "$(sed -n 's/^hostname1=//p' "$peer" 2> /dev/null)" in
    ${addresses.join(" | ")}) rm -f "$peer" ;;
    esac
  done`;
}

/** What GlusterFS leaves of a brick outside of its directory. */
function removeTraces(directory: SharedDirectory): string {
  const log = `/var/log/glusterfs/bricks/${brickOf(directory).slice(1).replaceAll("/", "-")}.log`;
  return `rm -f ${log}
rmdir /var/log/glusterfs/*/${volumeOf(directory)} 2> /dev/null || :
rm -rf /run/gluster/*/${volumeOf(directory)}`;
}
