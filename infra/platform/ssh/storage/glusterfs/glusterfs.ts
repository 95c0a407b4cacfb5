/**
 * GlusterFS as the driver of a shared directory: what is asked of the shell functions in `program`,
 * and the unit that mounts the directory.
 */
import { ports } from "../../../../roles.ts";
import type { Member, Topology } from "../../../../topology.ts";
import type { Flow, SharedDirectory } from "../../../platform.ts";
import type { StorageDriver } from "../driver.ts";
import { mountUnit } from "../unit.ts";

const volumeOf = ({ name }: SharedDirectory): string => `hastack-${name}`;

/** The arbiter is the last one. */
const membersOf = ({ members }: Topology): readonly Member[] => [
  ...members.brick,
  ...members.arbiter,
];

const addresses = (topology: Topology) =>
  membersOf(topology).map(({ name, backend }) => ({ name, address: backend }));

/**
 * What the group may do with whatever is made, also by a program that lets nobody else in: read it,
 * and change what a directory holds.
 */
const modes = { file: "0040", directory: "0770" };

const roles = ["brick", "arbiter"] as const;

/** GlusterFS takes any free port of these for a brick. */
const brickPorts = { from: ports.brick, to: 60_999 } as const;

/**
 * Instances and the machine of backups mount a directory, and ask a member where its bricks are. Members
 * heal each other's.
 */
function flowsOf({ tiers }: Topology): Flow[] {
  return [...roles, "backup", ...Object.keys(tiers)].flatMap((from) =>
    roles.flatMap((to) =>
      [ports.gluster, brickPorts].map((port): Flow => ({ from, to, network: "backend", port })),
    ),
  );
}

export const glusterfs: StorageDriver = {
  name: "glusterfs",
  roles,
  flows: flowsOf,
  // logrotate: GlusterFS's logs grow for ever without it
  packages: { members: ["glusterfs-server", "logrotate"], clients: ["glusterfs-client"] },
  mark: "/etc/systemd/system/glusterd.service.d/hastack.conf",
  tolerates: ({ program }, ownStorage) => ownStorage && /^gluster(d|fsd)$/.test(program),
  source: () => "GlusterFS",
  members: membersOf,

  member(topology, { name }, keepData) {
    const request = { directory: name, keepData, members: addresses(topology) };
    return {
      apply: {
        call: "place_brick",
        request: { directory: name, logTimer: "logrotate.timer", dropIn },
      },
      remove: { call: "remove_brick", request },
    };
  },

  volume(topology, { name }, keepData, reservePercent) {
    const members = addresses(topology);
    const clients = topology.machines.map(({ backend }) => backend).join(",");
    return {
      apply: {
        call: "make_volume",
        request: { directory: name, members, clients, modes, reservePercent },
      },
      remove: { call: "remove_volume", request: { directory: name, keepData, members } },
    };
  },

  mount(machine, topology, directory) {
    const { stack } = topology;
    const { name, path, group } = directory;
    const unit = clientUnit(machine, topology, directory);
    return {
      apply: { call: "mount_volume", request: { directory: name, path, unit, group } },
      remove: { call: "unmount_volume", request: { stack, machine, directory: name, path } },
    };
  },
};

/**
 * What is changed of glusterd's own unit. After a power cut it may start too early, fail, and would be
 * left alone. Bricks outlive it, and would outlive the network when the machine goes down: who has
 * them mounted would wait for one that says nothing, and not for one that is gone.
 */
const dropIn = `[Unit]
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=2
ExecStopPost=-/bin/sh -c '[ "$$(systemctl is-system-running)" != stopping ] || pkill -x glusterfsd'
`;

function clientUnit(machine: string, topology: Topology, directory: SharedDirectory): string {
  const { name, path } = directory;
  // A server on the machine itself is asked first
  const servers = [...membersOf(topology)].sort(
    (a, b) => Number(b.machine === machine) - Number(a.machine === machine),
  );
  const client = [
    "/usr/sbin/glusterfs --no-daemon --process-name=fuse --log-level=WARNING --log-file=-",
    ...servers.map(({ backend }) => `--volfile-server=${backend}`),
    `--volfile-id=/${volumeOf(directory)} ${path}`,
  ].join(" ");
  const service = `Type=exec
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
LimitNOFILE=65536`;
  return mountUnit({ name, source: "GlusterFS", after: "glusterd.service", service });
}
