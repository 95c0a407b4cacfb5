/** Machines that are lost for now: what is left must do without them. */
import { isRole, type Role } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan, Topology } from "../topology.ts";
import { duplicates, type Problem } from "./problem.ts";

type Named = Pick<Machine, "name" | "roles">;

/** Names that are none, and machines without which the rest cannot do. */
export function absentProblems(
  { absent }: Pick<Settings, "absent">,
  machines: readonly Named[],
  tiers: readonly Pick<TierPlan, "name">[],
): Problem[] {
  if (absent.length === 0) return [];
  const path = "absent";
  const names = machines.map(({ name }) => name);
  const strangers = absent.filter((name) => !names.includes(name));
  return [
    ...strangers.map((value) => ({
      path,
      value,
      why: "is no machine of the stack",
      fix: `use one of ${names.join(", ")}`,
    })),
    ...duplicates(absent).map((value) => ({
      path,
      value,
      why: "is there twice",
      fix: "name it once",
    })),
    ...needs(tiers).flatMap((need) => lackOf(need, absent, machines)),
  ];
}

/** What must be left of those that are of one kind. */
interface Need {
  /** Roles or tiers whose machines count together. */
  readonly of: readonly string[];
  readonly what: string;
  /** @returns how many must be there, of so many in all */
  readonly least: (all: number) => number;
}

const roleNeeds: readonly (Need & { readonly of: readonly Role[] })[] = [
  { of: ["loadBalancer"], what: "no load balancer", least: () => 1 },
  {
    of: ["quorum"],
    what: "etcd without a majority",
    least: (all) => Math.floor(all / 2) + 1,
  },
  { of: ["database"], what: "no database member", least: () => 1 },
  // Of two bricks and the arbiter two must agree
  { of: ["brick", "arbiter"], what: "shared files without a majority", least: (all) => all - 1 },
  { of: ["nfs"], what: "no shared files", least: (all) => all },
];

const needs = (tiers: readonly Pick<TierPlan, "name">[]): readonly Need[] => [
  ...roleNeeds,
  ...tiers.map(({ name }) => ({
    of: [name],
    what: `the tier ${name} without an instance`,
    least: () => 1,
  })),
];

function lackOf(
  { of, what, least }: Need,
  absent: readonly string[],
  machines: readonly Named[],
): Problem[] {
  const holders = machines.filter(({ roles }) => of.some((one) => roles.includes(one)));
  const gone = holders.filter(({ name }) => absent.includes(name)).map(({ name }) => name);
  if (gone.length === 0 || holders.length - gone.length >= least(holders.length)) return [];
  return [
    {
      path: "absent",
      value: gone.join(", "),
      why: `leaves ${what}`,
      fix: gone.length === 1 ? "bring it back first" : "bring one of them back first",
    },
  ];
}

/** Said by every preview, as long as a machine is named. */
export function absentWarnings({ machines }: Pick<Topology, "machines">): Problem[] {
  return machines
    .filter(({ absent }) => absent)
    .map(({ name, roles }) => ({
      source: name,
      path: "",
      why: `is absent: nothing of it is changed${roles.some((one) => !isRole(one)) ? ", and it gets no requests" : ""}`,
      fix: "take it out of hastack:absent when it is back, and run up before it is needed",
    }));
}
