/**
 * The fixed roles of the stack, one row each: what members are called, which addresses and ports
 * they have, how many there may be, and what their machine must have. Tiers are no roles: the
 * application names them.
 */

/** The fixed ports of the stack, the same on every platform. */
export const ports = {
  http: 80,
  https: 443,
  stats: 8404,
  primary: 5000,
  replicas: 5001,
  postgres: 5432,
  patroni: 8008,
  etcdClient: 2379,
  etcdPeer: 2380,
  cache: 6379,
  /** On the load balancers: leads to the mail server. */
  mail: 2525,
  /** The same for the application's first host outside; `outsidePorts` of them follow each other. */
  firstOutside: 2600,
  /** GlusterFS: its management, and the first brick of a machine. */
  gluster: 24007,
  brick: 49152,
  /** NFS, version 4 alone. */
  nfs: 2049,
  /** A restored database, while the database's members take it over; closed otherwise. */
  restored: 5440,
} as const;

/** Where the machine of backups keeps all that it has. */
export const backupDirectory = "/var/lib/hastack-backup";

/** How many hosts outside an application may have. */
export const outsidePorts = 100;

/** What a machine can be, beside the application's tiers. */
export type Role =
  | "loadBalancer"
  | "quorum"
  | "database"
  | "cache"
  | "brick"
  | "arbiter"
  | "nfs"
  | "backup";

/** Why a number of members is refused, and the number to use. */
export interface CountProblem {
  readonly why: string;
  readonly fix: string;
}

/** Free space that something needs on its machine. */
export interface DiskNeed {
  readonly path: string;
  /** What lies there, for messages. */
  readonly what: string;
  readonly megabytes: number;
  /** Whether visitors can fill it. @default false */
  readonly filled?: boolean;
}

/** Releases of 200 MiB: those that run, three to go back to, and one that comes. */
export const releaseNeed: DiskNeed = { path: "/opt/hastack", what: "releases", megabytes: 3072 };

export interface RoleRow {
  /** `db` of the members `db-1`, `db-2`. */
  readonly memberPrefix: string;
  /** Ports that a member listens on; two things on one machine must not share one. */
  readonly ports: readonly number[];
  /** What is wrong with this number of members, if anything. */
  countProblem(count: number): CountProblem | undefined;
  /** Whether a second member on one machine would be lost together with the first. */
  readonly apart: boolean;
  /** Whether members need an address in the frontend network. */
  readonly frontend: boolean;
  /** Free space that a member needs. */
  readonly disk: readonly DiskNeed[];
  /**
   * Where the platform makes the machines (docker): the host number of the first member's address,
   * and how many members there are unless the stack says otherwise.
   * @default the platform makes none
   */
  readonly generated?: { readonly firstHost: number; readonly members: number };
}

/** All about each role. The order is that of members and messages. */
export const roleTable = {
  loadBalancer: {
    memberPrefix: "lb",
    ports: [ports.http, ports.https, ports.stats, ports.primary, ports.replicas, ports.mail],
    countProblem: (count) =>
      count < 2
        ? { why: "leaves no second load balancer to take over the virtual IPs", fix: "use 2" }
        : undefined,
    apart: false,
    frontend: true,
    disk: [],
    generated: { firstHost: 11, members: 2 },
  },
  quorum: {
    memberPrefix: "etcd",
    ports: [ports.etcdClient, ports.etcdPeer],
    countProblem(count) {
      if (count < 3) return { why: "has no majority when one is lost", fix: "use 3" };
      if (count % 2 === 1) return undefined;
      const fix = `use ${count - 1}`;
      return { why: `is even and survives no more losses than ${count - 1}`, fix };
    },
    apart: true,
    frontend: false,
    // etcd keeps up to 2 GiB, and a snapshot beside it
    disk: [{ path: "/var/lib/etcd", what: "etcd", megabytes: 3072 }],
    generated: { firstHost: 21, members: 3 },
  },
  database: {
    memberPrefix: "db",
    ports: [ports.postgres, ports.patroni],
    countProblem: (count) =>
      count === 2 ? undefined : { why: "is not one primary and one standby", fix: "use 2" },
    apart: true,
    frontend: false,
    // An empty database, 1 GiB of its log, and room to grow; besides the log for a standby that is away
    disk: [{ path: "/var/lib/postgresql", what: "the database", megabytes: 2048 }],
    generated: { firstHost: 31, members: 2 },
  },
  cache: {
    memberPrefix: "cache",
    ports: [ports.cache],
    countProblem: (count) =>
      count > 1
        ? {
            why: "caches would each miss half of the changes",
            fix: "use 1 (or 0 to go without)",
          }
        : undefined,
    apart: false,
    frontend: false,
    disk: [],
    generated: { firstHost: 61, members: 1 },
  },
  brick: {
    memberPrefix: "brick",
    ports: [ports.gluster, ports.brick],
    countProblem: (count) =>
      count === 2 ? undefined : { why: "does not keep every file twice", fix: "use 2" },
    apart: true,
    frontend: false,
    disk: [
      { path: "/var/lib/hastack/bricks", what: "shared files", megabytes: 3072, filled: true },
    ],
  },
  arbiter: {
    memberPrefix: "arbiter",
    ports: [ports.gluster, ports.brick],
    countProblem: (count) =>
      count === 1
        ? undefined
        : { why: "is not the one arbiter that two bricks need", fix: "use 1" },
    apart: true,
    frontend: false,
    disk: [],
  },
  nfs: {
    memberPrefix: "nfs",
    ports: [ports.nfs],
    countProblem: (count) =>
      count > 1 ? { why: "servers would each have half of the files", fix: "use 1" } : undefined,
    apart: false,
    frontend: false,
    disk: [
      { path: "/var/lib/hastack/exports", what: "shared files", megabytes: 3072, filled: true },
    ],
  },
  backup: {
    memberPrefix: "backup",
    ports: [ports.restored],
    countProblem: (count) =>
      count > 1
        ? { why: "machines would each have to fetch all of it", fix: "use 1 (or 0 to go without)" }
        : undefined,
    apart: true,
    frontend: false,
    // 2 GiB of the database's log that waits, a copy of a small database, and the first backups of it
    disk: [{ path: backupDirectory, what: "backups", megabytes: 5120, filled: true }],
    // One member: it has the number before those of passing containers, and takes no block from tiers
    generated: { firstHost: 121, members: 0 },
  },
} as const satisfies Readonly<Record<Role, RoleRow>>;

export const roles = Object.keys(roleTable) as readonly Role[];

/** The row of a role, with all that a row may have. */
export const roleRow = (role: Role): RoleRow => roleTable[role];

export function isRole(name: string): name is Role {
  return Object.hasOwn(roleTable, name);
}

/**
 * Ports that a member listens on.
 * @param member its role or tier, and the port where a tier listens
 */
export function portsOf(member: {
  readonly role: string;
  readonly port?: number;
}): readonly number[] {
  if (isRole(member.role)) return roleTable[member.role].ports;
  return member.port === undefined ? [] : [member.port];
}

/** Roles whose machines the platform makes where the stack lists none. */
export type GeneratedRole = {
  [R in Role]: (typeof roleTable)[R] extends { readonly generated: object } ? R : never;
}[Role];

export const generatedRoles = roles.filter(
  (role): role is GeneratedRole => roleRow(role).generated !== undefined,
);

/** What a tier must not be called: its members would be taken for others. */
export const reservedNames: ReadonlySet<string> = new Set([
  ...roles,
  ...roles.map((role) => roleRow(role).memberPrefix),
  // Who connects from outside
  "visitor",
  "operator",
]);
