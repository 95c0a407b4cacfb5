/** A stack as its files describe it, for commands that look at it or act on it without Pulumi. */
import { type Application, readApplication } from "../infra/application/application.ts";
import { withInventory } from "../infra/inventory.ts";
import type { Settings } from "../infra/settings.ts";
import {
  allMembers,
  generateMachines,
  givenMachines,
  type Member,
  type Topology,
  topologyOf,
} from "../infra/topology.ts";
import { settingsIn } from "../scripts/launcher/settings.ts";
import { defaultStack } from "../scripts/launcher/stack.ts";

export interface OperatedStack {
  readonly name: string;
  /** As the stack's file and its inventory say, without what Pulumi has encrypted. */
  readonly settings: Settings;
  readonly application: Application;
  readonly topology: Topology;
}

/**
 * Rules are not looked at: what runs is to be seen also while its settings are being changed.
 * @throws when there is no such stack, or SettingsError with what no setting can be
 */
export function openStack(name: string): OperatedStack {
  const settings = withInventory(settingsIn(name));
  const application = readApplication(settings);
  const { tiers } = application;
  const machines = settings.machines ? givenMachines(settings) : generateMachines(settings, tiers);
  return { name, settings, application, topology: topologyOf(settings, machines, tiers) };
}

/** What a command line that is advised ends with, so that it means this stack. */
export const stackOption = (name: string): string =>
  name === defaultStack ? "" : ` --stack ${name}`;

/** @throws with the names that there are, when it is none of them */
export function memberNamed({ name: stack, topology }: OperatedStack, name: string): Member {
  const members = allMembers(topology);
  const found = members.find((member) => member.name === name);
  if (found) return found;
  const names = members.map((member) => member.name).join(", ");
  throw new Error(`stack ${stack}: there is no member ${name}; there are ${names}`);
}
