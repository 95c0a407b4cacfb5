/** Settings and topologies to test with: the shipped ones, and a fixed one that tests change. */
import { createHash } from "node:crypto";
import { parse } from "yaml";
import {
  type Application,
  applicationOf,
  parseDescription,
} from "../../../infra/application/application.ts";
import { withInventory } from "../../../infra/inventory.ts";
import { planTopology } from "../../../infra/plan.ts";
import { formatProblem } from "../../../infra/rules/problem.ts";
import { readSettings, type Settings, SettingsError } from "../../../infra/settings.ts";
import type { TierPlan, Topology } from "../../../infra/topology.ts";
import { readProjectFile } from "../../../lib/paths.ts";

/** Configuration as `Pulumi.<stack>.yaml` holds it: by full key. */
export type Configuration = Readonly<Record<string, unknown>>;

/** The configuration of a shipped stack. */
export function shippedConfiguration(stack: string): Configuration {
  return parse(readProjectFile(`Pulumi.${stack}.yaml`)).config;
}

/** The configuration of the example of three machines. */
export function threeMachines(): Configuration {
  return parse(readProjectFile("docs/three-machines.yaml")).config;
}

/** The texts that Pulumi hands to a program: strings bare, everything else as JSON. */
export function asPulumiGives(configuration: Configuration): Record<string, string> {
  return Object.fromEntries(
    Object.entries(configuration).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

/** The least that a stack must say. */
export const leastConfiguration: Configuration = {
  "hastack:platform": "docker",
  "hastack:plainHttp": true,
  "hastack:network": {
    frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.100" },
    backend: { subnet: "10.2.0.0/24", vip: "10.2.0.100" },
  },
};

/**
 * Settings of the stack `test`, read the way the program reads them.
 * @param changes settings by their name without `hastack:`, in place of those of `leastConfiguration`
 */
export function settingsWith(changes: Readonly<Record<string, unknown>> = {}): Settings {
  const changed = Object.fromEntries(
    Object.entries(changes).map(([name, value]) => [`hastack:${name}`, value]),
  );
  return readSettings("test", asPulumiGives({ ...leastConfiguration, ...changed }));
}

/** An SSH host key; there is another one for each text. */
export function hostKeyOf(text: string): string {
  const type = "ssh-ed25519";
  const parts = [Buffer.from(type), createHash("sha256").update(text).digest()];
  const fields = parts.map((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return Buffer.concat([length, part]);
  });
  return `${type} ${Buffer.concat(fields).toString("base64")}`;
}

/** An inventory that knows the host key of each of these machines. */
export function inventoryOf(names: readonly string[]): string {
  const machines = names.map((name) => [name, { hostKey: hostKeyOf(name) }]);
  return JSON.stringify({ machines: Object.fromEntries(machines) });
}

/**
 * Settings of machines that are there already, without a certificate.
 * @param changes settings by their name, in place of those of the configuration
 * @param configuration of a stack on machines @default the shipped stack `lab`
 * @param inventory its text @default one with every machine's host key
 */
export function machineSettings(
  changes: Readonly<Record<string, unknown>> = {},
  configuration: Configuration = shippedConfiguration("lab"),
  inventory?: string,
): Settings {
  const changed = Object.entries({ plainHttp: true, ...changes });
  const full = Object.fromEntries(changed.map(([name, value]) => [`hastack:${name}`, value]));
  const settings = readSettings("test", asPulumiGives({ ...configuration, ...full }));
  const names = new Set(settings.machines?.map(({ name }) => name));
  return withInventory(settings, () => inventory ?? inventoryOf([...names]));
}

/** The description of the travel agency, as it is shipped. */
export const agency = readProjectFile("app/hastack.yaml");

/** The same with its first tier by another name, which says how that was called before. */
export const renamed = agency.replace(
  "- name: storefront\n",
  "- name: shop-front\n    formerly: storefront\n",
);

const descriptions = new Map<string, ReturnType<typeof parseDescription>>();

/** The application that a description makes, with what the settings give it. */
export function applicationWith(text: string, settings = settingsWith()): Application {
  // Read once: thousands of drawn plans have the same one
  const description = descriptions.get(text) ?? parseDescription(text, "app/hastack.yaml");
  descriptions.set(text, description);
  return applicationOf(description, settings);
}

/** The travel agency's tiers, with what the settings say of them. */
export function tiersOf(settings: Settings): readonly TierPlan[] {
  return applicationWith(agency, settings).tiers;
}

/** The lines that something is refused with. */
export function refusal(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

/** A table of settings that a rule refuses, or takes, and the lines that it says. */
export type Cases = readonly (readonly [
  string,
  Readonly<Record<string, unknown>>,
  readonly string[],
])[];

/** A stack that the program accepts. */
export interface Plan {
  readonly settings: Settings;
  readonly application: Application;
  readonly topology: Topology;
}

/**
 * The same settings, and the topology that they ask for.
 * @param text description of the application @default the travel agency's
 */
export function planWith(changes: Readonly<Record<string, unknown>> = {}, text = agency): Plan {
  const settings = settingsWith(changes);
  const application = applicationWith(text, settings);
  return { settings, application, topology: planTopology(settings, application.tiers) };
}

/** The first of a list that a test knows not to be empty. */
export function first<T>(list: readonly T[]): T {
  const [one] = list;
  if (one === undefined) throw new Error("the list is empty");
  return one;
}
