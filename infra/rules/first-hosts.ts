/** Where tiers' addresses begin, as far as the stack sets it: each tier has a block of its own. */
import type { Settings } from "../settings.ts";
import { firstHostsOf, type TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";

export function firstHostProblems(
  settings: Pick<Settings, "tiers">,
  tiers: readonly Pick<TierPlan, "name">[],
): Problem[] {
  const holders = new Map<number, string>();
  return [...firstHostsOf(settings, tiers)].flatMap(([name, value]): Problem[] => {
    const holder = holders.get(value);
    holders.set(value, name);
    const path = `tiers.${name}.firstHost`;
    return holder === undefined
      ? []
      : [{ path, value, why: `is where ${holder} begins`, fix: "use another, or leave it out" }];
  });
}
