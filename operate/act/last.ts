/** Refusals of what would take the last one away that does something. */
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import { type Balancers, backendOf, isServing } from "./balancers.ts";
import { healthyOf } from "./health.ts";
import { isInstance, listed } from "./named.ts";
import { Refusal } from "./plan.ts";

/** Whether the others do without these, as far as load balancers and etcd go. @throws Refusal */
export async function keepsOthers(
  stack: OperatedStack,
  leaving: readonly Member[],
  balancers: Balancers,
): Promise<void> {
  const { loadBalancer, quorum } = stack.topology.members;
  const goes = (role: string) => leaving.some((one) => one.role === role);
  keepsInstances(stack, leaving, balancers);
  // HAProxy learns of a loss only by its next checks
  for (const [tier, members] of Object.entries(stack.topology.tiers)) {
    const serving = leaving.filter((one) => one.role === tier && isServed(stack, one, balancers));
    if (serving.length > 0) keepsHealthy(tier, leaving, await healthyOf(stack, members));
  }
  if (goes("loadBalancer")) keepsBalancer(leaving, balancers, await healthyOf(stack, loadBalancer));
  if (goes("quorum")) keepsQuorum(stack, leaving, await healthyOf(stack, quorum));
}

/** Whether some load balancer sends requests to an instance. */
const isServed = (
  stack: OperatedStack,
  one: Member,
  { asked }: Pick<Balancers, "asked">,
): boolean =>
  asked.some(({ servers }) =>
    servers.some(
      (server) =>
        server.backend === backendOf(stack, one) && server.name === one.name && isServing(server),
    ),
  );

/** @param healthy names of the tier's instances that are healthy now @throws Refusal */
export function keepsHealthy(
  tier: string,
  leaving: readonly Member[],
  healthy: readonly string[],
): void {
  if (healthy.some((name) => !leaving.some((one) => one.name === name))) return;
  const going = leaving.filter(({ role }) => role === tier);
  throw new Refusal(`${listed(going)}: no other instance of ${tier} is healthy: mend one first`);
}

/** Instances without which a tier has none at some load balancer; one that serves nothing may go. @throws Refusal */
export function keepsInstances(
  stack: OperatedStack,
  leaving: readonly Member[],
  { asked }: Balancers,
): void {
  for (const one of leaving.filter((member) => isInstance(stack, member))) {
    const backend = backendOf(stack, one);
    if (backend === undefined || !isServed(stack, one, { asked })) continue;
    for (const { member, servers } of asked) {
      const left = servers.filter(
        (server) =>
          server.backend === backend &&
          isServing(server) &&
          !leaving.some(({ name }) => name === server.name),
      );
      if (left.length === 0)
        throw new Refusal(
          `${one.name}: ${member.name} has no other instance of ${backend} that serves: mend or undrain another one first`,
        );
    }
  }
}

/**
 * Load balancers without which none would hold the addresses.
 * @param healthy names of those that are healthy now, keepalived included: one that is drained is not
 * @throws Refusal
 */
export function keepsBalancer(
  leaving: readonly Member[],
  { silent }: Pick<Balancers, "silent">,
  healthy: readonly string[],
): void {
  const going = leaving.filter(({ role }) => role === "loadBalancer");
  if (going.length === 0) return;
  if (healthy.some((one) => !going.some(({ name }) => name === one))) return;
  const why = silent.map(({ member, why }) => `${member.name}: ${why}`).join("; ");
  throw new Refusal(
    `${listed(going)}: no other load balancer could take the addresses over${why && ` (${why})`}`,
  );
}

/**
 * Members of etcd without which it has no quorum.
 * @param healthy names of those that are healthy now
 * @throws Refusal
 */
export function keepsQuorum(
  { topology }: OperatedStack,
  leaving: readonly Member[],
  healthy: readonly string[],
): void {
  const going = leaving.filter(({ role }) => role === "quorum").map(({ name }) => name);
  if (going.length === 0) return;
  const all = topology.members.quorum.length;
  const majority = Math.floor(all / 2) + 1;
  const left = healthy.filter((name) => !going.includes(name));
  if (left.length >= majority) return;
  throw new Refusal(
    `${going.join(", ")}: of ${all} members of etcd ${left.length} would be left healthy (${left.join(", ") || "none"}), and a quorum needs ${majority}`,
  );
}
