/**
 * The `ssh` platform: each workload is a set of systemd units on a machine that is there already.
 * One resource is one transaction there; all of one machine's run one after the other, and machines
 * side by side.
 */
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { variablesOf } from "../../../lib/long-variable.ts";
import { renderFirewall } from "../../render/nftables.ts";
import { formatProblem } from "../../rules/problem.ts";
import type { Settings } from "../../settings.ts";
import type { Machine, Member, Topology } from "../../topology.ts";
import { leftAlone } from "../absent.ts";
import { type Mending, mending, ofDelivery, ofTask, warnOfAltered } from "../altered.ts";
import { Ownership } from "../ownership.ts";
import {
  type Flow,
  type PlacementOptions,
  type Platform,
  type Release,
  type SharedDirectory,
  type Task,
  takesOver,
  type Workload,
} from "../platform.ts";
import { ownUsers, secretsInput, taskRequest } from "../request.ts";
import { firewallRequest } from "./firewall.ts";
import { firewallWarnings, timesMended } from "./firewall-look.ts";
import { userId, workloadFolder } from "./layout.ts";
import { type Machines, strangersProblem } from "./preflight.ts";
import { shippedPrograms } from "./programs.ts";
import { placeRequest, removalRequest } from "./requests.ts";
import type { StorageDriver } from "./storage/driver.ts";
import { storageDriver } from "./storage/storage.ts";
import { unitName } from "./systemd.ts";

/** Seconds beyond waiting for health that a transaction may take. */
const workSeconds = 300;
const packageSeconds = 1200;
const taskSeconds = 300;

/** A call of a program on a machine. */
interface Call {
  readonly call: string;
  readonly request: object;
}

interface Work {
  readonly name: string;
  /** The member's former name. @default it is no member, or had none */
  readonly formerName?: string;
  readonly machine: string;
  readonly apply: Call;
  /** What makes the call. @default run.ts */
  readonly by?: "run.ts" | "try-firewall.ts";
  /** Further variables of that program. @default none */
  readonly variables?: Readonly<Record<string, string>>;
  /** @default nothing is to be taken away */
  readonly remove?: Call;
  readonly limitSeconds?: number;
  /** @default none */
  readonly secrets?: Workload["secrets"];
  /** What was changed by hand of it. @default it is not looked at */
  readonly mending?: Mending;
  readonly options: PlacementOptions;
}

interface NodeCommand
  extends Pick<Work, "name" | "formerName" | "machine" | "secrets" | "mending" | "options"> {
  readonly create: string;
  readonly delete?: string;
  readonly environment: Readonly<Record<string, string>>;
}

export class SshPlatform implements Platform {
  readonly #settings: Settings;
  readonly #topology: Topology;
  readonly #machines: Machines;
  readonly #bases = new Map<string, pulumi.Resource>();
  /** Per machine: what its next command waits for. */
  readonly #last = new Map<string, pulumi.Resource>();
  /** Per machine: packages are installed ahead of what needs them, one set after the other. */
  readonly #lastPackages = new Map<string, pulumi.Resource>();
  readonly #components = new Map<string, pulumi.ComponentResource>();
  readonly #releases = new Map<string, pulumi.Resource>();
  readonly #storage: StorageDriver;
  /** Shared directories by name, each with what is there before it is mounted; and the mounts. */
  readonly #volumes = new Map<string, readonly pulumi.Resource[]>();
  readonly #mounted = new Map<string, pulumi.Resource>();
  readonly #ownership: Ownership;
  #built: pulumi.Resource | undefined;

  constructor(settings: Settings, topology: Topology, machines: Machines) {
    this.#settings = settings;
    this.#topology = topology;
    this.#machines = machines;
    this.#storage = storageDriver(settings);
    const { held = [] } = machines;
    this.#ownership = new Ownership(
      held.length > 0 ? strangersProblem(settings.stack, held) : undefined,
    );
  }

  place(workload: Workload, { parent, dependsOn }: PlacementOptions): pulumi.Resource {
    const { host, packages, release } = workload;
    const { gateTimeoutSeconds, keepData } = this.#settings;
    const before = [
      ...this.#packages(host.machine, `${host.name}-packages`, packages),
      ...(release ? [this.#release(host.machine, release)] : []),
      ...this.#mounts(host.machine, workload.shared),
    ];
    const altered = ofDelivery(this.#altered(host));
    warnOfAltered(host.name, altered);
    return this.#inTurn({
      name: host.name,
      formerName: host.formerName,
      mending: mending(altered),
      machine: host.machine,
      apply: { call: "place", request: placeRequest(workload, gateTimeoutSeconds) },
      remove: { call: "remove", request: removalRequest(workload, keepData) },
      limitSeconds: gateTimeoutSeconds + workSeconds,
      secrets: workload.secrets,
      options: { parent, dependsOn: [...dependsOn, ...before] },
    });
  }

  #altered({ name, machine }: Workload["host"]): readonly string[] | undefined {
    const { facts } = this.#machines.seen?.find((one) => one.machine.name === machine) ?? {};
    return facts?.altered.get(name);
  }

  runOnce(task: Task, { parent, dependsOn }: PlacementOptions): pulumi.Resource {
    const { name, host, release, packages = [], secrets } = task;
    const before = [
      ...this.#packages(host.machine, `${name}-packages`, packages),
      ...(release ? [this.#release(host.machine, release)] : []),
      ...this.#mounts(host.machine, task.shared),
    ];
    const altered = ofTask(name, this.#altered(host));
    warnOfAltered(name, altered);
    return this.#inTurn({
      name,
      mending: mending(altered),
      machine: host.machine,
      apply: {
        call: "task",
        request: {
          ...(release && { release: release.hash }),
          ...ownUsers(release, [task.user]),
          ...taskRequest(task, workloadFolder(host.name), unitName),
        },
      },
      limitSeconds: taskSeconds,
      secrets,
      options: { parent, dependsOn: [...dependsOn, ...before] },
    });
  }

  /** Machines mount it when something that uses it comes to them. */
  sharedDirectory(directory: SharedDirectory, options: PlacementOptions): pulumi.Resource {
    const { keepData, storage } = this.#settings;
    const members = this.#storage.members(this.#topology);
    const placed = members.map((member) => this.#storageMember(member, directory, options));
    const step = this.#storage.volume?.(
      this.#topology,
      directory,
      keepData,
      storage.reservePercent,
    );
    const volume = step && [
      this.#inTurn({
        name: `${directory.name}-volume`,
        machine: members[0]?.machine ?? "",
        ...step,
        options: { ...options, dependsOn: placed },
      }),
    ];
    this.#volumes.set(directory.name, volume ?? placed);
    return (volume ?? placed)[0] ?? options.parent;
  }

  allow(flows: readonly Flow[], options: PlacementOptions): readonly pulumi.Resource[] {
    for (const seen of this.#machines.seen ?? []) {
      const all = this.#withStorage(flows);
      const warnings = firewallWarnings(this.#settings, this.#topology, all, seen);
      for (const one of warnings) pulumi.log.warn(formatProblem(one));
    }
    return this.#topology.machines.map((machine) => {
      const packages = this.#packages(machine.name, `${machine.name}-firewall-packages`, [
        "nftables",
      ]);
      return this.#firewall(machine, flows, "open", {
        ...options,
        dependsOn: [...options.dependsOn, ...packages],
      });
    });
  }

  allowOnly(flows: readonly Flow[], options: PlacementOptions): readonly pulumi.Resource[] {
    return this.#topology.machines.map((machine) =>
      this.#firewall(machine, flows, "close", options),
    );
  }

  #withStorage(flows: readonly Flow[]): readonly Flow[] {
    return [...flows, ...this.#storage.flows(this.#topology)];
  }

  /** It goes with the first of its two resources, which leaves the machine last. */
  #firewall(
    machine: Machine,
    flows: readonly Flow[],
    call: "open" | "close",
    options: PlacementOptions,
  ): pulumi.Resource {
    const { name, management } = machine;
    const { stack, network } = this.#topology;
    const rules = renderFirewall(
      this.#topology,
      this.#withStorage(flows),
      machine,
      this.#settings.firewall.admit,
    );
    const closes = call === "close";
    const seen = this.#machines.seen?.find((one) => one.machine.name === name);
    const mended = closes ? timesMended(seen?.facts) : undefined;
    return this.#inTurn({
      name: closes ? `${name}-firewall-closed` : `${name}-firewall`,
      machine: name,
      by: "try-firewall.ts",
      apply: { call, request: firewallRequest(rules, mended) },
      ...(!closes && {
        remove: { call: "remove_firewall", request: { stack, machine: name } },
      }),
      ...(network.management && {
        variables: {
          MANAGEMENT: JSON.stringify({ subnet: network.management.subnet, address: management }),
        },
      }),
      options,
    });
  }

  #storageMember(
    { name, machine }: Member,
    directory: SharedDirectory,
    { parent, dependsOn }: PlacementOptions,
  ): pulumi.Resource {
    // The first directory's resources have the members' names, whatever comes behind it
    const own = this.#volumes.size === 0 ? name : `${name}-${directory.name}`;
    const packages = this.#packages(machine, `${own}-packages`, this.#storage.packages.members);
    return this.#inTurn({
      name: own,
      machine,
      ...this.#storage.member(this.#topology, directory, this.#settings.keepData),
      options: { parent, dependsOn: [...dependsOn, ...packages] },
    });
  }

  /** What a machine's workloads find mounted. */
  #mounts(machine: string, directories: readonly SharedDirectory[] = []): pulumi.Resource[] {
    return directories.map((directory) => {
      const name = `${machine}-${directory.name}`;
      const known = this.#mounted.get(name);
      if (known) return known;
      const volume = this.#volumes.get(directory.name);
      if (!volume) {
        throw new Error(`${directory.name}: share the directory before ${machine} mounts it`);
      }
      const packages = this.#packages(machine, `${name}-packages`, this.#storage.packages.clients);
      const mount = this.#inTurn({
        name,
        machine,
        ...this.#storage.mount(machine, this.#topology, directory),
        options: { parent: this.#component(machine), dependsOn: [...volume, ...packages] },
      });
      this.#mounted.set(name, mount);
      return mount;
    });
  }

  /** They belong to the machine, not to the component: then they need not wait for their turn. */
  #packages(machine: string, name: string, packages: readonly string[]): pulumi.Resource[] {
    if (packages.length === 0) return [];
    const dependsOn = [this.#lastPackages.get(machine) ?? this.#base(machine)];
    const resource = this.#command({
      name,
      machine,
      apply: { call: "packages", request: { packages } },
      limitSeconds: packageSeconds,
      options: { parent: this.#component(machine), dependsOn },
    });
    this.#lastPackages.set(machine, resource);
    return [resource];
  }

  #component(machine: string): pulumi.ComponentResource {
    const known = this.#components.get(machine);
    if (known) return known;
    const component = new pulumi.ComponentResource("hastack:index:Machine", machine, {});
    this.#components.set(machine, component);
    return component;
  }

  /** What every machine has before anything is placed on it. */
  #base(machine: string): pulumi.Resource {
    const known = this.#bases.get(machine);
    if (known) return known;
    const owner = { stack: this.#topology.stack, machine };
    const parent = this.#component(machine);
    const programs = this.#command({
      name: `${machine}-programs`,
      machine,
      apply: { call: "ship", request: { ...owner, programs: shippedPrograms() } },
      remove: { call: "unship", request: owner },
      options: { parent, dependsOn: [] },
    });
    const base = this.#command({
      name: `${machine}-base`,
      machine,
      apply: { call: "base", request: { ...owner, userId } },
      remove: { call: "remove_base", request: owner },
      limitSeconds: packageSeconds,
      options: { parent, dependsOn: [programs] },
    });
    this.#ownership.watch(base);
    this.#bases.set(machine, base);
    return base;
  }

  /** Built once, brought to each machine that needs it. */
  #release(machine: string, { hash, application }: Release): pulumi.Resource {
    const known = this.#releases.get(machine);
    if (known) return known;
    this.#built ??= new command.local.Command("release", {
      create: "node platform/ssh/build-release.ts",
      environment: {
        RELEASE: hash,
        APPLICATION: application,
        ARCHITECTURE: this.#machines.architecture,
      },
      addPreviousOutputInEnv: false,
    });
    const resource = this.#node({
      name: `${machine}-release`,
      machine,
      create: "node platform/ssh/ship-release.ts",
      environment: {
        RELEASE: hash,
        APPLICATION: application,
        ARCHITECTURE: this.#machines.architecture,
      },
      options: { parent: this.#component(machine), dependsOn: [this.#base(machine), this.#built] },
    });
    this.#releases.set(machine, resource);
    return resource;
  }

  /** A command that also waits for all that was placed on its machine before. */
  #inTurn(work: Work): pulumi.Resource {
    const { parent, dependsOn } = work.options;
    const before = this.#last.get(work.machine) ?? this.#base(work.machine);
    const resource = this.#command({
      ...work,
      options: { parent, dependsOn: [...dependsOn, before] },
    });
    this.#last.set(work.machine, resource);
    return resource;
  }

  #command({
    name,
    apply,
    by = "run.ts",
    variables,
    remove,
    limitSeconds,
    secrets = {},
    ...rest
  }: Work): command.local.Command {
    const run = "node platform/ssh/run.ts";
    return this.#node({
      ...rest,
      name,
      create: `node platform/ssh/${by} ${apply.call} REQUEST`,
      ...(remove && { delete: `${run} ${remove.call} REMOVAL` }),
      environment: {
        NAME: name,
        ...variablesOf("REQUEST", JSON.stringify(apply.request)),
        ...(remove && { REMOVAL: JSON.stringify(remove.request) }),
        ...(limitSeconds !== undefined && { LIMIT_SECONDS: String(limitSeconds) }),
        ...variables,
      },
      secrets,
    });
  }

  /** A command that Node runs here, about a machine. */
  #node({ name, formerName, machine, environment, mending, options, ...rest }: NodeCommand) {
    const { secrets = {}, create, ...commands } = rest;
    const { absent } = this.#topology.machines.find((one) => one.name === machine) ?? {};
    const left = leftAlone({ machine, ...(absent && { absent }) }, create);
    const { variables = {}, ignoreChanges = [] } = mending ?? {};
    const target = this.#machines.targets.find((one) => one.name === machine);
    if (!target) throw new Error(`machine ${machine} is not known`);
    return new command.local.Command(
      name,
      {
        ...commands,
        create: left.create,
        // What it takes to get there stays with it, so that it can be taken away from there
        environment: {
          MACHINE: machine,
          TARGET: JSON.stringify(target),
          ...environment,
          ...variables,
        },
        stdin: pulumi.secret(pulumi.all(secrets).apply(secretsInput)),
        addPreviousOutputInEnv: false,
      },
      {
        ...takesOver({ formerName }),
        parent: options.parent,
        dependsOn: [...options.dependsOn],
        // On another machine it is another thing: it has to go from the old one. So it is by another
        // name, which states of earlier releases do not have: nothing is replaced for that
        replaceOnChanges: ["environment.MACHINE", ...(formerName ? ["environment.NAME"] : [])],
        deleteBeforeReplace: true,
        ignoreChanges: [...left.ignored, ...ignoreChanges],
      },
    );
  }
}
