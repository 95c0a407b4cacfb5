/**
 * The `docker` platform: each workload is a container with an address of its own, its files lie in
 * a small named volume, and networks separate who may talk to whom.
 */
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { variablesOf } from "../../../lib/long-variable.ts";
import { readProjectFile } from "../../../lib/paths.ts";
import { shortHash } from "../../../lib/short-hash.ts";
import { addressPlan, hostAddress } from "../../addresses.ts";
import type { Settings } from "../../settings.ts";
import type { Topology } from "../../topology.ts";
import { everything, leftAlone } from "../absent.ts";
import { type Mending, mending, ofDelivery, ofTask, warnOfAltered } from "../altered.ts";
import { deliveredFiles } from "../machine.ts";
import { Ownership } from "../ownership.ts";
import {
  type DataDirectory,
  type Flow,
  type PlacementOptions,
  type Platform,
  type Release,
  type SharedDirectory,
  type Task,
  takesOver,
  type Workload,
} from "../platform.ts";
import {
  filesRequest,
  type GateRequest,
  ownUsers,
  processesRequest,
  secretsInput,
  taskRequest,
} from "../request.ts";
import type { DeliveryTarget } from "./deliver-files.ts";
import { dockerNames } from "./names.ts";
import { type Engine, strangersProblem } from "./preflight.ts";
import type { TaskTarget } from "./run-task.ts";
import { configurationDirectory, s6, superviseCommand } from "./s6.ts";

/** Below the folder that Pulumi runs the program and its builds in. */
const imageFolder = "platform/docker/image";

export class DockerPlatform implements Platform {
  readonly #settings: Settings;
  readonly #topology: Topology;
  readonly #names: ReturnType<typeof dockerNames>;
  readonly #images = new Map<string, docker.RemoteImage>();
  readonly #staged = new Map<string, pulumi.Resource>();
  readonly #networks: docker.Network[] = [];
  readonly #engine: Engine | undefined;
  readonly #ownership: Ownership;

  /** @param engine what it has @default all that the stack needs, and nothing that is a stranger's */
  constructor(settings: Settings, topology: Topology, engine?: Engine) {
    this.#settings = settings;
    this.#engine = engine;
    const { containers = [] } = engine ?? {};
    this.#ownership = new Ownership(
      containers.length > 0 ? strangersProblem(settings.stack, containers) : undefined,
    );
    this.#topology = topology;
    this.#names = dockerNames(settings.stack);
  }

  place(workload: Workload, options: PlacementOptions): pulumi.Resource {
    this.#warnOfMissing(workload);
    const users = workload.processes.map(({ user }) => user);
    const image =
      this.#imageOfAbsent(workload.host, options) ??
      this.#image({ ...workload, ...withUsers(workload.release, users) }, options);
    const files = this.#deliver(workload, image, options);
    const container = this.#container(workload, image, {
      parent: options.parent,
      dependsOn: [...options.dependsOn, ...this.#networksOf(workload.host.name), files.resource],
    });
    return this.#gate(workload, container, files, options.parent);
  }

  runOnce(task: Task, options: PlacementOptions): pulumi.Resource {
    const { name, component, release, packages = [], shared = [], onWorkload } = task;
    const image = release
      ? this.#image({ component, packages, ...withUsers(release, [task.user]) }, options)
      : undefined;
    const target: TaskTarget = image
      ? {
          network: this.#names.network("backend"),
          labels: this.#labelWords(component),
          volumes: this.#mounts([], shared).map(
            ({ volumeName, containerPath }) => `${volumeName}:${containerPath}`,
          ),
          without: needless,
        }
      : { container: this.#names.container(task.host.name), ...(onWorkload && { onWorkload }) };
    const { create, ignored } = leftAlone(
      image ? { machine: task.host.machine } : task.host,
      "node platform/docker/run-task.ts",
    );
    const altered = ofTask(name, this.#engine?.altered?.get(task.host.name));
    warnOfAltered(name, altered);
    const { variables, ignoreChanges } = mending(altered);
    return new command.local.Command(
      name,
      {
        create,
        environment: {
          ...variablesOf("REQUEST", JSON.stringify(taskRequest(task, configurationDirectory))),
          TARGET: JSON.stringify(target),
          ...(image && { IMAGE: image.imageId }),
          ...variables,
        },
        stdin: secretInput(task.secrets),
        addPreviousOutputInEnv: false,
      },
      {
        parent: options.parent,
        dependsOn: [...options.dependsOn, ...this.#networksOf(name)],
        ignoreChanges: [...ignored, ...ignoreChanges],
      },
    );
  }

  sharedDirectory(directory: SharedDirectory, options: PlacementOptions): pulumi.Resource {
    return this.#volume(directory.name, this.#settings.keepData, mutable(options));
  }

  /** Two networks stand for the flows: the backend has no way out, only the frontend has a way in. */
  allow(_flows: readonly Flow[], options: PlacementOptions): readonly pulumi.Resource[] {
    for (const network of ["frontend", "backend"] as const) {
      const { subnet } = this.#topology.network[network];
      this.#networks.push(
        new docker.Network(
          network,
          {
            name: this.#names.network(network),
            driver: "bridge",
            internal: network === "backend",
            ipamConfigs: [
              {
                subnet,
                gateway: hostAddress(subnet, 1),
                // Members have fixed addresses below this range; passing containers get theirs here
                ipRange: `${hostAddress(subnet, addressPlan.firstDynamicHost)}/25`,
              },
            ],
            labels: this.#labels("Firewall"),
          },
          { parent: options.parent, dependsOn: [...options.dependsOn], deleteBeforeReplace: true },
        ),
      );
    }
    for (const network of this.#networks) this.#ownership.watch(network);
    return this.#networks;
  }

  /** The networks are closed from the start. */
  allowOnly(): readonly pulumi.Resource[] {
    return [];
  }

  /** The launcher asks for `--refresh` by itself; who has a Pulumi of their own must. */
  #warnOfMissing({ host, data = [] }: Workload): void {
    if (host.absent) return;
    const volume = (name: string) => this.#names.volume(`${host.name}-${name}`);
    const { containers, volumes } = this.#engine ?? {};
    if (!containers || !volumes?.has(volume("files")) || process.env.PULUMI_OPTION_REFRESH) return;
    if (containers.includes(this.#names.container(host.name))) return;
    const lost = data.map(({ name }) => volume(name)).filter((name) => !volumes.has(name));
    const gone = lost.length > 0 ? ` The data of ${lost.join(", ")} is gone, too.` : "";
    pulumi.log.warn(
      `${host.name}: its container is not there. If it was removed by hand, add --refresh, so that it is made anew.${gone}`,
    );
  }

  /** Whatever is placed is attached to them. */
  #networksOf(name: string): readonly docker.Network[] {
    if (this.#networks.length > 0) return this.#networks;
    throw new Error(
      `${name}: its networks are not described yet; call allow() before it is placed`,
    );
  }

  #container(
    workload: Workload,
    image: docker.RemoteImage,
    options: PlacementOptions,
  ): docker.Container {
    const { host, processes } = workload;
    const stopSeconds = processes.reduce((sum, one) => sum + one.stopGraceSeconds, 5);
    return new docker.Container(
      host.name,
      {
        name: this.#names.container(host.name),
        hostname: host.name,
        image: image.imageId,
        command: superviseCommand(workload.shared ?? []),
        restart: "always",
        // How long a stop may take before Docker kills; unset would mean at once
        destroyGraceSeconds: stopSeconds,
        stopTimeout: stopSeconds,
        networksAdvanced: this.#attachments(workload),
        volumes: [
          {
            volumeName: this.#names.volume(`${host.name}-files`),
            containerPath: configurationDirectory,
          },
          ...this.#mounts(workload.data ?? [], workload.shared ?? [], host.name),
        ],
        labels: this.#labels(workload.component),
        // The provider reads ports back sorted
        ports: [...(workload.published ?? [])]
          .sort((a, b) => a.target - b.target)
          .map(({ local, target }) => ({ internal: target, external: local, ip: "127.0.0.1" })),
        securityOpts: ["no-new-privileges:true"],
        shmSize: 128,
        logDriver: "json-file",
        logOpts: { "max-size": "10m", "max-file": "3" },
        ...capabilitiesOf(workload),
        ...(workload.sysctls && { sysctls: workload.sysctls }),
        ...memoryOf(processes),
      },
      {
        ...mutable(options),
        ...takesOver(host),
        deleteBeforeReplace: true,
        replaceOnChanges: ["*"],
        ...(host.absent && { ignoreChanges: [...everything] }),
      },
    );
  }

  #attachments({ host }: Workload): docker.types.input.ContainerNetworksAdvanced[] {
    const { frontend, backend } = host;
    return [
      ...(frontend ? [{ name: this.#names.network("frontend"), ipv4Address: frontend }] : []),
      { name: this.#names.network("backend"), ipv4Address: backend },
    ];
  }

  #mounts(
    data: readonly DataDirectory[],
    shared: readonly SharedDirectory[],
    host = "",
  ): { volumeName: string; containerPath: string }[] {
    return [
      ...data.map(({ name, path }) => ({
        volumeName: this.#names.volume(`${host}-${name}`),
        containerPath: path,
      })),
      ...shared.map(({ name, path }) => ({
        volumeName: this.#names.volume(name),
        containerPath: path,
      })),
    ];
  }

  /** The files of a workload with the supervisor's own, in a volume that a passing container fills. */
  #deliver(workload: Workload, image: docker.RemoteImage, options: PlacementOptions): Delivery {
    const { host, component, processes } = workload;
    // A renamed member's has another name, so it is another one: the old one is mounted until its
    // container is replaced, and goes at the end
    const volumes = [
      this.#volume(`${host.name}-files`, false, mutable(options)),
      ...(workload.data ?? []).map(({ name, keep }) =>
        this.#volume(`${host.name}-${name}`, keep && this.#settings.keepData, mutable(options)),
      ),
    ];
    const request = {
      root: configurationDirectory,
      processes: processesRequest(processes),
      // The container that checks looks like the workload's: checks may name its addresses
      addresses: [host.frontend, host.backend].filter((one) => one !== undefined),
      files: filesRequest(deliveredFiles(s6, workload, configurationDirectory)),
    };
    const target: DeliveryTarget = {
      volume: this.#names.volume(`${host.name}-files`),
      container: this.#names.container(host.name),
      labels: this.#labelWords(component),
    };
    const stdin = secretInput(workload.secrets);
    const altered = ofDelivery(this.#engine?.altered?.get(host.name));
    warnOfAltered(host.name, altered);
    const { variables, ignoreChanges } = mending(altered);
    // A volume that is not there, new or removed by hand, is filled, though the files are the same
    const isMissing = this.#engine?.volumes.has(target.volume) === false;
    const { create, ignored } = leftAlone(host, "node platform/docker/deliver-files.ts");
    const resource = new command.local.Command(
      `${host.name}-files`,
      {
        create,
        environment: {
          ...variablesOf("REQUEST", JSON.stringify(request)),
          TARGET: JSON.stringify(target),
          IMAGE: image.imageId,
          ...(isMissing && { VOLUME_OF: new Date().toISOString() }),
          ...variables,
        },
        stdin,
        addPreviousOutputInEnv: false,
      },
      {
        ...takesOver(host, "-files"),
        parent: options.parent,
        dependsOn: [...options.dependsOn, ...volumes],
        ignoreChanges: [
          ...ignored,
          ...ignoreChanges,
          ...(isMissing ? [] : ["environment.VOLUME_OF"]),
        ],
      },
    );
    const version = stdin.apply((secrets) => shortHash(JSON.stringify(request), secrets));
    return { resource, version: pulumi.unsecret(version), mending: { variables, ignoreChanges } };
  }

  /** Passes once the workload is healthy, again after anything of it changed. */
  #gate(
    { host, processes, health = s6.steady(processes) }: Workload,
    container: docker.Container,
    files: Delivery,
    parent: pulumi.Resource,
  ): pulumi.Resource {
    const request: GateRequest = {
      root: configurationDirectory,
      member: host.name,
      health: { ...health, timeoutSeconds: this.#settings.gateTimeoutSeconds },
    };
    const { create, ignored } = leftAlone(host, "node platform/docker/gate.ts");
    return new command.local.Command(
      `${host.name}-gate`,
      {
        create,
        environment: {
          CONTAINER: container.name,
          REQUEST: JSON.stringify(request),
          // What the member consists of: when it changes, the member has to show its health again
          CONTAINER_ID: container.id,
          FILES: files.version,
          ...files.mending.variables,
        },
        addPreviousOutputInEnv: false,
      },
      {
        ...takesOver(host, "-gate"),
        parent,
        dependsOn: [container, files.resource],
        ignoreChanges: [...ignored, ...files.mending.ignoreChanges],
      },
    );
  }

  #volume(name: string, keep: boolean, options: pulumi.CustomResourceOptions): docker.Volume {
    const volume = new docker.Volume(
      name,
      { name: this.#names.volume(name), labels: this.#labels("Data") },
      { ...options, retainOnDelete: keep, deleteBeforeReplace: true },
    );
    this.#ownership.watch(volume);
    return volume;
  }

  /** One image for each set of packages and release; a change of either has another tag. */
  #image(
    { component, packages, release }: Pick<Workload, "component" | "packages" | "release">,
    options: PlacementOptions,
  ): docker.RemoteImage {
    const kind = release ? "release" : kebab(component);
    const tag = release ? releaseTag(release, packages) : packagesTag(packages);
    const title = `${kind}-image-${tag}`;
    const known = this.#images.get(title);
    if (known) return known;
    const staged = release && this.#stage(release, options);
    const users = release && { USERS: release.users.join(" ") };
    // The tag is part of the resource's name: going back to a release that still serves somewhere
    // finds its image as it is, instead of making it again and removing the old one of that name
    const image = new docker.RemoteImage(
      title,
      {
        name: `hastack-${this.#settings.stack}/${kind}:${tag}`,
        build: {
          context: release ? `../.hastack/images/${release.hash}` : imageFolder,
          buildArgs: { PACKAGES: packages.join(" "), ...users },
          labels: Object.fromEntries(this.#labels(component).map((one) => [one.label, one.value])),
        },
        forceRemove: true,
      },
      { parent: options.parent, dependsOn: staged ? [staged] : [] },
    );
    this.#images.set(title, image);
    return image;
  }

  /** That of its container stays: it is there by an older release's description, which nobody has any more. */
  #imageOfAbsent(
    { name, absent }: Workload["host"],
    { parent }: PlacementOptions,
  ): docker.RemoteImage | undefined {
    const there = absent ? this.#engine?.images?.get(name) : undefined;
    if (there === undefined) return undefined;
    const [, kind = "", tag = ""] = /([^/]+):([^:]+)$/.exec(there) ?? [];
    const title = `${kind}-image-${tag}`;
    const known = this.#images.get(title);
    if (known) return known;
    const image = new docker.RemoteImage(
      title,
      { name: there },
      { parent, ignoreChanges: [...everything] },
    );
    this.#images.set(title, image);
    return image;
  }

  /** Puts a release and the recipe of the image into one folder, which Docker can build. */
  #stage(release: Release, options: PlacementOptions): pulumi.Resource {
    const known = this.#staged.get(release.hash);
    if (known) return known;
    const staged = new command.local.Command(
      "release",
      {
        create: "node platform/docker/stage-release.ts",
        environment: { RELEASE: release.hash, APPLICATION: release.application },
        addPreviousOutputInEnv: false,
      },
      { parent: options.parent },
    );
    this.#staged.set(release.hash, staged);
    return staged;
  }

  #labels(component: string): { label: string; value: string }[] {
    return [
      { label: "hastack.component", value: component },
      { label: "hastack.stack", value: this.#settings.stack },
    ];
  }

  #labelWords(component: string): string[] {
    return this.#labels(component).map(({ label, value }) => `${label}=${value}`);
  }
}

interface Delivery {
  readonly resource: pulumi.Resource;
  /** A hash of all that was delivered, secrets included. */
  readonly version: pulumi.Output<string>;
  readonly mending: Mending;
}

/** The release for an image with these users alone: that another tier comes or goes does not change it. */
function withUsers(
  release: Release | undefined,
  users: readonly (string | undefined)[],
): { release?: Release } {
  return release ? { release: { ...release, users: [], ...ownUsers(release, users) } } : {};
}

/** One release may be in images with different packages and users, or of another recipe. */
function releaseTag({ hash: release, users }: Release, packages: readonly string[]): string {
  return `${release}-${shortHash(JSON.stringify([recipe(), packages, users]))}`;
}

function recipe(): string[] {
  return ["Dockerfile", "install-packages"].map((file) =>
    readProjectFile(`infra/${imageFolder}/${file}`),
  );
}

/**
 * Tags that images of running stacks have. This recipe installs the same as the one before, in another
 * way: no container is replaced for that. A recipe that changes again has tags of its own.
 */
const asBefore = {
  recipe: "6c7b46415430",
  tags: {
    "valkey-server": "6c4671b675a9",
    "patroni python3-etcd postgresql-17": "495f769f7354",
    "etcd-server etcd-client": "9f471d197adc",
  } as Readonly<Record<string, string>>,
};

function packagesTag(packages: readonly string[]): string {
  const known =
    shortHash(...recipe()) === asBefore.recipe ? asBefore.tags[packages.join(" ")] : undefined;
  return known ?? shortHash(...recipe(), ...packages);
}

/** What the engine gives root, and neither an application nor its supervisor needs. */
const needless = "AUDIT_WRITE MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETPCAP SYS_CHROOT".split(" ");

function capabilitiesOf({
  release,
  capabilities,
}: Workload): Pick<docker.ContainerArgs, "capabilities"> {
  const named = (names: readonly string[]) => names.map((name) => `CAP_${name}`);
  if (!capabilities && !release) return {};
  return {
    capabilities: {
      ...(capabilities && { adds: named(capabilities) }),
      ...(release && { drops: named(needless) }),
    },
  };
}

/** The container's limit is that of all its processes; one without a limit has all there is. */
function memoryOf(processes: Workload["processes"]): { memory?: number; memorySwap?: number } {
  const limits = processes.flatMap(({ memoryMegabytes = [] }) => memoryMegabytes);
  if (limits.length < processes.length) return {};
  const memory = limits.reduce((sum, one) => sum + one, 0);
  return { memory, memorySwap: memory };
}

function secretInput(secrets: Workload["secrets"]): pulumi.Output<string> {
  return pulumi.secret(pulumi.all(secrets).apply(secretsInput));
}

function mutable({ parent, dependsOn }: PlacementOptions): pulumi.CustomResourceOptions {
  return { parent, dependsOn: [...dependsOn] };
}

function kebab(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, "-$&").toLowerCase();
}
