/** Settings and topologies to test with: the shipped one, and a fixed one that tests change. */
import { parse } from "yaml";
import { readProjectFile } from "../../../infra/project.ts";
import { readSettings, type Settings } from "../../../infra/settings.ts";
import { planTopology, type Topology } from "../../../infra/topology.ts";

/** Configuration as `Pulumi.<stack>.yaml` holds it: by full key. */
export type Configuration = Readonly<Record<string, unknown>>;

/** The configuration of a shipped stack. */
export function shippedConfiguration(stack: string): Configuration {
  return parse(readProjectFile(`Pulumi.${stack}.yaml`)).config;
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

/** A stack that the program accepts. */
export interface Plan {
  readonly settings: Settings;
  readonly topology: Topology;
}

/** The same settings, and the topology that they ask for. */
export function planWith(changes: Readonly<Record<string, unknown>> = {}): Plan {
  const settings = settingsWith(changes);
  return { settings, topology: planTopology(settings) };
}

/** The first of a list that a test knows not to be empty. */
export function first<T>(list: readonly T[]): T {
  const [one] = list;
  if (one === undefined) throw new Error("the list is empty");
  return one;
}
