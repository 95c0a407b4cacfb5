/**
 * Machines, members, addresses and ports, as plain values that are known before anything exists,
 * and the rules on what machines hold.
 */
import { contains, hostAddress, meansAll } from "./addresses.ts";
import { certificateProblems } from "./certificate.ts";
import { targetProblems } from "./inventory.ts";
import {
  countProblems,
  mailProblems,
  networkProblems,
  publishProblems,
  timingProblems,
} from "./rules.ts";
import { type Role, type Settings, SettingsError } from "./settings.ts";

/** The ports of the stack, the same on every platform. */
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
  storefront: 3000,
  admin: 3001,
  cache: 6379,
  /** Way out to the mail server, on the load balancers. */
  mail: 2525,
  /** GlusterFS: its management, and the first brick of a machine. */
  gluster: 24007,
  brick: 49152,
} as const;

/** Ports that a role listens on; two roles on one machine must not share one. */
export const portsOfRole: Readonly<Record<Role, readonly number[]>> = {
  loadBalancer: [ports.http, ports.https, ports.stats, ports.primary, ports.replicas, ports.mail],
  quorum: [ports.etcdClient, ports.etcdPeer],
  database: [ports.postgres, ports.patroni],
  storefront: [ports.storefront],
  admin: [ports.admin],
  cache: [ports.cache],
  brick: [ports.gluster, ports.brick],
  arbiter: [ports.gluster, ports.brick],
};

/** A machine as the stack sees it: on Docker a container of its own, elsewhere a host. */
export interface Machine {
  readonly name: string;
  readonly roles: readonly Role[];
  /** Address in the frontend network; only load balancers need one. */
  readonly frontend?: string;
  readonly backend: string;
}

/** One role on one machine: `db-1`, `storefront-2`. */
export interface Member {
  readonly name: string;
  readonly role: Role;
  readonly machine: string;
  readonly backend: string;
}

/** A load balancer: the one kind of member that is in both networks. */
export interface LoadBalancerMember extends Member {
  readonly frontend: string;
}

export interface Topology {
  readonly stack: string;
  readonly network: Settings["network"];
  readonly machines: readonly Machine[];
  readonly loadBalancers: readonly LoadBalancerMember[];
  readonly quorum: readonly Member[];
  readonly database: readonly Member[];
  readonly storefront: readonly Member[];
  readonly admin: readonly Member[];
  /** One, or none. */
  readonly cache: readonly Member[];
  /** Where the shared directory's data lie; none where the platform shares it in another way. */
  readonly bricks: readonly Member[];
  /** Where only the names of its files lie, as a third vote. */
  readonly arbiters: readonly Member[];
}

const memberPrefix: Readonly<Record<Role, string>> = {
  loadBalancer: "lb",
  quorum: "etcd",
  database: "db",
  storefront: "storefront",
  admin: "admin",
  cache: "cache",
  brick: "brick",
  arbiter: "arbiter",
};

/** Roles that the platform makes machines for, where it makes them. */
type GeneratedRole = keyof Settings["members"];

/** First host number of each role in its subnets. */
const firstHost: Readonly<Record<GeneratedRole, number>> = {
  loadBalancer: 11,
  quorum: 21,
  database: 31,
  storefront: 41,
  admin: 51,
  cache: 61,
};
const generatedRoles = Object.keys(firstHost) as GeneratedRole[];

/**
 * Plans the topology that the settings ask for.
 * @throws SettingsError with every rule that it breaks
 */
export function planTopology(settings: Settings): Topology {
  refuse([
    ...countProblems(settings),
    ...networkProblems(settings),
    ...timingProblems(settings),
    ...mailProblems(settings),
    ...certificateProblems(settings),
    ...machineProblems(givenMachines(settings)),
    ...targetProblems(settings),
  ]);
  const machines = settings.machines ? givenMachines(settings) : generateMachines(settings);
  refuse([
    ...addressProblems(settings, machines),
    ...poolProblems(settings, machines),
    ...publishProblems(settings),
  ]);
  return toTopology(settings, machines);
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new SettingsError(problems);
}

/** The machines that are there already. */
function givenMachines({ machines = [] }: Settings): Machine[] {
  return machines.map(({ name, roles, frontend, backend }) => ({
    name,
    roles,
    ...(frontend !== undefined && { frontend }),
    backend,
  }));
}

/** One machine per member, with addresses counted from the start of each subnet. */
export function generateMachines(settings: Settings): Machine[] {
  const { frontend, backend } = settings.network;
  return generatedRoles.flatMap((role) =>
    Array.from({ length: settings.members[role] }, (_, index) => ({
      name: `${memberPrefix[role]}-${index + 1}`,
      roles: [role],
      ...(role === "loadBalancer" && {
        frontend: hostAddress(frontend.subnet, firstHost[role] + index),
      }),
      backend: hostAddress(backend.subnet, firstHost[role] + index),
    })),
  );
}

function toTopology(settings: Settings, machines: readonly Machine[]): Topology {
  const membersOf = (role: Role): Member[] =>
    machines
      .filter((machine) => machine.roles.includes(role))
      .map((machine, index) => ({
        name: `${memberPrefix[role]}-${index + 1}`,
        role,
        machine: machine.name,
        backend: machine.backend,
      }));
  const frontendOf = new Map(machines.map((machine) => [machine.name, machine.frontend ?? ""]));
  return {
    stack: settings.stack,
    network: settings.network,
    machines,
    loadBalancers: membersOf("loadBalancer").map((member) => ({
      ...member,
      frontend: frontendOf.get(member.machine) ?? "",
    })),
    quorum: membersOf("quorum"),
    database: membersOf("database"),
    storefront: membersOf("storefront"),
    admin: membersOf("admin"),
    cache: membersOf("cache"),
    bricks: membersOf("brick"),
    arbiters: membersOf("arbiter"),
  };
}

/** Rules on the machines that are there already: their names, and which roles share one. */
export function machineProblems(machines: readonly Machine[]): string[] {
  return [
    ...repeated(machines.map(({ name }) => name)).map(
      (name) => `hastack:machines.${name}: the name is there twice, use another`,
    ),
    ...machines.flatMap((machine) =>
      roleProblems(machine).map((problem) => `hastack:machines.${machine.name}${problem}`),
    ),
  ];
}

function roleProblems({ roles: held, frontend }: Machine): string[] {
  const problems = repeated(held).map((role) =>
    role === "database" || role === "quorum"
      ? `.roles: two ${role} members would be lost together, put them on two machines`
      : `.roles: ${role} is there twice, name it once`,
  );
  if (held.includes("loadBalancer") && frontend === undefined) {
    problems.push(".frontend: is missing, and a load balancer is where visitors come in; give one");
  }
  const different = [...new Set(held)];
  for (const [index, one] of different.entries()) {
    for (const other of different.slice(index + 1)) {
      const both = portsOfRole[one].filter((port) => portsOfRole[other].includes(port));
      if (both.length === 0) continue;
      problems.push(
        `.roles: ${one} and ${other} both want port ${both.join(" and ")}, put them on two machines`,
      );
    }
  }
  return problems;
}

/** What a list has more than once, each told once. */
function repeated<T>(list: readonly T[]): T[] {
  return [...new Set(list.filter((one, index) => list.indexOf(one) !== index))];
}

/** Every address once, inside its subnet, and none of them a virtual IP. */
export function addressProblems(settings: Settings, machines: readonly Machine[]): string[] {
  const problems: string[] = [];
  for (const name of ["frontend", "backend"] as const) {
    const { subnet, vip } = settings.network[name];
    const holders = new Map([[vip, "the virtual IP"]]);
    for (const machine of machines) {
      const address = machine[name];
      if (address === undefined) continue;
      const holder = holders.get(address);
      const path = `hastack:machines.${machine.name}.${name}`;
      if (holder) problems.push(`${path}: ${address} belongs to ${holder}, use another`);
      else if (!contains(subnet, address)) {
        problems.push(`${path}: ${address} is outside ${subnet}, use an address inside it`);
      } else if (meansAll(subnet, address)) {
        problems.push(`${path}: ${address} means all of ${subnet}, use another`);
      }
      holders.set(address, machine.name);
    }
  }
  return problems;
}

/** Connections that PostgreSQL keeps for superusers, Patroni, replication and migrations. */
const reservedConnections = 15;

/**
 * The pools of all instances must fit into `max_connections` of one member: after a failover
 * without a standby, both pools of every instance end at the same server. While a release is
 * rolled out no instance runs twice, so there is nothing to add for that.
 */
export function poolProblems(settings: Settings, machines: readonly Machine[]): string[] {
  const instances = (role: Role) => machines.filter((one) => one.roles.includes(role)).length;
  const { storefrontPoolSize, adminPoolSize } = settings.application;
  const wanted =
    2 * (instances("storefront") * storefrontPoolSize + instances("admin") * adminPoolSize) +
    reservedConnections;
  const { maxConnections } = settings.database;
  return wanted <= maxConnections
    ? []
    : [
        `hastack:database.maxConnections: ${maxConnections} is less than the ${wanted} that all pools may open, use ${wanted} or smaller pools (hastack:application)`,
      ];
}
