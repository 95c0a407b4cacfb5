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
import { hostKeyText, parseHostKey } from "./host-key.ts";
import { parseValues } from "./schema.ts";
import { access, deepFreeze, type Settings, SettingsError } from "./settings.ts";

/** How a machine is reached. */
export interface Target {
  /** The machine's name in the configuration. */
  readonly name: string;
  readonly address: string;
  /** @default what ssh's own configuration says, or 22 */
  readonly port?: number;
  /** root, or a user with sudo and no password for it. @default what ssh's own configuration says */
  readonly user?: string;
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
type Inventory = z.output<typeof inventorySchema>;

/** Gives a file's text, or nothing where there is none. */
export type Read = (path: string) => string | undefined;

/** Where the inventory is, if the settings name one. */
export function inventoryPath({ ssh }: Settings): string | undefined {
  return ssh.inventory === undefined ? undefined : userPath(ssh.inventory);
}

/** An absolute path from one that may begin at the user's home (`~/`) or the project's folder. */
export function userPath(path: string): string {
  return path.startsWith("~/") ? resolve(homedir(), path.slice(2)) : resolve(root, path);
}

/**
 * The settings, with the inventory's values in place of theirs.
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
  // The first says where; the others mostly follow from it
  const [error] = document.errors;
  if (error) {
    const why = error.message.split(/:?\n/)[0] ?? "is not YAML";
    throw new SettingsError([{ source: file, path: "", why, fix: "correct the YAML there" }]);
  }
  const values: unknown = document.toJS() ?? {};
  const documentedIn = "infra/inventory.ts";
  const { data, problems } = parseValues(inventorySchema, values, { name: file, documentedIn });
  if (data === undefined) throw new SettingsError(problems);
  const names = machines.map(({ name }) => name);
  const strangers = Object.keys(data.machines).filter((name) => !names.includes(name));
  if (strangers.length > 0) {
    throw new SettingsError(
      strangers.map((name) => ({
        source: file,
        path: `machines.${name}`,
        why: "is not in hastack:machines",
        fix: "remove it, or add it there",
      })),
    );
  }
  return data;
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
      ...(port !== undefined && { port }),
      ...(user !== undefined && { user }),
      hostKey: hostKeyText(key),
      ...(identityFile !== undefined && { identityFile }),
    };
  });
}
