/** From settings and tiers to a topology that keeps every rule. */
import type { Problem } from "./rules/problem.ts";
import { planProblems, settingsProblems } from "./rules/rules.ts";
import { type Settings, SettingsError } from "./settings.ts";
import {
  generateMachines,
  givenMachines,
  type TierPlan,
  type Topology,
  topologyOf,
} from "./topology.ts";

/**
 * Plans the topology that the settings and the application's tiers ask for.
 * @param tiers in the application's order, with what the settings say in place of its defaults
 * @throws SettingsError with every rule that it breaks
 */
export function planTopology(settings: Settings, tiers: readonly TierPlan[]): Topology {
  const given = givenMachines(settings);
  refuse(settingsProblems(settings, tiers, given));
  const machines = settings.machines ? given : generateMachines(settings, tiers);
  refuse(planProblems(settings, tiers, machines));
  return topologyOf(settings, machines, tiers);
}

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new SettingsError(problems);
}
