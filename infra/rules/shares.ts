/** Shares of the load balancers: instances that there are, and places that are left. */
import { sitePlaces } from "../render/haproxy-shares.ts";
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan } from "../topology.ts";
import { topologyOf } from "../topology.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./spelling.ts";

export function placeProblems({ loadBalancer }: Pick<Settings, "loadBalancer">): Problem[] {
  const { maxConnections, reservedConnections, perSource } = loadBalancer;
  if (reservedConnections !== undefined && reservedConnections >= maxConnections) {
    const fix = `use less than loadBalancer.maxConnections (${maxConnections})`;
    const why = "leaves the site no connections";
    return [{ path: "loadBalancer.reservedConnections", value: reservedConnections, why, fix }];
  }
  const places = sitePlaces(loadBalancer);
  if (perSource.connections < places) return [];
  return [
    {
      path: "loadBalancer.perSource.connections",
      value: perSource.connections,
      why: `lets one address take all ${places} connections of the site`,
      fix: `use less than ${places}, or a larger loadBalancer.maxConnections`,
    },
  ];
}

/** A weight for nobody is a name that was mistyped. */
export function weightProblems(
  settings: Settings,
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): Problem[] {
  const topology = topologyOf(settings, machines, tiers);
  const served = tiers.filter(({ port }) => port !== undefined);
  const known = served.flatMap(({ name }) => (topology.tiers[name] ?? []).map((one) => one.name));
  const { weights } = settings.loadBalancer;
  const strangers = Object.keys(weights).filter((name) => !known.includes(name));
  const idle = served
    .map(({ name }) => topology.tiers[name] ?? [])
    .filter((all) => all.length > 0 && all.every((one) => weights[one.name] === 0));
  return [
    ...strangers.map((name) => ({
      path: `loadBalancer.weights.${name}`,
      why: "is not an instance that the load balancers know",
      fix: didYouMean(name, known, `use one of ${known.join(", ")}`),
    })),
    ...idle.map((all) => ({
      path: `loadBalancer.weights.${all[0]?.name}`,
      value: 0,
      why: "leaves no instance of its tier that gets requests",
      fix: "use 1 or more for one of them",
    })),
  ];
}
