/** All rules in their order: what the settings and the application's tiers must keep. */
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan, Topology } from "../topology.ts";
import { absentProblems, absentWarnings } from "./absent.ts";
import { addressProblems } from "./addresses.ts";
import { admitProblems } from "./admit.ts";
import { backupProblems, backupWarnings } from "./backup.ts";
import { certificateProblems, certificateWarnings } from "./certificate.ts";
import { countProblems, singleInstanceWarnings } from "./counts.ts";
import { firstHostProblems } from "./first-hosts.ts";
import { machineProblems } from "./machines.ts";
import { mailProblems } from "./mail.ts";
import { nameProblems } from "./names.ts";
import { networkProblems } from "./networks.ts";
import { poolProblems } from "./pools.ts";
import { publishedPortProblems, sharedPortProblems } from "./ports.ts";
import type { Problem } from "./problem.ts";
import { reachProblems } from "./reach.ts";
import { placeProblems, weightProblems } from "./shares.ts";
import { singleServerWarnings, storageProblems } from "./storage.ts";
import { timingProblems } from "./timings.ts";

/**
 * Rules on what the settings say.
 * @param machines those that the settings list
 */
export function settingsProblems(
  settings: Settings,
  tiers: readonly TierPlan[],
  machines: readonly Machine[],
): Problem[] {
  return [
    ...nameProblems(settings, tiers),
    ...countProblems(settings, tiers),
    ...firstHostProblems(settings, tiers),
    ...networkProblems(settings),
    ...timingProblems(settings, tiers),
    ...placeProblems(settings),
    ...mailProblems(settings),
    ...certificateProblems(settings),
    ...machineProblems(settings, machines),
    ...storageProblems(settings),
    ...sharedPortProblems(machines, tiers),
    ...reachProblems(settings),
    ...admitProblems(settings, tiers, machines),
    ...backupProblems(settings, machines),
  ];
}

/** Rules on the machines that follow from settings without a problem. */
export function planProblems(
  settings: Settings,
  tiers: readonly TierPlan[],
  machines: readonly Machine[],
): Problem[] {
  return [
    ...absentProblems(settings, machines, tiers),
    ...addressProblems(settings, machines),
    ...poolProblems(settings, machines, tiers),
    ...publishedPortProblems(settings),
    ...weightProblems(settings, machines, tiers),
  ];
}

/** What is taken, and yet weakens what the stack promises. */
export function warnings(settings: Settings, topology: Topology): Problem[] {
  return [
    ...singleInstanceWarnings(settings, topology),
    ...singleServerWarnings(topology),
    ...certificateWarnings(settings),
    ...backupWarnings(settings, topology),
    ...absentWarnings(topology),
  ];
}
