/**
 * Stand-ins for bare machines: containers with systemd and sshd, on networks like those of a small
 * rack. Nothing that reaches them over SSH needs to know what they are. Sets of them are apart:
 * every object that belongs to one has the label `hastack.machines=<set>`.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { networkInterfaces } from "node:os";
import { dirname, join, relative } from "node:path";
import { stringify } from "yaml";
import { baseImage } from "../lib/base-image.ts";
import { command } from "../lib/command.ts";
import { root } from "../lib/paths.ts";
import { mustRun, run } from "../lib/run.ts";
import { until } from "../lib/until.ts";

/** The networks of a machine. Only `management` has a way out, and SSH is meant to come in there. */
export const networkNames = ["frontend", "backend", "management"] as const;
export type NetworkName = (typeof networkNames)[number];

/** Who may log in besides root, and become root by sudo. */
export const administrator = "deploy";

export interface StandIn {
  readonly name: string;
  /** Its addresses end in 10 + this number. */
  readonly number: number;
  /** Whether it is in the frontend network too. @default false */
  readonly frontend?: boolean;
}

export interface MachineSet {
  /** Its name: part of every object's name. */
  readonly set: string;
  readonly machines: readonly StandIn[];
  /** The /24 subnet of each network. */
  readonly networks: Readonly<Record<NetworkName, string>>;
  /**
   * The project's folder: keys go to `.hastack/<set>/` in it, addresses and host keys to
   * `.hastack/inventory/<set>.yaml`. @default this checkout
   */
  readonly project?: string;
}

/** The folders and files that a set has outside Docker. */
export interface SetFiles {
  readonly folder: string;
  readonly identityFile: string;
  /** For `ssh -F`: knows every machine by its name. */
  readonly sshConfig: string;
  readonly knownHosts: string;
  readonly inventory: string;
}

/** A machine that answers. */
export interface RunningMachine {
  readonly name: string;
  readonly container: string;
  readonly addresses: Readonly<Partial<Record<NetworkName, string>>>;
  /** Type and key, as in an inventory. */
  readonly hostKey: string;
}

export interface RunningSet {
  readonly files: SetFiles;
  readonly machines: readonly RunningMachine[];
}

const recipe = join(import.meta.dirname, "machine");
const imageName = "hastack/stand-in";
const setLabel = "hastack.machines";
const contentLabel = "hastack.machines.content";

/** Seven machines boot within some seconds; a busy engine is slower. */
const bootSeconds = 90;
const sharedMemory = "256m";

/** systemd's own work, VRRP, a FUSE mount, and a file server on the data directory. */
const capabilities = [
  "SYS_ADMIN",
  "NET_ADMIN",
  "SYS_PTRACE",
  "SYS_NICE",
  "IPC_LOCK",
  "DAC_READ_SEARCH",
];

export const containerName = (set: string, machine: string): string => `hastack-${set}-${machine}`;
export const networkName = (set: string, network: NetworkName): string =>
  `hastack-${set}-${network}`;

/** A machine's address in a network. @throws when the subnet is no /24 */
export function addressIn(subnet: string, number: number): string {
  const prefix = /^(\d+\.\d+\.\d+)\.0\/24$/.exec(subnet)?.[1];
  if (prefix === undefined) {
    throw new Error(`subnet ${subnet}: stand-in machines need a /24, such as 172.30.10.0/24`);
  }
  return `${prefix}.${10 + number}`;
}

/** Where a set keeps its key and its inventory. */
export function setFiles(set: string, project: string = root): SetFiles {
  const folder = join(project, ".hastack", set);
  return {
    folder,
    identityFile: join(folder, "id_ed25519"),
    sshConfig: join(folder, "ssh_config"),
    knownHosts: join(folder, "known_hosts"),
    inventory: join(project, ".hastack/inventory", `${set}.yaml`),
  };
}

/** A machine's addresses by network. */
export function addressesOf(set: MachineSet, machine: StandIn): RunningMachine["addresses"] {
  const { frontend, backend, management } = set.networks;
  return {
    ...(machine.frontend ? { frontend: addressIn(frontend, machine.number) } : {}),
    backend: addressIn(backend, machine.number),
    management: addressIn(management, machine.number),
  };
}

/** By this first line an inventory of stand-ins is told from one of real machines. */
const inventoryHeading = "# Stand-in machines, made by `npm run lab`";

/** Whether a set's inventory is there and tells of stand-ins. */
export const hasOwnInventory = ({ inventory }: SetFiles): boolean =>
  existsSync(inventory) && readFileSync(inventory, "utf8").startsWith(inventoryHeading);

/** The inventory as the program reads it: paths are relative to the project's folder. */
export function inventoryText(
  machines: readonly RunningMachine[],
  identityFile: string,
  project: string,
): string {
  const entries = machines.map(({ name, addresses, hostKey }) => [
    name,
    { address: addresses.management, port: 22, hostKey },
  ]);
  return (
    `${inventoryHeading}: where SSH reaches them\n` +
    stringify(
      { identityFile: relative(project, identityFile), machines: Object.fromEntries(entries) },
      { lineWidth: 0 },
    )
  );
}

/** What `ssh -F` needs to reach each machine by its name, its host key checked. */
export function sshConfigText(machines: readonly RunningMachine[], files: SetFiles): string {
  const hosts = machines.map(
    ({ name, addresses }) => `Host ${name}\n  HostName ${addresses.management}\n`,
  );
  return `${hosts.join("")}Host *
  User ${administrator}
  IdentityFile "${files.identityFile}"
  IdentitiesOnly yes
  UserKnownHostsFile "${files.knownHosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
`;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Builds the machines' image, unless the same recipe on the same base was built before. */
async function ensureImage(): Promise<string> {
  const base = await mustRun(["docker", "image", "inspect", "--format={{.Id}}", baseImage.name]);
  const files = readdirSync(recipe).sort();
  const content = files.map((name) => `${name}\n${readFileSync(join(recipe, name), "utf8")}`);
  const image = `${imageName}:${sha256(`${base}\n${content.join("\n")}`).slice(0, 12)}`;
  if ((await run(["docker", "image", "inspect", image])).code !== 0) {
    const arg = `--build-arg=BASE=${baseImage.name}`;
    await mustRun(["docker", "build", "--quiet", "--tag", image, arg, recipe]);
  }
  return image;
}

async function ensureKey({ folder, identityFile }: SetFiles, set: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  if (!existsSync(identityFile)) {
    const comment = ["-C", `hastack-${set}`, "-N", "", "-q"];
    await mustRun(["ssh-keygen", "-t", "ed25519", "-f", identityFile, ...comment]);
  }
  chmodSync(identityFile, 0o600);
  return mustRun(["ssh-keygen", "-y", "-f", identityFile]);
}

/** This machine's own address in a /24 subnet, if it has one. */
function ownAddressIn(subnet: string): string | undefined {
  const prefix = subnet.replace(/0\/24$/, "");
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.map(({ address }) => address).find((address) => address.startsWith(prefix));
}

/** @throws where containers' addresses are unreachable, as on a Mac or with an engine elsewhere. */
function mustReach({ networks }: MachineSet): void {
  if (ownAddressIn(networks.management) !== undefined) return;
  throw new Error(
    `this machine is not in ${networks.management}, where the stand-ins are: they need Linux, and a ` +
      "Docker engine that runs on this very machine, as root",
  );
}

async function ensureNetwork(set: MachineSet, network: NetworkName): Promise<void> {
  const name = networkName(set.set, network);
  const subnet = set.networks[network];
  const format = "--format={{(index .IPAM.Config 0).Subnet}}";
  const there = await run(["docker", "network", "inspect", format, name]);
  if (there.code === 0 && there.stdout.trim() === subnet) return;
  if (there.code === 0) {
    throw new Error(
      `network ${name} has the subnet ${there.stdout.trim()}, not ${subnet}: remove the set of machines first`,
    );
  }
  const taken = ownAddressIn(subnet);
  if (taken !== undefined) {
    throw new Error(
      `network ${name}: this machine already has ${taken} in ${subnet}, which would become ` +
        "unreachable: give the stand-ins another subnet, or remove the Docker network that has it",
    );
  }
  await mustRun([
    ...["docker", "network", "create", "--subnet", subnet, "--label", `${setLabel}=${set.set}`],
    ...(network === "management" ? [] : ["--internal"]),
    name,
  ]);
}

/** What a container must be made of; another hash is another machine. */
function contentOf(set: MachineSet, machine: StandIn, image: string): string {
  const text = JSON.stringify([image, addressesOf(set, machine), capabilities, sharedMemory]);
  return sha256(text).slice(0, 12);
}

/**
 * Makes a machine's container. What databases and file servers keep lies in a volume: the
 * container's own file system has not all that they need.
 */
async function create(set: MachineSet, machine: StandIn, image: string): Promise<void> {
  const container = containerName(set.set, machine.name);
  const { management, ...others } = addressesOf(set, machine);
  const label = ["--label", `${setLabel}=${set.set}`];
  const volume = `${container}-data`;
  await mustRun(["docker", "volume", "create", ...label, volume]);
  await mustRun([
    ...["docker", "create", "--name", container, "--hostname", machine.name, ...label],
    ...["--label", `${contentLabel}=${contentOf(set, machine, image)}`],
    ...["--restart=always", "--stop-timeout=60", "--cgroupns=private", "--device=/dev/fuse"],
    ...[`--shm-size=${sharedMemory}`, "--security-opt=apparmor=unconfined"],
    ...capabilities.map((name) => `--cap-add=${name}`),
    ...["--volume", `${volume}:/var/lib`],
    ...["--network", networkName(set.set, "management"), "--ip", management ?? ""],
    image,
  ]);
  for (const [network, address] of Object.entries(others)) {
    const name = networkName(set.set, network as NetworkName);
    await mustRun(["docker", "network", "connect", "--ip", address, name, container]);
  }
}

async function ensureContainer(set: MachineSet, machine: StandIn, image: string): Promise<void> {
  const container = containerName(set.set, machine.name);
  const format = `--format={{index .Config.Labels "${contentLabel}"}}`;
  const there = await run(["docker", "container", "inspect", format, container]);
  if (there.code !== 0) await create(set, machine, image);
  else if (there.stdout.trim() !== contentOf(set, machine, image)) {
    throw new Error(
      `machine ${machine.name} was made by another version of its recipe, or with other addresses: ` +
        `remove the set ${set.set} first`,
    );
  }
  await mustRun(["docker", "start", container]);
}

/**
 * Runs a shell script as root inside a machine, past SSH.
 * @param input given to its standard input
 * @returns its standard output
 * @throws when it fails.
 */
export function inMachine(
  set: string,
  machine: string,
  script: string,
  input?: string,
): Promise<string> {
  const exec = ["docker", "exec", "--interactive", containerName(set, machine)];
  return mustRun([...exec, "sh", "-euc", script], { input, limitSeconds: 300 });
}

async function admit(set: MachineSet, machine: StandIn, publicKey: string): Promise<void> {
  const script = `key=$(cat)
for home in /root /home/${administrator}; do
  echo "$key" > $home/.ssh/authorized_keys
  chown --reference=$home $home/.ssh/authorized_keys
done`;
  await inMachine(set.set, machine.name, script, publicKey);
}

/** The host key straight from the machine: asking over the network would trust whoever answers. */
async function hostKeyOf(set: string, machine: string): Promise<string> {
  const text = await until(`machine ${machine} has its host key`, {
    probe: () => inMachine(set, machine, "cat /etc/ssh/ssh_host_ed25519_key.pub"),
    done: (key) => key.startsWith("ssh-ed25519 "),
    limitSeconds: bootSeconds,
  });
  return text.split(" ").slice(0, 2).join(" ").trim();
}

/** The command line that runs a command on a machine over SSH; the machine's name is its address. */
export function sshCommand(files: SetFiles, machine: string, user = administrator): string[] {
  const options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-l", user];
  return ["ssh", "-F", files.sshConfig, ...options, machine];
}

/** Waits until each machine lets its administrator in, which systemd allows when it has booted. */
export async function waitForSsh(files: SetFiles, machines: readonly string[]): Promise<void> {
  const wait = (machine: string) =>
    until(`machine ${machine} answers SSH`, {
      probe: () => run([...sshCommand(files, machine), "true"], { limitSeconds: 10 }),
      done: ({ code }) => code === 0,
      describe: ({ stderr }) => stderr.trim().split("\n").at(-1) ?? "",
      limitSeconds: bootSeconds,
    });
  await Promise.all(machines.map(wait));
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function writeFiles(files: SetFiles, machines: readonly RunningMachine[], project: string): void {
  const known = machines.map(({ addresses, hostKey }) => `${addresses.management} ${hostKey}\n`);
  write(files.knownHosts, known.join(""));
  write(files.sshConfig, sshConfigText(machines, files));
  write(files.inventory, inventoryText(machines, files.identityFile, project));
}

/**
 * Starts a set of machines and waits until each answers SSH. Machines that are there stay as they
 * are, with all that is on them; those that were stopped boot again.
 * @throws when a machine that is there was made otherwise, or does not answer in time.
 */
export async function startMachines(set: MachineSet): Promise<RunningSet> {
  const project = set.project ?? root;
  const files = setFiles(set.set, project);
  const image = await ensureImage();
  const publicKey = await ensureKey(files, set.set);
  for (const network of networkNames) await ensureNetwork(set, network);
  const start = async (machine: StandIn): Promise<RunningMachine> => {
    await ensureContainer(set, machine, image);
    await admit(set, machine, publicKey);
    return {
      name: machine.name,
      container: containerName(set.set, machine.name),
      addresses: addressesOf(set, machine),
      hostKey: await hostKeyOf(set.set, machine.name),
    };
  };
  const machines = await Promise.all(set.machines.map(start));
  // Only now: the bridge of a network without machines is not listed
  mustReach(set);
  writeFiles(files, machines, project);
  await waitForSsh(
    files,
    machines.map(({ name }) => name),
  );
  return { files, machines };
}

async function idsOf(kind: readonly string[], set: string): Promise<string[]> {
  const filter = ["--quiet", "--filter", `label=${setLabel}=${set}`];
  return (await mustRun(["docker", ...kind, ...filter])).split("\n").filter(Boolean);
}

/** What Docker still has of a set, as `kind id`. */
export async function leftOf(set: string): Promise<string[]> {
  const kinds = {
    container: ["ps", "--all"],
    network: ["network", "ls"],
    volume: ["volume", "ls"],
  };
  const found = Object.entries(kinds).map(async ([kind, words]) =>
    (await idsOf(words, set)).map((id) => `${kind} ${id}`),
  );
  return (await Promise.all(found)).flat();
}

/** Takes the machines' image away, unless another set's machines are made of it. */
async function removeImage(): Promise<void> {
  const images = await mustRun(["docker", "images", "--quiet", imageName]);
  for (const image of images.split("\n").filter(Boolean)) {
    const { code, stderr } = await run(["docker", "rmi", image]);
    const isNeeded = /being used|dependent child|No such image/.test(stderr);
    if (code !== 0 && !isNeeded) throw new Error(stderr.trim());
  }
}

/**
 * Takes a set away: machines, their data, networks, key and inventory, and the machines' image
 * where no other set stands on it.
 * @param project as given to `startMachines`
 * @param keepImage leaves the image for the next set
 */
export async function removeMachines(
  set: string,
  project: string = root,
  keepImage = false,
): Promise<void> {
  const containers = await idsOf(["ps", "--all"], set);
  // One after the other: an engine that removes them all at once may miscount who is in a network
  for (const one of containers) await mustRun(["docker", "rm", "--force", "--volumes", one]);
  const volumes = await idsOf(["volume", "ls"], set);
  if (volumes.length > 0) await mustRun(["docker", "volume", "rm", ...volumes]);
  const networks = await idsOf(["network", "ls"], set);
  if (networks.length > 0) await mustRun(["docker", "network", "rm", ...networks]);
  if (!keepImage) await removeImage();
  const files = setFiles(set, project);
  const { identityFile, sshConfig, knownHosts, inventory } = files;
  for (const file of [identityFile, `${identityFile}.pub`, sshConfig, knownHosts]) {
    rmSync(file, { force: true });
  }
  if (hasOwnInventory(files)) rmSync(inventory);
}

/** The layouts that are shipped. */
export const layouts: Readonly<Record<"seven" | "three", readonly StandIn[]>> = {
  seven: [
    { name: "lb-1", number: 1, frontend: true },
    { name: "lb-2", number: 2, frontend: true },
    { name: "app-1", number: 3 },
    { name: "app-2", number: 4 },
    { name: "db-1", number: 5 },
    { name: "db-2", number: 6 },
    { name: "witness-1", number: 7 },
  ],
  three: [
    { name: "node-1", number: 1, frontend: true },
    { name: "node-2", number: 2, frontend: true },
    { name: "node-3", number: 3 },
  ],
};

/** The subnets of `lab`. */
export const labNetworks: MachineSet["networks"] = {
  frontend: "172.30.10.0/24",
  backend: "172.30.11.0/24",
  management: "172.30.12.0/24",
};

const usage = "node lab/machines.ts start SET seven|three, or stop SET [keep-image]";

if (import.meta.main) {
  await command(async () => {
    const [verb, set, layout = ""] = process.argv.slice(2);
    const machines = Object.entries(layouts).find(([name]) => name === layout)?.[1];
    if (verb === "stop" && set) return removeMachines(set, root, layout === "keep-image");
    if (verb !== "start" || !set || !machines) throw new Error(`use: ${usage}`);
    const { files } = await startMachines({ set, machines, networks: labNetworks });
    console.log(
      `${machines.length} machines answer: ssh -F ${files.sshConfig} ${machines[0]?.name}`,
    );
  });
}
