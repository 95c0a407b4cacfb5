/**
 * The `ssh` platform: each workload is a set of systemd units on a machine that is there already.
 * One resource is one transaction there; all of one machine's run one after the other, and machines
 * side by side.
 */
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../../settings.ts";
import type { Member, Topology } from "../../topology.ts";
import { secretsInput, taskScript } from "../delivery.ts";
import type {
  Flow,
  PlacementOptions,
  Platform,
  Release,
  SharedDirectory,
  Task,
  Workload,
} from "../platform.ts";
import type { Target } from "./connection.ts";
import {
  brickPackages,
  brickScript,
  mountPackages,
  mountScript,
  removeBrickScript,
  removeMountScript,
  removeVolumeScript,
  volumeScript,
} from "./gluster.ts";
import {
  baseScript,
  type Owner,
  oneAtATime,
  onlyOf,
  packagesScript,
  removeBaseScript,
} from "./machine-script.ts";
import { bindRelease, placeScript } from "./place-script.ts";
import { removeScript } from "./remove-script.ts";
import { unitName } from "./systemd.ts";

/** What is known of the machines besides their roles. */
export interface Machines {
  readonly targets: readonly Target[];
  /** Of all machines that run a release, in Node's words. */
  readonly architecture: "x64" | "arm64";
}

/** Seconds beyond waiting for health that a transaction may take. */
const workSeconds = 300;
const packageSeconds = 1200;
const taskSeconds = 300;

interface Script {
  readonly name: string;
  readonly machine: string;
  /** A file of this folder that Node runs. @default runs `APPLY` on the machine */
  readonly program?: string;
  /** Texts and values for the program; they are plain in previews. */
  readonly environment: Readonly<Record<string, string>>;
  /** @default none */
  readonly secrets?: Workload["secrets"];
  readonly options: PlacementOptions;
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
  /** Shared directories by name, and where they are mounted. */
  readonly #volumes = new Map<string, pulumi.Resource>();
  readonly #mounted = new Map<string, pulumi.Resource>();
  #built: pulumi.Resource | undefined;

  constructor(settings: Settings, topology: Topology, machines: Machines) {
    this.#settings = settings;
    this.#topology = topology;
    this.#machines = machines;
  }

  place(workload: Workload, { parent, dependsOn }: PlacementOptions): pulumi.Resource {
    const { host, packages, release } = workload;
    const { gateTimeoutSeconds, keepData } = this.#settings;
    const before = [
      ...this.#packages(host.machine, `${host.name}-packages`, packages),
      ...(release ? [this.#release(host.machine, release)] : []),
      ...this.#mounts(host.machine, workload.shared),
    ];
    return this.#inTurn({
      name: host.name,
      machine: host.machine,
      environment: {
        APPLY: placeScript(workload, gateTimeoutSeconds),
        REMOVE: removeScript(workload, keepData),
        LIMIT_SECONDS: String(gateTimeoutSeconds + workSeconds),
      },
      secrets: workload.secrets,
      options: { parent, dependsOn: [...dependsOn, ...before] },
    });
  }

  runOnce(task: Task, { parent, dependsOn }: PlacementOptions): pulumi.Resource {
    const { name, host, release, packages = [], secrets } = task;
    const before = [
      ...this.#packages(host.machine, `${name}-packages`, packages),
      ...(release ? [this.#release(host.machine, release)] : []),
      ...this.#mounts(host.machine, task.shared),
    ];
    const script = [
      "set -eu",
      ...(release ? [bindRelease(release.hash)] : []),
      oneAtATime(name),
      ...(task.shared ?? []).map(mounted),
      taskScript(task),
    ];
    return this.#inTurn({
      name,
      machine: host.machine,
      environment: {
        APPLY: script.join("\n"),
        ...(release && { OWN_MOUNTS: "yes" }),
        LIMIT_SECONDS: String(taskSeconds),
      },
      secrets,
      options: { parent, dependsOn: [...dependsOn, ...before] },
    });
  }

  /** A GlusterFS volume; machines mount it when something that uses it comes to them. */
  sharedDirectory(directory: SharedDirectory, options: PlacementOptions): pulumi.Resource {
    const { brick: bricks, arbiter: arbiters } = this.#topology.members;
    const placed = [...bricks, ...arbiters].map((brick) => this.#brick(brick, directory, options));
    const volume = this.#inTurn({
      name: `${directory.name}-volume`,
      machine: bricks[0]?.machine ?? "",
      environment: {
        APPLY: volumeScript(this.#topology, directory),
        REMOVE: removeVolumeScript(this.#topology, directory, this.#settings.keepData),
      },
      options: { ...options, dependsOn: placed },
    });
    this.#volumes.set(directory.name, volume);
    return volume;
  }

  /** Machines are not closed to each other yet: a firewall of theirs belongs here. */
  allow(_flows: readonly Flow[], _options: PlacementOptions): readonly pulumi.Resource[] {
    return [];
  }

  #brick(
    brick: Member,
    directory: SharedDirectory,
    { parent, dependsOn }: PlacementOptions,
  ): pulumi.Resource {
    return this.#inTurn({
      name: brick.name,
      machine: brick.machine,
      environment: {
        APPLY: brickScript(directory),
        REMOVE: removeBrickScript(this.#topology, directory, this.#settings.keepData),
      },
      options: {
        parent,
        dependsOn: [
          ...dependsOn,
          ...this.#packages(brick.machine, `${brick.name}-packages`, brickPackages),
        ],
      },
    });
  }

  /** What a machine's workloads find mounted. */
  #mounts(machine: string, directories: readonly SharedDirectory[] = []): pulumi.Resource[] {
    return directories.map((directory) => {
      const name = `${machine}-${directory.name}`;
      const known = this.#mounted.get(name);
      if (known) return known;
      const volume = this.#volumes.get(directory.name);
      const mount = this.#inTurn({
        name,
        machine,
        environment: {
          APPLY: mountScript(machine, this.#topology, directory),
          REMOVE: `${onlyOf(this.#owner(machine))}\n${removeMountScript(directory)}`,
        },
        options: {
          parent: this.#component(machine),
          dependsOn: [
            ...(volume ? [volume] : []),
            ...this.#packages(machine, `${name}-packages`, mountPackages),
          ],
        },
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
      environment: { APPLY: packagesScript(packages), LIMIT_SECONDS: String(packageSeconds) },
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

  #owner(machine: string): Owner {
    return { stack: this.#topology.stack, machine };
  }

  /** What every machine has before anything is placed on it. */
  #base(machine: string): pulumi.Resource {
    const known = this.#bases.get(machine);
    if (known) return known;
    const base = this.#command({
      name: `${machine}-base`,
      machine,
      environment: {
        APPLY: baseScript(this.#owner(machine)),
        REMOVE: removeBaseScript(this.#owner(machine)),
        LIMIT_SECONDS: String(packageSeconds),
      },
      options: { parent: this.#component(machine), dependsOn: [] },
    });
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
    const resource = this.#command({
      name: `${machine}-release`,
      machine,
      program: "ship-release.ts",
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
  #inTurn(script: Script): pulumi.Resource {
    const { parent, dependsOn } = script.options;
    const before = this.#last.get(script.machine) ?? this.#base(script.machine);
    const resource = this.#command({
      ...script,
      options: { parent, dependsOn: [...dependsOn, before] },
    });
    this.#last.set(script.machine, resource);
    return resource;
  }

  #command({
    name,
    machine,
    program,
    environment,
    secrets = {},
    options,
  }: Script): pulumi.Resource {
    const target = this.#machines.targets.find((one) => one.name === machine);
    if (!target) throw new Error(`machine ${machine} is not known`);
    const run = "node platform/ssh/run.ts";
    return new command.local.Command(
      name,
      {
        create: program ? `node platform/ssh/${program}` : `${run} APPLY`,
        ...(environment.REMOVE !== undefined && { delete: `${run} REMOVE` }),
        // What it takes to get there stays with it, so that it can be taken away from there
        environment: { MACHINE: machine, TARGET: JSON.stringify(target), ...environment },
        stdin: pulumi.secret(pulumi.all(secrets).apply(secretsInput)),
        addPreviousOutputInEnv: false,
      },
      {
        parent: options.parent,
        dependsOn: [...options.dependsOn],
        // On another machine it is another thing: it has to go from the old one
        replaceOnChanges: ["environment.MACHINE"],
        deleteBeforeReplace: true,
      },
    );
  }
}

/** What is written where nothing is mounted would be lost from sight. */
function mounted({ name, path }: SharedDirectory): string {
  return `mountpoint -q ${path} || {
  echo '${path} is not mounted; see journalctl --unit=${unitName(name)}, then run up again' >&2
  exit 1
}`;
}
