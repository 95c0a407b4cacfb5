/**
 * NFS as the driver of a shared directory: one server, the stack's own or one that is there already.
 * What is asked of the shell functions in `program`, the server's files, and the unit that mounts.
 */
import { createHash } from "node:crypto";
import { ports } from "../../../../roles.ts";
import type { Settings } from "../../../../settings.ts";
import type { Topology } from "../../../../topology.ts";
import type { SharedDirectory } from "../../../platform.ts";
import { folders, userId } from "../../layout.ts";
import type { StorageDriver } from "../driver.ts";
import { mountUnit } from "../unit.ts";

const exportsFolder = "/var/lib/hastack/exports";

/**
 * Seconds. So long a server that starts anew waits for its clients' claims before it takes anything new,
 * at most: they have come back well before. The kernel's default is 90; less than 10 it does not take.
 */
const graceSeconds = 10;

/**
 * How clients mount, whatever else is asked for:
 * - `softerr`, 15 s in all: a program that gets no answer gets an error (ETIMEDOUT) and can answer its
 *   own visitor. With `hard` its threads hang until the server is back. What was written and not yet
 *   acknowledged by fsync may be lost then, and fsync says so. A server that is gone altogether is given
 *   up by `watch.pl` before that, since the kernel holds whoever opens a file for longer.
 * - Names and attributes are trusted for a second, and that a name is missing never is: what one machine
 *   has made, another one finds at once.
 * - What is shared are files, no programs and no devices.
 */
const mountOptions = [
  "vers=4.2,proto=tcp",
  "softerr,timeo=50,retrans=2,retry=0",
  "actimeo=1,lookupcache=positive",
  "nosuid,nodev,noexec",
];

export function nfs({
  stack,
  machines = [],
  storage,
}: Pick<Settings, "stack" | "storage" | "machines">): StorageDriver {
  const given = storage.nfs;
  const own = machines.find(({ roles }) => roles.includes("nfs"))?.backend ?? "";
  const source = (directory: string) =>
    given ? `${given.server}:${given.path}/${directory}` : `${own}:${exportsFolder}/${directory}`;
  const options = [...mountOptions, ...(given?.options ?? [])].join(",");

  return {
    name: "nfs",
    roles: ["nfs"],
    // NFS 4 has no need of rpcbind, which comes along: named, it is not started either
    packages: { members: ["nfs-kernel-server", "rpcbind"], clients: ["nfs-common", "rpcbind"] },
    mark: "/etc/nfs.conf.d/hastack.conf",
    // The kernel has one NFS server for whatever the machine exports
    tolerates: ({ port, program }) => port === ports.nfs && program === "the kernel",
    source,
    members: ({ members }) => members.nfs,
    // Nobody calls back: the server speaks to a client by the connection that the client has made
    flows: ({ tiers }) =>
      given
        ? []
        : ["backup", ...Object.keys(tiers)].map((from) => ({
            from,
            to: "nfs",
            network: "backend",
            port: ports.nfs,
          })),

    member(topology, { name, group }, keepData) {
      const request = {
        directory: name,
        group,
        exports: exportsFile(topology, name),
        times: timesFile,
        alone: aloneFile(own),
      };
      return {
        apply: { call: "place_export", request },
        remove: { call: "remove_export", request: { directory: name, keepData } },
      };
    },

    mount(machine, { stack: of }, directory) {
      const { name, path, group } = directory;
      const from = source(name);
      const unit = clientUnit(directory, from, options);
      const parent = given && { parent: `${given.server}:${given.path}`, options };
      return {
        apply: {
          call: "mount_export",
          request: { directory: name, path, from, unit, group, ...parent },
        },
        remove: { call: "unmount_export", request: { stack: of, machine, directory: name, path } },
      };
    },
  };

  /**
   * Every request comes to the files as the stack's user, whoever made it, root too: users have other
   * numbers on other machines, and nobody is root here. The file system's id is the stack's own, since
   * a client that comes back has to find the same one.
   */
  function exportsFile({ tiers, members }: Topology, directory: string): string {
    const id = createHash("sha256").update(`${stack} ${directory}`).digest("hex").slice(0, 32);
    const options = `rw,sync,no_subtree_check,all_squash,anonuid=${userId},anongid=${userId},fsid=${id}`;
    const clients = new Set(
      [...Object.values(tiers), members.backup].flatMap((all) => all.map(({ backend }) => backend)),
    );
    return [...clients]
      .map((client) => `${exportsFolder}/${directory} ${client}(${options})\n`)
      .join("");
  }
}

/** A client renews its claims within the lease, and tries a lost connection again within half of it. */
const timesFile = `[nfsd]
grace-time=${graceSeconds}
lease-time=${graceSeconds}
threads=16
`;

/** Where the machine has no other exports: one version, at one address, and no ports but that. */
const aloneFile = (address: string) => `[nfsd]
host=${address}
udp=n
vers2=n
vers3=n
vers4=y
vers4.0=n
vers4.1=n
vers4.2=y
`;

/** The kernel has the mount, and a program watches the server: see `watch.pl`. */
function clientUnit({ name, path }: SharedDirectory, source: string, options: string): string {
  const [server = ""] = source.split(":/");
  const force = `umount --force --lazy --quiet ${path}`;
  // Twice, since the first time a write that waits for its answer is sent again
  const giveUp = `{ umount --force --quiet ${path}; sleep 0.2; ${force}; }`;
  return mountUnit({
    name,
    source,
    after: "nfs-server.service",
    service: `Type=exec
ExecStartPre=-/usr/bin/${force}
ExecStartPre=/usr/bin/mount -t nfs4 -o ${options} ${source} ${path}
ExecStart=/usr/bin/perl ${folders.programs}/watch ${server} ${path}
ExecStopPost=-/bin/sh -c '[ "$$SERVICE_RESULT" = success ] && timeout --signal=KILL 10 umount ${path} || ${giveUp}'
TimeoutStartSec=30
TimeoutStopSec=30
Restart=always
RestartSec=1
SyslogIdentifier=hastack-${name}`,
  });
}
