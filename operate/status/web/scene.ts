/** What is drawn of a stack: who there is, where, in which networks. */
import { allMembers } from "../../../infra/topology.ts";
import type { OperatedStack } from "../../stack.ts";

/** Members that are drawn together. */
export interface Group {
  readonly name: string;
  /** Which line of the drawing it is in, from the visitors on. */
  readonly line: "balancers" | "tiers" | "data";
  readonly members: readonly string[];
}

export interface Scene {
  readonly stack: string;
  readonly platform: string;
  readonly networks: readonly {
    readonly name: string;
    readonly subnet: string;
    readonly vip: string;
  }[];
  readonly groups: readonly Group[];
  /** Where several members share a machine, all of them; else none. */
  readonly machines: readonly { readonly name: string; readonly members: readonly string[] }[];
}

export function sceneOf({ name, settings, topology }: OperatedStack): Scene {
  const all = allMembers(topology);
  const { members, tiers, network, machines } = topology;
  const group = (name: string, line: Group["line"], ...roles: (keyof typeof members)[]): Group => ({
    name,
    line,
    members: roles.flatMap((role) => members[role].map((one) => one.name)),
  });
  const groups: Group[] = [
    group("load balancers", "balancers", "loadBalancer"),
    ...Object.entries(tiers).map(
      ([tier, some]): Group => ({
        name: tier,
        line: "tiers",
        members: some.map((one) => one.name),
      }),
    ),
    group("database", "data", "database"),
    group("cache", "data", "cache"),
    group("etcd", "data", "quorum"),
    group("storage", "data", "brick", "arbiter", "nfs"),
    group("backups", "data", "backup"),
  ];
  const inhabited = machines.map((machine) => ({
    name: machine.name,
    members: groups
      .flatMap((one) => one.members)
      .filter((one) =>
        all.some((member) => member.name === one && member.machine === machine.name),
      ),
  }));
  const areShared = inhabited.some((one) => one.members.length > 1);
  return {
    stack: name,
    platform: settings.platform,
    networks: (["frontend", "backend"] as const).map((one) => ({
      name: one,
      subnet: network[one].subnet,
      vip: network[one].vip,
    })),
    groups: groups.filter((one) => one.members.length > 0),
    machines: areShared ? inhabited : [],
  };
}
