/** A test's stack on stand-in machines, several members on each. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import {
  addressesOf,
  containerName,
  inMachine,
  layouts,
  type MachineSet,
  removeMachines,
  setFiles,
  startMachines,
  waitForSsh,
} from "../../lab/machines.ts";
import { inRoot } from "../../lib/paths.ts";
import { mustRun, run } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { leftovers } from "./machine-leftovers.ts";
import {
  type Configuration,
  instancesOf,
  type Place,
  type Served,
  settingsOf,
  travelAgency,
} from "./place.ts";
import { limits } from "./promises.ts";

export type Layout = keyof typeof layouts;

/** The configurations that are shipped, by their layout. */
const configurations: Readonly<Record<Layout, string>> = {
  seven: "Pulumi.lab.yaml",
  three: "docs/three-machines.yaml",
};

/** What the members of a role are called, and patterns of their own units. */
const kinds: Readonly<Record<string, { member: string; units: readonly string[] }>> = {
  loadBalancer: { member: "lb", units: ["haproxy", "keepalived"] },
  quorum: { member: "etcd", units: ["etcd"] },
  database: { member: "db", units: ["patroni"] },
  storefront: { member: "storefront", units: ["storefront"] },
  admin: { member: "admin", units: ["admin"] },
  web: { member: "web", units: ["web", "job-*"] },
  cache: { member: "cache", units: ["valkey"] },
  brick: { member: "brick", units: [] },
  arbiter: { member: "arbiter", units: [] },
  backup: { member: "backup", units: ["keeper", "receive"] },
};

/** A machine as configured. */
interface Configured {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface MachinePlaceOptions {
  readonly layout: Layout;
  /** First three numbers of the frontend, the backend and the management network: `172.29.20`. */
  readonly networks: readonly [string, string, string];
  /** Folder of the stack's sources; its key and its inventory are in there too. */
  readonly project: string;
  /** @default the travel agency */
  readonly served?: Served;
  /** Whether the stack knows of the management network. @default as in the layout's configuration */
  readonly managed?: boolean;
  /** Whether it has the machine that fetches backups, as what is shipped has. @default false */
  readonly backups?: boolean;
  /** Whether the stack is first of a release that knows no firewall. @default false */
  readonly earlier?: boolean;
}

/** A machine's roles with another application's tiers in place of the travel agency's. */
function rolesWith(roles: readonly string[], { tiers }: Served): readonly string[] {
  const others = roles.filter((role) => !travelAgency.tiers.includes(role));
  return others.length === roles.length ? roles : [...tiers, ...others];
}

/** This machine tries the doors behind the firewalls, which are a matter of their own. */
const admitting = (address: string): Configuration => ({
  "hastack:firewall": {
    admit: [
      { what: "who tries the doors", ports: "1024-65535", from: [address], network: "backend" },
    ],
  },
});

export class MachinePlace implements Place {
  readonly base: string;
  readonly settings: Configuration;
  readonly vip: string;
  readonly localHosts: readonly string[];
  readonly laterSettings: Configuration;
  readonly statsHosts: readonly string[];
  /** The link to the release goes back. */
  readonly servingAfterBadRelease: readonly string[];
  readonly checksMemory = true;
  readonly keptReleases = 3;
  /** The frontend's gateway. */
  readonly ownAddress: string;
  readonly set: MachineSet;
  /** Any instance of the application. */
  readonly #instance: string;
  readonly #machineOf = new Map<string, string>();

  /** @param name of the stack, and of its set of machines */
  constructor(
    name: string,
    {
      layout,
      networks,
      project,
      served = travelAgency,
      managed,
      earlier = false,
      backups = false,
    }: MachinePlaceOptions,
  ) {
    const [frontend, backend, management] = networks;
    this.set = {
      set: name,
      machines: layouts[layout],
      networks: {
        frontend: `${frontend}.0/24`,
        backend: `${backend}.0/24`,
        management: `${management}.0/24`,
      },
      project,
    };
    this.base = configurations[layout];
    const { config } = parse(readFileSync(inRoot(this.base), "utf8"));
    const machines: Configured[] = config["hastack:machines"].map((machine: Configured) => ({
      ...machine,
      roles: rolesWith(machine.roles, served).filter((role) => backups || role !== "backup"),
    }));
    this.#nameMembers(machines);
    this.vip = `${frontend}.100`;
    this.ownAddress = `${frontend}.1`;
    this.localHosts = ["lb-1", "lb-2"].map(
      (member) => this.#addressesOn(this.machine(member)).frontend ?? "",
    );
    this.statsHosts = this.localHosts.map((address) => `${address}:8404`);
    const inConfiguration = config["hastack:network"].management !== undefined;
    const settings = this.#settings(machines, managed ?? inConfiguration);
    const admitted = admitting(`${backend}.1/32`);
    this.settings = { ...settings, ...settingsOf(served), ...(earlier ? {} : admitted) };
    this.laterSettings = earlier ? admitted : {};
    this.servingAfterBadRelease = instancesOf(served);
    this.#instance = this.servingAfterBadRelease[0] ?? "";
  }

  #nameMembers(machines: readonly Configured[]): void {
    for (const [role, { member }] of Object.entries(kinds)) {
      const holders = machines.filter(({ roles }) => roles.includes(role));
      for (const [index, { name }] of holders.entries()) {
        this.#machineOf.set(`${member}-${index + 1}`, name);
      }
    }
  }

  #settings(machines: readonly Configured[], managed: boolean): Configuration {
    const { frontend, backend, management } = this.set.networks;
    return {
      "hastack:keepData": false,
      "hastack:application": { settings: { sampleData: true } },
      "hastack:network": {
        frontend: { subnet: frontend, vip: this.vip },
        backend: { subnet: backend, vip: backend.replace(/0\/24$/, "100") },
        ...(managed && { management: { subnet: management } }),
      },
      "hastack:machines": machines.map(({ name, ...rest }) => {
        const { frontend, backend, management } = this.#addressesOn(name);
        const own = { address: management, backend, ...(frontend && { frontend }) };
        return { name, ...rest, ...own, ...(managed && { management }) };
      }),
      "hastack:ssh": { inventory: `.hastack/inventory/${this.set.set}.yaml` },
    };
  }

  /** The machine that a member is on. */
  machine(member: string): string {
    const machine = this.#machineOf.get(member);
    if (machine === undefined) throw new Error(`${member} is on no machine`);
    return machine;
  }

  #addressesOn(name: string) {
    const machine = this.set.machines.find((one) => one.name === name);
    if (machine === undefined) throw new Error(`${name} is not in the layout`);
    return addressesOf(this.set, machine);
  }

  #ask(member: string, script: string): Promise<string> {
    return inMachine(this.set.set, this.machine(member), script);
  }

  /** Names of the member's systemd units. */
  #units(member: string): string {
    const kind = Object.values(kinds).find((one) => member.startsWith(`${one.member}-`));
    return (kind?.units ?? []).map((name) => `hastack-${name}.service`).join(" ");
  }

  async prepare(): Promise<void> {
    await startMachines(this.set);
  }

  /** The machines hold all that there is of the stack; their image stays for the next ones. */
  async wipe(): Promise<void> {
    await removeMachines(this.set.set, this.set.project, true);
  }

  async leftovers(): Promise<string[]> {
    const found = this.set.machines.map(({ name }) => leftovers(this.set.set, name));
    return (await Promise.all(found)).flat();
  }

  container(member: string): string {
    return containerName(this.set.set, this.machine(member));
  }

  sharing(member: string): readonly string[] {
    return this.on(this.machine(member));
  }

  /** The members on a machine. */
  on(machine: string): readonly string[] {
    return [...this.#machineOf].flatMap(([member, other]) => (other === machine ? [member] : []));
  }

  address(member: string): string {
    return this.#addressesOn(this.machine(member)).backend ?? "";
  }

  files(member: string): string {
    return `/etc/hastack/${member}`;
  }

  release(member: string): string {
    return `/opt/hastack/current/${member}`;
  }

  async releases(): Promise<string[]> {
    return (await this.#ask(this.#instance, "ls /opt/hastack/releases")).trim().split("\n");
  }

  /** Where its link leads. */
  async releaseOf(instance: string): Promise<string> {
    return (await this.#ask(instance, `basename $(readlink ${this.release(instance)})`)).trim();
  }

  processId(process: string): string {
    return `systemctl show --property=MainPID --value hastack-${process}.service`;
  }

  async memoryLimit(member: string): Promise<number | undefined> {
    const [unit = ""] = this.#units(member).split(" ");
    const show = `systemctl show --property=MemoryMax --value ${unit}`;
    const told = (await this.#ask(member, show)).trim();
    return told === "infinity" ? undefined : Number(told) / 1024 / 1024;
  }

  /** Which release an instance's link leads to, and which start of its units this is. */
  identity(member: string): Promise<string> {
    const link = this.release(member);
    const show = `systemctl show --property=InvocationID ${this.#units(member)}`;
    return this.#ask(member, `readlink ${link} || :; ${show}`).catch(() => "");
  }

  started(member: string): Promise<string> {
    const properties = "MainPID,InvocationID,ExecMainStartTimestampMonotonic";
    return this.#ask(member, `systemctl show --property=${properties} ${this.#units(member)}`);
  }

  log(member: string, lines: number): Promise<string> {
    const units = this.#units(member)
      .split(" ")
      .map((unit) => `--unit=${unit}`);
    const options = `--lines=${Number.isFinite(lines) ? lines : "all"} --output=cat --no-pager ${units.join(" ")}`;
    return this.#ask(member, `journalctl ${options}`);
  }

  async hang(member: string): Promise<void> {
    await this.#ask(member, `systemctl kill --signal=STOP ${this.#units(member)}`);
  }

  async goOn(member: string): Promise<void> {
    await this.#ask(member, `systemctl kill --signal=CONT ${this.#units(member)}`);
  }

  /** Units, process lists, journals, and the files that anybody may read. */
  async plainSight(): Promise<string[]> {
    const script = [
      "systemctl show 'hastack-*'",
      "systemctl cat 'hastack-*'",
      "ps -eo pid,args",
      "journalctl --no-pager --quiet",
      "find /etc/hastack -type f -perm -o=r -exec cat {} + 2>/dev/null || :",
    ].join("\n");
    const looks = this.set.machines.map(({ name }) => inMachine(this.set.set, name, script));
    return Promise.all(looks);
  }

  /**
   * Takes the power away from the member's machine: its links are dead before its processes are, so
   * that no goodbye gets out.
   */
  async lose(member: string): Promise<void> {
    const links = "ip -oneline link | cut -d' ' -f2 | cut -d: -f1 | cut -d@ -f1 | grep -vx lo";
    const down = `for one in $(${links}); do ip link set "$one" down; done`;
    await this.#ask(member, down);
    await mustRun(["docker", "kill", this.container(member)]);
  }

  /** Starts the member's machine anew, as its administrator would, and waits until it lets in. */
  async reboot(member: string): Promise<void> {
    const bootId = () => this.#ask(member, "cat /proc/sys/kernel/random/boot_id");
    const before = await bootId();
    // The command's own connection may end with the machine
    await run(["docker", "exec", this.container(member), "systemctl", "reboot"]);
    await until(`${this.machine(member)} has booted`, {
      probe: bootId,
      done: (id) => id !== before,
      limitSeconds: limits.reboot,
    });
    await waitForSsh(setFiles(this.set.set, this.set.project), [this.machine(member)]);
  }
}
