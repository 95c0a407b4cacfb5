/** Ports: two things that listen on one, and those that are published on 127.0.0.1. */
import { isRole, portsOf } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan } from "../topology.ts";
import { duplicates, type Problem } from "./problem.ts";

/** Roles and tiers on one machine that listen on the same port. */
export function sharedPortProblems(
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): Problem[] {
  const portsOfName = (name: string) =>
    portsOf({ role: name, ...tiers.find((tier) => tier.name === name) });
  return machines.flatMap(({ name, roles }) => {
    const held = [...new Set(roles)];
    return held.flatMap((one, index) =>
      held.slice(index + 1).flatMap((other) => {
        const both = portsOfName(one).filter((port) => portsOfName(other).includes(port));
        if (both.length === 0) return [];
        const ports = `port${both.length > 1 ? "s" : ""} ${both.join(" and ")}`;
        const apart = "put them on two machines";
        const ofRoles = isRole(one) && isRole(other);
        return [
          {
            path: `machines.${name}.roles`,
            why: `${one} and ${other} both listen on ${ports}`,
            fix: ofRoles ? apart : `${apart}, or give the tier another port in its hastack.yaml`,
          },
        ];
      }),
    );
  });
}

/** Ports published on 127.0.0.1: each once, and one for each load balancer or none. */
export function publishedPortProblems({
  loadBalancer,
  members,
}: Pick<Settings, "loadBalancer" | "members">): Problem[] {
  const { publishedPorts, publishedStatsPorts } = loadBalancer;
  const wanted = members.loadBalancer;
  const numbers = Object.entries({ publishedPorts, publishedStatsPorts })
    .filter(([, list]) => list.length !== 0 && list.length !== wanted)
    .map(([name, { length }]) => ({
      path: `loadBalancer.${name}`,
      why: `has ${length} port${length === 1 ? "" : "s"} for ${wanted} load balancers`,
      fix: "use one for each",
    }));
  return [
    ...numbers,
    ...duplicates([...publishedPorts, ...publishedStatsPorts]).map((value) => ({
      path: "loadBalancer.publishedPorts",
      value,
      why: "is a duplicate",
      fix: "use another",
    })),
  ];
}
