/**
 * How the machines are reached. What differs from place to place (addresses, host keys) is in an
 * inventory, a file that is not tracked; what it says comes before the configuration:
 *
 *     identityFile: ~/.ssh/id_ed25519
 *     machines:
 *       lb-1: { address: 192.0.2.11, port: 22, user: deploy, hostKey: ssh-ed25519 AAAA… }
 *
 * All of it may be missing, and the file too.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import { root } from "../lib/paths.ts";
import { hostKeyText, hostKeyTypes, parseHostKey } from "./host-key.ts";
import { access, deepFreeze, describeIssues, type Settings, SettingsError } from "./settings.ts";

/** How a machine is reached. */
export interface Target {
  /** The machine's name in the configuration. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** root, or somebody who may become root by sudo without a password. */
  readonly user: string;
  /** Type and key, as in ssh_host_ed25519_key.pub. */
  readonly hostKey: string;
  /** Private key file, absolute, below the user's home (`~/`) or below the project's folder. @default what ssh itself finds */
  readonly identityFile?: string;
}

const inventorySchema = z.strictObject({
  /** Private key file: absolute, `~/…`, or below the project's folder. */
  identityFile: z.string().min(1).optional(),
  /** By the machines' names in the configuration. */
  machines: z.record(z.string(), access).default({}),
});
export type Inventory = z.output<typeof inventorySchema>;

/** Gives a file's text, or nothing where there is none. */
export type Read = (path: string) => string | undefined;

/** Where the inventory is, if the settings name one. */
export function inventoryPath({ ssh }: Settings): string | undefined {
  return ssh.inventory === undefined ? undefined : userPath(ssh.inventory);
}

/** An absolute path from one that may begin at the user's home (`~/`) or the project's folder. */
function userPath(path: string): string {
  return path.startsWith("~/") ? resolve(homedir(), path.slice(2)) : resolve(root, path);
}

/**
 * The settings, with what the inventory says in place of what they say.
 * @param read gives the inventory's text @default reads the file
 * @throws SettingsError with every problem of the inventory, by its file and the machine
 */
export function withInventory(settings: Settings, read: Read = readFile): Settings {
  const path = inventoryPath(settings);
  const text = path === undefined ? undefined : read(path);
  if (text === undefined) return settings;
  const { identityFile, machines } = readInventory(text, settings);
  return deepFreeze({
    ...settings,
    machines: settings.machines?.map((one) => ({ ...one, ...machines[one.name] })),
    ssh: { ...settings.ssh, ...(identityFile !== undefined && { identityFile }) },
  });
}

function readFile(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function readInventory(text: string, { ssh, machines = [] }: Settings): Inventory {
  const file = ssh.inventory ?? "";
  const document = parseDocument(text);
  // The first says where; what follows is mostly of its making
  const [error] = document.errors;
  if (error) throw new SettingsError([`${file}: ${error.message.split(/:?\n/)[0]}`]);
  const values: unknown = document.toJS() ?? {};
  const source = { prefix: `${file}: `, definedIn: "infra/inventory.ts" };
  const parsed = inventorySchema.safeParse(values);
  if (!parsed.success) throw new SettingsError(describeIssues(parsed.error, values, source));
  const strangers = Object.keys(parsed.data.machines).filter(
    (name) => !machines.some((one) => one.name === name),
  );
  if (strangers.length > 0) {
    throw new SettingsError(
      strangers.map(
        (name) =>
          `${file}: machines.${name}: is none of hastack:machines; take it out, or add it there`,
      ),
    );
  }
  return parsed.data;
}

/** What keeps the machines from being reached: what is not known of them, or cannot be. */
export function targetProblems(settings: Settings): string[] {
  const { machines = [], network } = settings;
  const virtual = [network.frontend.vip, network.backend.vip];
  const places = new Map<string, string>();
  const problems = machines.flatMap(({ name, address, port, hostKey }) => {
    const found: string[] = [];
    if (hostKey !== undefined && parseHostKey(hostKey) === undefined) {
      found.push(
        `hostKey: must be a type (${hostKeyTypes.join(", ")}) and its key; it is ${JSON.stringify(hostKey)}`,
      );
    }
    if (address !== undefined) {
      const place = `${address}, port ${port}`;
      const other = places.get(place);
      places.set(place, name);
      if (virtual.includes(address)) {
        found.push(`address: ${address} is a virtual IP and moves, use the machine's own`);
      }
      if (other) found.push(`address: ${place} is where ${other} is, use another`);
    }
    return found.map((problem) => `hastack:machines.${name}.${problem}`);
  });
  return [...unknownProblems(settings), ...problems];
}

function unknownProblems({ machines = [], ssh, stack }: Settings): string[] {
  const place = ssh.inventory === undefined ? "" : ` into hastack:ssh.inventory (${ssh.inventory})`;
  const without = (key: "address" | "hostKey") =>
    machines.filter((one) => one[key] === undefined).map(({ name }) => name);
  const [nowhere, unproved] = [without("address"), without("hostKey")];
  const problems: string[] = [];
  if (nowhere.length > 0) {
    problems.push(
      `hastack:machines: no address is known of ${nowhere.join(", ")}; give it as \`address\`, there or in the inventory (hastack:ssh.inventory)`,
    );
  }
  if (unproved.length > 0) {
    problems.push(
      `hastack:machines: no host key is known of ${unproved.join(", ")}; collect it${place} by npm run host-keys -- --stack ${stack}`,
    );
  }
  return problems;
}

/**
 * How each machine is reached.
 * @param settings that `planTopology` accepts
 * @throws Error when it is not known of one
 */
export function targets({ machines = [], ssh }: Settings): Target[] {
  const { identityFile } = ssh;
  return machines.map(({ name, address, port, user, hostKey = "" }) => {
    const key = parseHostKey(hostKey);
    if (address === undefined || key === undefined) {
      throw new Error(`machine ${name}: its address or host key is not known`);
    }
    return {
      name,
      address,
      port,
      user,
      hostKey: hostKeyText(key),
      ...(identityFile !== undefined && { identityFile }),
    };
  });
}
