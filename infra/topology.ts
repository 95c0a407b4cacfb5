/** Machines, members and addresses, as plain values that are known before anything exists. */
import { addressPlan, hostAddress } from "./addresses.ts";
import { generatedRoles, type Role, roleTable } from "./roles.ts";
import type { Settings } from "./settings.ts";

/** A machine as the stack sees it: on Docker a container of its own, elsewhere a host. */
export interface Machine {
  readonly name: string;
  /** Names of its roles and tiers. */
  readonly roles: readonly string[];
  /** Address in the frontend network; only load balancers need one. */
  readonly frontend?: string;
  readonly backend: string;
  /** Address in the management network; all machines have one, or none. */
  readonly management?: string;
  /** Whether it is lost for now, so that nothing of it is touched or asked. @default false */
  readonly absent?: boolean;
}

/** One role on one machine: `db-1`, `web-2`. */
export interface Member {
  readonly name: string;
  /** The name of its role or tier. */
  readonly role: string;
  readonly machine: string;
  readonly backend: string;
  /** Where an instance of a tier listens. @default as its role does, or nowhere */
  readonly port?: number;
  /** The name it had before its tier was renamed. @default it had none */
  readonly formerName?: string;
  /** Whether its machine is. @default false */
  readonly absent?: boolean;
}

/** A member that may be in the frontend network, too. */
export interface OutsideMember extends Member {
  /** @default none */
  readonly frontend?: string;
}

/** A load balancer: the one kind of member that visitors reach. */
export interface LoadBalancerMember extends Member {
  readonly frontend: string;
}

/** A tier of the application, as far as the plan and the rules need it. */
export interface TierPlan {
  readonly name: string;
  /** The name it had before. @default it had none */
  readonly formerly?: string;
  /** @default none: a worker, which listens nowhere */
  readonly port?: number;
  /** How many instances, where the platform makes the machines (docker). */
  readonly instances: number;
  /** Connections of one instance to the primary, and as many to the replicas. */
  readonly poolSize: number;
  /** Each has pools of its own while it runs, beside one instance at a time. @default none */
  readonly jobs?: readonly unknown[];
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
  readonly members: Readonly<
    Record<Exclude<Role, "loadBalancer" | "backup">, readonly Member[]>
  > & {
    readonly loadBalancer: readonly LoadBalancerMember[];
    readonly backup: readonly OutsideMember[];
  };
  /** Instances of each of the application's tiers, in the machines' order. */
  readonly tiers: Readonly<Record<string, readonly Member[]>>;
}

/** The machines that are there already. */
export function givenMachines({ machines = [] }: Settings): Machine[] {
  return machines.map(({ name, roles, frontend, backend, management }) => ({
    name,
    roles,
    ...(frontend !== undefined && { frontend }),
    backend,
    ...(management !== undefined && { management }),
  }));
}

/** One machine per member, with addresses counted from the start of each subnet. */
export function generateMachines(settings: Settings, tiers: readonly TierPlan[]): Machine[] {
  const { frontend, backend } = settings.network;
  const ofRoles = generatedRoles.flatMap((role) => {
    const { memberPrefix, generated } = roleTable[role];
    const inFrontend = roleTable[role].frontend || (role === "backup" && hasOutside(settings));
    return Array.from({ length: settings.members[role] }, (_, index) => ({
      name: `${memberPrefix}-${index + 1}`,
      roles: [role],
      ...(inFrontend && { frontend: hostAddress(frontend.subnet, generated.firstHost + index) }),
      backend: hostAddress(backend.subnet, generated.firstHost + index),
    }));
  });
  const firstHosts = firstHostsOf(settings, tiers);
  const ofTiers = tiers.flatMap(({ name, instances }) => {
    const firstHost = firstHosts.get(name);
    if (firstHost === undefined) return [];
    return Array.from({ length: instances }, (_, index) => ({
      name: `${name}-${index + 1}`,
      roles: [name],
      backend: hostAddress(backend.subnet, firstHost + index),
    }));
  });
  return [...ofRoles, ...ofTiers];
}

/** Whether backups are kept outside the stack, too: the backend network of Docker leads nowhere. */
function hasOutside({ backup: { s3, sftp } }: Pick<Settings, "backup">): boolean {
  return s3 !== undefined || sftp !== undefined;
}

/**
 * Host number of each tier's first instance: what the stack sets, else the block at the tier's place.
 * Where another tier is set to that, it is the first block that nobody has. The rules refuse more tiers
 * than there are blocks.
 */
export function firstHostsOf(
  settings: Pick<Settings, "tiers">,
  tiers: readonly Pick<TierPlan, "name">[],
): ReadonlyMap<string, number> {
  const blocks = addressPlan.firstHostOfTiers;
  const set = new Set(tiers.map(({ name }) => settings.tiers[name]?.firstHost));
  const wanted = tiers.map(({ name }, place) => {
    const byPlace = set.has(blocks[place]) ? undefined : blocks[place];
    return { name, block: settings.tiers[name]?.firstHost ?? byPlace };
  });
  const free = blocks.filter((block) => !wanted.some((one) => one.block === block));
  return new Map(
    wanted.flatMap(({ name, block = free.shift() }): [string, number][] =>
      block === undefined ? [] : [[name, block]],
    ),
  );
}

/** The members of these machines. */
export function topologyOf(
  settings: Settings,
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): Topology {
  const absence = (name: string) => (settings.absent.includes(name) ? { absent: true } : {});
  const holders = (role: string, prefix: string) =>
    machines
      .filter((machine) => machine.roles.includes(role))
      .map(({ name, backend, frontend }, index) => ({
        member: {
          name: `${prefix}-${index + 1}`,
          role,
          machine: name,
          backend,
          ...absence(name),
        },
        frontend,
      }));
  const membersOf = (role: string, prefix: string): Member[] =>
    holders(role, prefix).map(({ member }) => member);
  const { loadBalancer, backup, ...others } = roleTable;
  return {
    stack: settings.stack,
    network: settings.network,
    machines: machines.map((one) => ({ ...one, ...absence(one.name) })),
    members: {
      ...mapRecord(others, ({ memberPrefix }, role) => membersOf(role, memberPrefix)),
      loadBalancer: holders("loadBalancer", loadBalancer.memberPrefix).map(
        ({ member, frontend = "" }) => ({ ...member, frontend }),
      ),
      backup: holders("backup", backup.memberPrefix).map(({ member, frontend }) => ({
        ...member,
        ...(frontend !== undefined && { frontend }),
      })),
    },
    tiers: Object.fromEntries(
      tiers.map(({ name, port, formerly }) => [
        name,
        membersOf(name, name).map((member, index) => ({
          ...member,
          ...(port !== undefined && { port }),
          ...(formerly !== undefined && { formerName: `${formerly}-${index + 1}` }),
        })),
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

/** Whether the machines of all but one are absent. */
export const isAlone = (all: readonly Pick<Member, "absent">[]): boolean =>
  all.length > 1 && present(all).length === 1;

/** Those that can be asked, and may serve. */
export function present<T extends Pick<Member, "absent">>(all: readonly T[]): readonly T[] {
  return all.filter(({ absent }) => !absent);
}

/** Every member of the stack: of the roles, then of the tiers. */
export function allMembers({ members, tiers }: Pick<Topology, "members" | "tiers">): Member[] {
  return [...Object.values(members), ...Object.values(tiers)].flat();
}
