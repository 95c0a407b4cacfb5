import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { parseDocument } from "yaml";
import {
  fingerprint,
  type HostKey,
  hostKeyText,
  hostKeyTypes,
  parseHostKey,
} from "../infra/host-key.ts";
import { inventoryPath, withInventory } from "../infra/inventory.ts";
import type { Settings } from "../infra/settings.ts";
import { run } from "../lib/run.ts";
import { settingsIn } from "./launcher/settings.ts";

// The first answer is trusted, as by ssh at a first login; the operator compares the fingerprints.
// From then on a key is only replaced when its machine is named.

const usage = "npm run host-keys -- [--stack NAME] [--machine NAME]… [--replace NAME]…";

/** The stack that is meant when none is named. */
const machineStack = "lab";

/** How long a machine may take to answer. */
const scanSeconds = 5;

export interface HostKeysCall {
  readonly stack: string;
  /** Machines to ask; none means all. */
  readonly machines: readonly string[];
  /** Machines whose key may be replaced by another one. */
  readonly replace: readonly string[];
}

/** Reads the command line. @throws when there is anything else on it */
export function readHostKeysCall(args: readonly string[]): HostKeysCall {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        stack: { type: "string", default: machineStack },
        machine: { type: "string", multiple: true, default: [] },
        replace: { type: "string", multiple: true, default: [] },
      },
    });
    return { stack: values.stack, machines: values.machine, replace: values.replace };
  } catch (error) {
    throw new Error(`${(error as Error).message}\nuse: ${usage}`);
  }
}

type Machine = NonNullable<Settings["machines"]>[number];

/**
 * The settings of a stack as its file and its inventory say them.
 * @throws when there is no such stack, or it is not one of machines
 */
export function settingsOf(stack: string): Settings {
  const settings = settingsIn(stack);
  if (settings.platform !== "ssh") {
    throw new Error(
      `stack ${stack}: is on ${settings.platform} and has no machines with host keys`,
    );
  }
  return withInventory(settings);
}

/** What a machine answered, or why it did not. */
type Answer = { readonly offered: readonly HostKey[] } | { readonly problem: string };

/** Asks a machine for its host keys, the best first. */
export async function scan({ address, port }: Machine): Promise<Answer> {
  if (address === undefined) return { problem: "its address is not known" };
  const [host, realPort] = await placeOf(address, port);
  const types = ["-t", "ed25519,ecdsa,rsa"];
  const command = ["ssh-keyscan", "-T", `${scanSeconds}`, "-p", realPort, ...types, host];
  const { code, stdout, stderr } = await run(command, { limitSeconds: 4 * scanSeconds });
  if (code === 127) {
    throw new Error(`ssh-keyscan cannot be run: ${stderr}; install the OpenSSH client`);
  }
  const offered = readScan(stdout);
  const place = `${host}, port ${realPort}`;
  const said = stderr.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return offered.length > 0
    ? { offered }
    : { problem: said.at(-1) ?? `no SSH server answers at ${place} within ${scanSeconds} s` };
}

/** Where ssh itself goes: ~/.ssh/config may know the name as another one, with another port. */
async function placeOf(address: string, port?: number): Promise<[host: string, port: string]> {
  const words = port === undefined ? [] : ["-p", `${port}`];
  const { stdout } = await run(["ssh", "-G", ...words, "--", address], {
    limitSeconds: scanSeconds,
  });
  const said = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(stdout)?.[1];
  return [said("hostname") ?? address, said("port") ?? `${port ?? 22}`];
}

/** The keys in the output of ssh-keyscan (`HOST TYPE KEY` in each line), the best first. */
export function readScan(output: string): HostKey[] {
  const keys = output
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .flatMap((line) => parseHostKey(line.split(" ").slice(1).join(" ")) ?? []);
  const types: readonly string[] = hostKeyTypes;
  return keys.sort((one, other) => types.indexOf(one.type) - types.indexOf(other.type));
}

/** What was found out about a machine's key. */
export type Finding =
  | { readonly state: "new" | "unchanged"; readonly key: HostKey }
  | { readonly state: "replaced" | "changed"; readonly key: HostKey; readonly known: string }
  | { readonly state: "unreachable"; readonly problem: string };

/**
 * What a machine's answer means.
 * @param known its key in the inventory or the configuration, if there is one
 * @param mayReplace whether the operator said that it has got another one
 */
export function judge(answer: Answer, known: string | undefined, mayReplace: boolean): Finding {
  if ("problem" in answer) return { state: "unreachable", problem: answer.problem };
  const [best] = answer.offered;
  if (best === undefined) return { state: "unreachable", problem: "it has no usable host key" };
  if (known === undefined) return { state: "new", key: best };
  const kept = parseHostKey(known);
  const same = answer.offered.find(({ key, type }) => key === kept?.key && type === kept.type);
  if (same) return { state: "unchanged", key: same };
  const state = mayReplace ? "replaced" : "changed";
  return { state, key: best, known: kept ? describeKey(kept) : "text that is not a host key" };
}

function describeKey(key: HostKey): string {
  return `${key.type} ${fingerprint(key)}`;
}

/** An inventory's text with these host keys, by machine; whatever else is in it stays as it is. */
export function withHostKeys(text: string, keys: ReadonlyMap<string, HostKey>): string {
  const document = parseDocument(text);
  for (const [machine, key] of keys) {
    document.setIn(["machines", machine, "hostKey"], hostKeyText(key));
  }
  return document.toString({ lineWidth: 0 });
}

const newInventory =
  "# How the machines are reached: made by npm run host-keys, read by infra/inventory.ts\n";

/** Adds keys to the inventory; a reader finds the old one or the new one, never half of it. */
function writeKeys(path: string, keys: ReadonlyMap<string, HostKey>): void {
  if (keys.size === 0) return;
  const text = existsSync(path) ? readFileSync(path, "utf8") : undefined;
  const [heading, present] = text === undefined ? [newInventory, ""] : ["", text];
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, heading + withHostKeys(present, keys));
  renameSync(temporary, path);
}

/** The machines that the call names, or all. @throws when there is none of a name */
function chosenMachines({ machines = [], stack }: Settings, call: HostKeysCall): Machine[] {
  const names = machines.map(({ name }) => name);
  const unknown = [...call.machines, ...call.replace].filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new Error(
      `stack ${stack}: has no machine ${unknown.join(", ")}, only ${names.join(", ")}`,
    );
  }
  const wanted = call.machines.length > 0 ? [...call.machines, ...call.replace] : names;
  return machines.filter(({ name }) => wanted.includes(name));
}

/** A line for each machine. */
function table(findings: ReadonlyMap<string, Finding>): string {
  const width = Math.max(...[...findings.keys()].map((name) => name.length));
  return [...findings]
    .map(([name, finding]) => {
      const found = finding.state === "unreachable" ? "" : describeKey(finding.key);
      return `${`${name.padEnd(width)}  ${finding.state.padEnd(11)}  ${found}`.trimEnd()}\n`;
    })
    .join("");
}

/** What the operator must see to: by machine, then what to do. */
function problemsOf(findings: ReadonlyMap<string, Finding>, stack: string): string[] {
  const all = [...findings];
  const lost = all.flatMap(([name, finding]) =>
    finding.state === "unreachable" ? [`${name}: ${finding.problem}`] : [],
  );
  const changed = all.flatMap(([name, finding]) =>
    finding.state === "changed"
      ? [
          `${name}: its host key is not the known one (${finding.known}), which is kept: either the machine was reinstalled, or this is a man-in-the-middle; compare on its console, and if it is right: npm run host-keys -- --stack ${stack} --replace ${name}`,
        ]
      : [],
  );
  if (lost.length > 0) {
    lost.push(
      "check that they run, that address and port are right, and that no firewall is in between, then run this again; for a machine behind a jump host, set its `hostKey` by hand",
    );
  }
  return [...changed, ...lost];
}

/**
 * Collects the host keys of a stack's machines into its inventory.
 * @param tell gets what is found, for people
 * @throws when a machine was not reached or shows another key; the others' keys are kept all the same
 */
export async function collectHostKeys(
  settings: Settings,
  call: HostKeysCall,
  tell: (text: string) => void,
): Promise<void> {
  const path = inventoryPath(settings);
  if (path === undefined) {
    throw new Error(
      `hastack:ssh.inventory: is missing, and host keys are saved there; set it to a file such as .hastack/inventory/${call.stack}.yaml`,
    );
  }
  const asked = chosenMachines(settings, call).map(async (machine) => {
    const { name, hostKey } = machine;
    return [name, judge(await scan(machine), hostKey, call.replace.includes(name))] as const;
  });
  const findings = new Map(await Promise.all(asked));
  const keys = new Map<string, HostKey>();
  for (const [name, finding] of findings) {
    if (finding.state === "new" || finding.state === "replaced") keys.set(name, finding.key);
  }
  writeKeys(path, keys);
  tell(table(findings));
  if (keys.size > 0) {
    tell(
      `\nThey are in ${settings.ssh.inventory} now, and trusted from here on. Compare them with what each machine\nshows on its own console: for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done\n`,
    );
  }
  const problems = problemsOf(findings, call.stack);
  if (problems.length > 0)
    throw new Error(`host keys are missing or have changed:\n  ${problems.join("\n  ")}`);
}

/** `npm run host-keys`: asks the machines of a stack for their SSH host keys. */
export async function main(args: readonly string[]): Promise<number> {
  const call = readHostKeysCall(args);
  await collectHostKeys(settingsOf(call.stack), call, (text) => process.stdout.write(text));
  return 0;
}
