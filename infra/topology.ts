/**
 * Machines, members, addresses and ports, as plain values that are known before anything exists,
 * and the rules that every topology must keep.
 */
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
const portsOfRole: Readonly<Record<Role, readonly number[]>> = {
  loadBalancer: [ports.http, ports.https, ports.stats, ports.primary, ports.replicas, ports.mail],
  quorum: [ports.etcdClient, ports.etcdPeer],
  database: [ports.postgres, ports.patroni],
  storefront: [ports.storefront],
  admin: [ports.admin],
  cache: [ports.cache],
  brick: [ports.gluster, ports.brick],
  arbiter: [ports.gluster, ports.brick],
};

/** A machine as configured: on Docker a container of its own, elsewhere a host. */
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

/** First host number of each role in its subnets; ten addresses each. */
const firstHost: Readonly<Record<GeneratedRole, number>> = {
  loadBalancer: 11,
  quorum: 21,
  database: 31,
  storefront: 41,
  admin: 51,
  cache: 61,
};
const membersPerRole = 9;
const generatedRoles = Object.keys(firstHost) as GeneratedRole[];

/** The virtual IPs come after all members. */
const firstVirtualHost = 70;

/**
 * Plans the topology that the settings ask for.
 * @throws SettingsError with every rule that it breaks
 */
export function planTopology(settings: Settings): Topology {
  const problems = [
    ...countProblems(settings),
    ...networkProblems(settings),
    ...timingProblems(settings),
    ...mailProblems(settings),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  const machines = machinesOf(settings);
  const broken = [
    ...machineProblems(machines),
    ...addressProblems(settings, machines),
    ...poolProblems(settings, machines),
    ...publishProblems(settings),
  ];
  if (broken.length > 0) throw new SettingsError(broken);
  return toTopology(settings, machines);
}

/** The machines that are there already, or those that the platform will make. */
function machinesOf(settings: Settings): readonly Machine[] {
  if (settings.platform === "docker") return generateMachines(settings);
  return (settings.machines ?? []).map(({ name, roles, frontend, backend }) => ({
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

/** Rules on how many members a role has. */
export function countProblems(settings: Settings): string[] {
  const { members } = settings;
  const problems: string[] = [];
  const refuse = (role: GeneratedRole, why: string) =>
    problems.push(`hastack:members.${role}: ${members[role]} ${why}`);
  if (members.quorum < 3) refuse("quorum", "cannot outvote a lost one, use 3");
  else if (members.quorum % 2 === 0) {
    refuse(
      "quorum",
      `is even and survives no more losses than ${members.quorum - 1}, use ${members.quorum - 1}`,
    );
  }
  if (members.database !== 2) refuse("database", "is not a primary and a standby, use 2");
  if (members.loadBalancer < 2) {
    refuse("loadBalancer", "leaves the virtual IPs without a second holder, use 2");
  }
  for (const role of ["storefront", "admin"] as const) {
    if (members[role] === 0) refuse(role, "leaves the role without a machine, use 2");
  }
  if (members.cache > 1) {
    refuse("cache", "would each know half of what changed, use 1 (or 0 to go without)");
  }
  for (const role of generatedRoles) {
    if (members[role] > membersPerRole) {
      refuse(role, `is more than the address plan holds, use at most ${membersPerRole}`);
    }
  }
  return problems;
}

/** Times that must fit to each other, or what they promise is not kept. */
export function timingProblems({ application, loadBalancer, database }: Settings): string[] {
  const problems: string[] = [];
  const { drainSeconds, stopGraceSeconds } = application;
  if (drainSeconds >= stopGraceSeconds) {
    problems.push(
      `hastack:application.drainSeconds: ${drainSeconds} leaves requests no time before stopGraceSeconds (${stopGraceSeconds}) is over, use less`,
    );
  }
  // Two checks that fail take an instance out; a second more for a busy machine
  const { checkIntervalMilliseconds, checkFastIntervalMilliseconds } = loadBalancer;
  const noticed = (checkIntervalMilliseconds + checkFastIntervalMilliseconds) / 1000 + 1;
  if (drainSeconds < noticed) {
    problems.push(
      `hastack:application.drainSeconds: ${drainSeconds} is over before the load balancers' checks have seen it, use ${Math.ceil(noticed)} or shorter check intervals`,
    );
  }
  // Patroni lowers the other two by itself, without a word, where they do not fit
  const { ttlSeconds, loopWaitSeconds, retryTimeoutSeconds } = database;
  const lease = loopWaitSeconds + 2 * retryTimeoutSeconds;
  if (ttlSeconds < lease) {
    problems.push(
      `hastack:database.ttlSeconds: ${ttlSeconds} is less than loopWaitSeconds + 2 × retryTimeoutSeconds, use ${lease} or more`,
    );
  }
  return problems;
}

/** A login at the mail server is a user and a password, or neither. */
export function mailProblems({ smtp, smtpPassword }: Settings): string[] {
  if (smtp?.user !== undefined && smtpPassword === undefined) {
    return [
      `hastack:smtp.user: ${smtp.user} has no password; give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out`,
    ];
  }
  return smtpPassword !== undefined && smtp?.user === undefined
    ? ["hastack:smtpPassword: there is no hastack:smtp.user whose it is; name one, or leave it out"]
    : [];
}

/** Rules on subnets and virtual IPs. */
export function networkProblems(settings: Settings): string[] {
  const problems: string[] = [];
  const { frontend, backend } = settings.network;
  for (const [name, { subnet, vip }] of Object.entries({ frontend, backend })) {
    const path = `hastack:network.${name}`;
    const { prefix, base } = parseSubnet(subnet);
    if (prefix < 16 || prefix > 24) {
      problems.push(`${path}.subnet: ${subnet} has prefix length ${prefix}, use 16 to 24`);
    } else if (toNumber(subnet.split("/")[0] ?? "") !== base) {
      problems.push(`${path}.subnet: ${subnet} names a host, use ${fromNumber(base)}/${prefix}`);
    } else if (!contains(subnet, vip)) {
      problems.push(`${path}.vip: ${vip} is outside ${subnet}, use an address inside it`);
    } else if (
      toNumber(vip) - base >= dynamicRangeStart ||
      toNumber(vip) - base < firstVirtualHost
    ) {
      problems.push(
        `${path}.vip: ${vip} is where members or passing containers get their addresses, use ${hostAddress(subnet, firstVirtualHost)} to ${hostAddress(subnet, dynamicRangeStart - 1)}`,
      );
    }
  }
  if (overlaps(frontend.subnet, backend.subnet)) {
    problems.push(
      `hastack:network.backend.subnet: ${backend.subnet} overlaps the frontend's ${frontend.subnet}, use another`,
    );
  }
  return problems;
}

/** Rules on which roles share a machine. */
export function machineProblems(machines: readonly Machine[]): string[] {
  const problems: string[] = [];
  for (const { name, roles: held, frontend } of machines) {
    for (const role of ["database", "quorum"] as const) {
      if (held.filter((one) => one === role).length > 1) {
        problems.push(
          `machines.${name}: has two ${role} members, which would be lost together; put them on two machines`,
        );
      }
    }
    if (held.includes("loadBalancer") && frontend === undefined) {
      problems.push(`machines.${name}: is a load balancer without a frontend address, give one`);
    }
    const taken = new Map<number, Role>();
    for (const role of new Set(held)) {
      for (const port of portsOfRole[role]) {
        const other = taken.get(port);
        if (other) problems.push(`machines.${name}: ${other} and ${role} both want port ${port}`);
        taken.set(port, role);
      }
    }
  }
  return problems;
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
      const path = `machines.${machine.name}.${name}`;
      if (holder) problems.push(`${path}: ${address} belongs to ${holder}, use another`);
      else if (!contains(subnet, address)) {
        problems.push(`${path}: ${address} is outside ${subnet}, use an address inside it`);
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

/** Ports published on 127.0.0.1: each once, and one for each load balancer or none. */
export function publishProblems(settings: Settings): string[] {
  const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
  const problems: string[] = [];
  for (const [name, list] of Object.entries({ publishedPorts, publishedStatsPorts })) {
    if (list.length !== 0 && list.length !== settings.members.loadBalancer) {
      problems.push(
        `hastack:loadBalancer.${name}: has ${list.length} for ${settings.members.loadBalancer} load balancers, use one for each`,
      );
    }
  }
  const all = [...publishedPorts, ...publishedStatsPorts];
  for (const port of new Set(all.filter((one, index) => all.indexOf(one) !== index))) {
    problems.push(`hastack:loadBalancer.publishedPorts: ${port} is there twice, use another`);
  }
  return problems;
}

/** Host number at which the platform's own, passing containers get their addresses. */
export const dynamicRangeStart = 128;

/** The address with this number in a subnet. */
export function hostAddress(subnet: string, host: number): string {
  return fromNumber(parseSubnet(subnet).base + host);
}

export function prefixLength(subnet: string): number {
  return parseSubnet(subnet).prefix;
}

/** Whether two subnets share an address. */
export function overlaps(one: string, other: string): boolean {
  const a = parseSubnet(one);
  const b = parseSubnet(other);
  const prefix = Math.min(a.prefix, b.prefix);
  return maskTo(a.base, prefix) === maskTo(b.base, prefix);
}

function contains(subnet: string, address: string): boolean {
  const { base, prefix } = parseSubnet(subnet);
  return maskTo(toNumber(address), prefix) === base;
}

function parseSubnet(subnet: string): { base: number; prefix: number } {
  const [address = "", length = ""] = subnet.split("/");
  const prefix = Number(length);
  return { base: maskTo(toNumber(address), prefix), prefix };
}

function maskTo(address: number, prefix: number): number {
  const size = 2 ** (32 - prefix);
  return Math.floor(address / size) * size;
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

function fromNumber(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
