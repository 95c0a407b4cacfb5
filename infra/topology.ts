/**
 * Machines, members, and addresses, as plain values that are known before anything exists,
 * and the rules on what machines hold.
 */
import { addressPlan, contains, hostAddress, meansAll } from "./addresses.ts";
import { certificateProblems } from "./certificate.ts";
import { targetProblems } from "./inventory.ts";
import { generatedRoles, isRole, type Role, roleTable } from "./roles.ts";
import {
  countProblems,
  mailProblems,
  networkProblems,
  publishProblems,
  timingProblems,
} from "./rules.ts";
import { type Settings, SettingsError } from "./settings.ts";

/** A machine as the stack sees it: on Docker a container of its own, elsewhere a host. */
export interface Machine {
  readonly name: string;
  /** Names of its roles and tiers. */
  readonly roles: readonly string[];
  /** Address in the frontend network; only load balancers need one. */
  readonly frontend?: string;
  readonly backend: string;
}

/** One role on one machine: `db-1`, `storefront-2`. */
export interface Member {
  readonly name: string;
  /** The name of its role or tier. */
  readonly role: string;
  readonly machine: string;
  readonly backend: string;
  /** Where an instance of a tier listens. @default as its role does, or nowhere */
  readonly port?: number;
}

/** A load balancer: the one kind of member that is in both networks. */
export interface LoadBalancerMember extends Member {
  readonly frontend: string;
}

/** A tier of the application, as far as the plan and the rules need it. */
export interface TierPlan {
  readonly name: string;
  /** @default none: a worker, which listens nowhere */
  readonly port?: number;
  /** How many instances, where the platform makes the machines (docker). */
  readonly instances: number;
  /** Connections of one instance to the primary, and as many to the replicas. */
  readonly poolSize: number;
  /** How long an instance that stops still serves. */
  readonly drainSeconds: number;
  /** How long an instance that stops may take in all. */
  readonly stopGraceSeconds: number;
}

export interface Topology {
  readonly stack: string;
  readonly network: Settings["network"];
  readonly machines: readonly Machine[];
  /** Members of each role, in the machines' order. */
  readonly members: Readonly<Record<Exclude<Role, "loadBalancer">, readonly Member[]>> & {
    readonly loadBalancer: readonly LoadBalancerMember[];
  };
  /** Instances of each of the application's tiers, in the machines' order. */
  readonly tiers: Readonly<Record<string, readonly Member[]>>;
}

/**
 * Plans the topology that the settings and the application's tiers ask for.
 * @param tiers in the application's order, with what the settings say in place of its defaults
 * @throws SettingsError with every rule that it breaks
 */
export function planTopology(settings: Settings, tiers: readonly TierPlan[]): Topology {
  refuse([
    ...countProblems(settings, tiers),
    ...networkProblems(settings),
    ...timingProblems(settings, tiers),
    ...mailProblems(settings),
    ...certificateProblems(settings),
    ...machineProblems(givenMachines(settings), tiers),
    ...targetProblems(settings),
  ]);
  const machines = settings.machines ? givenMachines(settings) : generateMachines(settings, tiers);
  refuse([
    ...addressProblems(settings, machines),
    ...poolProblems(settings, machines, tiers),
    ...publishProblems(settings),
  ]);
  return toTopology(settings, machines, tiers);
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new SettingsError(problems);
}

/** The machines that are there already. */
export function givenMachines({ machines = [] }: Pick<Settings, "machines">): Machine[] {
  return machines.map(({ name, roles, frontend, backend }) => ({
    name,
    roles,
    ...(frontend !== undefined && { frontend }),
    backend,
  }));
}

/** One machine per member, with addresses counted from the start of each subnet. */
export function generateMachines(settings: Settings, tiers: readonly TierPlan[]): Machine[] {
  const { frontend, backend } = settings.network;
  const ofRoles = generatedRoles.flatMap((role) => {
    const { memberPrefix, frontend: inFrontend, generated } = roleTable[role];
    return Array.from({ length: settings.members[role] }, (_, index) => ({
      name: `${memberPrefix}-${index + 1}`,
      roles: [role],
      ...(inFrontend && { frontend: hostAddress(frontend.subnet, generated.firstHost + index) }),
      backend: hostAddress(backend.subnet, generated.firstHost + index),
    }));
  });
  const ofTiers = tiers.flatMap(({ name, instances }, place) => {
    const firstHost = addressPlan.firstHostOfTiers[place];
    if (firstHost === undefined) return [];
    return Array.from({ length: instances }, (_, index) => ({
      name: `${name}-${index + 1}`,
      roles: [name],
      backend: hostAddress(backend.subnet, firstHost + index),
    }));
  });
  return [...ofRoles, ...ofTiers];
}

function toTopology(
  settings: Settings,
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): Topology {
  const holders = (role: string, prefix: string) =>
    machines
      .filter((machine) => machine.roles.includes(role))
      .map(({ name, backend, frontend = "" }, index) => ({
        member: { name: `${prefix}-${index + 1}`, role, machine: name, backend },
        frontend,
      }));
  const membersOf = (role: string, prefix: string): Member[] =>
    holders(role, prefix).map(({ member }) => member);
  const { loadBalancer, ...others } = roleTable;
  return {
    stack: settings.stack,
    network: settings.network,
    machines,
    members: {
      ...mapRecord(others, ({ memberPrefix }, role) => membersOf(role, memberPrefix)),
      loadBalancer: holders("loadBalancer", loadBalancer.memberPrefix).map(
        ({ member, frontend }) => ({ ...member, frontend }),
      ),
    },
    tiers: Object.fromEntries(
      tiers.map(({ name, port }) => [
        name,
        membersOf(name, name).map((member) => (port === undefined ? member : { ...member, port })),
      ]),
    ),
  };
}

/** The same keys, each with another value. */
function mapRecord<K extends string, V, W>(
  record: Readonly<Record<K, V>>,
  map: (value: V, key: K) => W,
): Record<K, W> {
  const entries = (Object.entries(record) as [K, V][]).map(([key, value]) => [
    key,
    map(value, key),
  ]);
  return Object.fromEntries(entries) as Record<K, W>;
}

/** Every member of the stack: of the roles, then of the tiers. */
export function allMembers({ members, tiers }: Pick<Topology, "members" | "tiers">): Member[] {
  return [...Object.values(members), ...Object.values(tiers)].flat();
}

/** Rules on the machines that are there already: their names, and which roles share one. */
export function machineProblems(
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): string[] {
  return [
    ...repeated(machines.map(({ name }) => name)).map(
      (name) => `hastack:machines.${name}: the name is there twice, use another`,
    ),
    ...machines.flatMap((machine) =>
      roleProblems(machine, tiers).map((problem) => `hastack:machines.${machine.name}${problem}`),
    ),
  ];
}

function roleProblems({ roles: held, frontend }: Machine, tiers: readonly TierPlan[]): string[] {
  const problems = repeated(held).map((role) =>
    role === "database" || role === "quorum"
      ? `.roles: two ${role} members would be lost together, put them on two machines`
      : `.roles: ${role} is there twice, name it once`,
  );
  if (held.includes("loadBalancer") && frontend === undefined) {
    problems.push(".frontend: is missing, and a load balancer is where visitors come in; give one");
  }
  const different = [...new Set(held)];
  const portsOfName = (name: string) =>
    portsOf({ role: name, ...tiers.find((tier) => tier.name === name) });
  for (const [index, one] of different.entries()) {
    for (const other of different.slice(index + 1)) {
      const both = portsOfName(one).filter((port) => portsOfName(other).includes(port));
      if (both.length === 0) continue;
      problems.push(
        `.roles: ${one} and ${other} both want port ${both.join(" and ")}, put them on two machines`,
      );
    }
  }
  return problems;
}

/** Ports that a member listens on. */
export function portsOf({ role, port }: Pick<Member, "role" | "port">): readonly number[] {
  if (isRole(role)) return roleTable[role].ports;
  return port === undefined ? [] : [port];
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
export function poolProblems(
  settings: Settings,
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): string[] {
  const pools = tiers.map(
    ({ name, poolSize }) => poolSize * machines.filter(({ roles }) => roles.includes(name)).length,
  );
  const wanted = 2 * pools.reduce((sum, size) => sum + size, 0) + reservedConnections;
  const { maxConnections } = settings.database;
  return wanted <= maxConnections
    ? []
    : [
        `hastack:database.maxConnections: ${maxConnections} is less than the ${wanted} that all pools may open, use ${wanted} or smaller pools (hastack:tiers)`,
      ];
}
