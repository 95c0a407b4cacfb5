/** The Docker engine: what it has of containers, networks and volumes, in the same shape as a state's. */
import { runDocker } from "../../infra/platform/docker/engine.ts";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import type { Answers, Expectation, Properties } from "./expectation.ts";
import type { Resource } from "./state.ts";
import { packageThing } from "./things.ts";

const mebibyte = 1024 * 1024;

/** What a container's resource asks for. */
interface ContainerInputs {
  readonly name: string;
  readonly image: string;
  readonly hostname: string;
  readonly command: readonly string[];
  readonly restart: string;
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly shmSize: number;
  readonly stopTimeout: number;
  readonly logDriver: string;
  readonly logOpts?: Properties;
  readonly sysctls?: Properties;
  readonly securityOpts?: readonly string[];
  readonly capabilities?: { readonly adds?: readonly string[]; readonly drops?: readonly string[] };
  readonly networksAdvanced: readonly { readonly name: string; readonly ipv4Address?: string }[];
  readonly volumes: readonly { readonly volumeName: string; readonly containerPath: string }[];
  readonly ports?: readonly Record<"ip" | "external" | "internal" | "protocol", string | number>[];
  readonly labels: readonly { readonly label: string; readonly value: string }[];
}

interface NetworkInputs {
  readonly name: string;
  readonly driver: string;
  readonly internal: boolean;
  readonly ipamConfigs: readonly Record<"subnet" | "gateway" | "ipRange", string>[];
}

type Thing = Pick<Expectation, "ask" | "thing" | "should" | "fix">;

const kinds: Readonly<Record<string, (resource: Resource) => Thing[]>> = {
  "docker:index/container:Container": (resource): Thing[] => {
    const inputs = resource.inputs as unknown as ContainerInputs;
    const { name } = inputs;
    const anew = `docker rm --force ${name}; npx pulumi up makes it anew`;
    return [
      {
        ask: `container ${name}`,
        thing: `container ${name}`,
        should: { id: resource.id.slice(0, 12), ...containerSettings(inputs) },
        fix: anew,
      },
      {
        ask: `status ${name}`,
        thing: `container ${name}`,
        should: { run: "running" },
        fix: `docker start ${name}, or docker unpause ${name}; one that is gone is made anew by npx pulumi up`,
      },
    ];
  },
  "docker:index/network:Network": ({ id, inputs }) => {
    const { name, driver, internal, ipamConfigs } = inputs as unknown as NetworkInputs;
    const [{ subnet = "", gateway = "", ipRange = "" } = {}] = ipamConfigs;
    return [
      {
        ask: `network ${name}`,
        thing: `network ${name}`,
        should: {
          is: "there",
          id: id.slice(0, 12),
          driver,
          internal: String(internal),
          subnet,
          gateway,
          range: ipRange,
        },
        fix: "npx pulumi up makes it anew",
      },
    ];
  },
  "docker:index/volume:Volume": ({ inputs }) => {
    const { name } = inputs as { readonly name: string };
    return [
      {
        ask: `volume ${name}`,
        thing: `volume ${name}`,
        should: { is: "there" },
        fix: "npx pulumi up makes it anew, without the data that was in it",
      },
    ];
  },
};

/** What a state wants of the engine, and the packages that its images bring to the containers. */
export function engineThings(stack: string, resources: readonly Resource[]): Expectation[] {
  const ofEngine = resources.flatMap((resource) =>
    (kinds[resource.type]?.(resource) ?? []).map((one) => ({
      machine: "",
      ...one,
      unsure: resource.unsure,
    })),
  );
  const images = new Map(resources.filter(isImage).map((one) => [imageId(one), packagesOf(one)]));
  const ofImages = resources.filter(isContainer).flatMap(({ inputs, unsure }) => {
    const { name, image } = inputs as unknown as ContainerInputs;
    const machine = name.slice(dockerNames(stack).container("").length);
    const fix = `docker rm --force ${name}; npx pulumi up makes it anew`;
    return (images.get(image) ?? []).map((one) => packageThing({ machine, fix, unsure }, one));
  });
  return [...ofEngine, ...ofImages];
}

const isImage = ({ type }: Resource) => type === "docker:index/remoteImage:RemoteImage";
const isContainer = ({ type }: Resource) => type === "docker:index/container:Container";

/** The provider's own id has the image's name behind it. */
const imageId = ({ id }: Resource): string => id.slice(0, "sha256:".length + 64);

function packagesOf({ inputs }: Resource): readonly string[] {
  const { build } = inputs as { build?: { buildArgs?: { PACKAGES?: string } } };
  return (build?.buildArgs?.PACKAGES ?? "").split(" ").filter(Boolean);
}

/** The member that a thing of the engine belongs to, for people; `docker` where it is the whole stack's. */
export function memberOf(stack: string, ask: string, members: readonly string[]): string {
  const [, name = ""] = ask.split(" ");
  const rest = name.slice(dockerNames(stack).container("").length);
  const found = members.filter((member) => rest === member || rest.startsWith(`${member}-`));
  return found.sort((a, b) => b.length - a.length)[0] ?? "docker";
}

function containerSettings(inputs: ContainerInputs): Properties {
  const { memory = 0, memorySwap = 0, capabilities = {}, ports = [] } = inputs;
  return {
    image: inputs.image,
    hostname: inputs.hostname,
    command: inputs.command.join(" "),
    restart: inputs.restart,
    memory: String(memory * mebibyte),
    "memory with swap": String(memorySwap * mebibyte),
    "shared memory": String(inputs.shmSize * mebibyte),
    "stop after": String(inputs.stopTimeout),
    log: pairs({ driver: inputs.logDriver, ...inputs.logOpts }),
    "kernel settings": pairs(inputs.sysctls),
    security: list(inputs.securityOpts),
    "capabilities added": list(capabilities.adds),
    "capabilities dropped": list(capabilities.drops),
    networks: list(inputs.networksAdvanced.map((one) => `${one.name} ${one.ipv4Address ?? ""}`)),
    volumes: list(inputs.volumes.map((one) => `${one.volumeName}:${one.containerPath}`)),
    ports: list(ports.map((one) => `${one.ip}:${one.external}:${one.internal}/${one.protocol}`)),
    labels: pairs(Object.fromEntries(inputs.labels.map((one) => [one.label, one.value]))),
    ...never,
  };
}

/** What the stack never asks for. */
const never: Properties = {
  processors: "no limit",
  "processes at most": "no limit",
  privileged: "no",
};

/** What `docker inspect` says of a container. */
interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly State: { readonly Status: string };
  readonly Config: {
    readonly Hostname: string;
    readonly Cmd: readonly string[] | null;
    readonly Labels: Properties | null;
    readonly StopTimeout?: number;
  };
  readonly HostConfig: {
    readonly RestartPolicy: { readonly Name: string };
    readonly Memory: number;
    readonly MemorySwap: number;
    readonly NanoCpus: number;
    readonly CpuQuota: number;
    readonly CpuShares: number;
    readonly CpusetCpus: string;
    readonly PidsLimit: number | null;
    readonly ShmSize: number;
    readonly Privileged: boolean;
    readonly LogConfig: { readonly Type: string; readonly Config: Properties };
    readonly Sysctls: Properties | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly CapAdd: readonly string[] | null;
    readonly CapDrop: readonly string[] | null;
    readonly PortBindings: Readonly<
      Record<string, readonly { HostIp: string; HostPort: string }[]>
    > | null;
  };
  readonly Mounts: readonly {
    readonly Name?: string;
    readonly Source: string;
    readonly Destination: string;
  }[];
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { readonly IPAMConfig: { IPv4Address?: string } | null }>
    >;
  };
}

/** A container as the engine has it, by the same names. */
export function inspectedSettings(one: Inspected): Properties {
  const { Config, HostConfig: host, Mounts, NetworkSettings } = one;
  const limits = {
    cpus: host.NanoCpus / 1e9,
    quota: host.CpuQuota,
    shares: host.CpuShares,
    set: host.CpusetCpus,
  };
  const limited = Object.entries(limits).filter(([, value]) => value !== 0 && value !== "");
  const pids = host.PidsLimit ?? 0;
  return {
    id: one.Id.slice(0, 12),
    image: one.Image,
    hostname: Config.Hostname,
    command: (Config.Cmd ?? []).join(" "),
    restart: host.RestartPolicy.Name,
    memory: String(host.Memory),
    "memory with swap": String(host.MemorySwap),
    "shared memory": String(host.ShmSize),
    "stop after": String(Config.StopTimeout),
    log: pairs({ driver: host.LogConfig.Type, ...host.LogConfig.Config }),
    "kernel settings": pairs(host.Sysctls ?? {}),
    security: list(host.SecurityOpt ?? []),
    "capabilities added": list(host.CapAdd ?? []),
    "capabilities dropped": list(host.CapDrop ?? []),
    networks: list(
      Object.entries(NetworkSettings.Networks).map(
        ([name, { IPAMConfig }]) => `${name} ${IPAMConfig?.IPv4Address ?? ""}`,
      ),
    ),
    volumes: list(Mounts.map((mount) => `${mount.Name ?? mount.Source}:${mount.Destination}`)),
    ports: list(
      Object.entries(host.PortBindings ?? {}).flatMap(([port, places]) =>
        places.map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}:${port}`),
      ),
    ),
    labels: pairs(
      Object.fromEntries(
        Object.entries(Config.Labels ?? {}).filter(([name]) => name.startsWith("hastack.")),
      ),
    ),
    processors: limited.map(([name, value]) => `${name} ${value}`).join(", ") || "no limit",
    "processes at most": pids > 0 ? String(pids) : "no limit",
    privileged: host.Privileged ? "yes" : "no",
  };
}

/** One that is on its way up is not stopped. */
const statusOf = (status: string): string => (status === "restarting" ? "running" : status);

const list = (values: readonly string[] = []): string => [...values].sort().join(", ") || "none";

function pairs(values: Properties = {}): string {
  return list(Object.entries(values).map(([name, value]) => `${name}=${value}`));
}

/** What the engine has of all that is asked for. */
export async function askEngine(asks: readonly string[]): Promise<Answers> {
  const namesOf = (kind: string) =>
    asks.filter((ask) => ask.startsWith(`${kind} `)).map((ask) => ask.slice(kind.length + 1));
  const answers = new Map<string, readonly [string, string][]>();
  const lines = async (...words: string[]) => (await runDocker(words)).split("\n").filter(Boolean);
  const inspect = async <T>(kind: string, names: readonly string[]): Promise<T[]> =>
    names.length === 0 ? [] : (JSON.parse(await runDocker([kind, "inspect", ...names])) as T[]);
  const there = async (wanted: readonly string[], ...list: string[]) => {
    const all = new Set(wanted.length === 0 ? [] : await lines(...list));
    return {
      there: wanted.filter((name) => all.has(name)),
      gone: wanted.filter((name) => !all.has(name)),
    };
  };
  const named = [...new Set([...namesOf("container"), ...namesOf("status")])];
  const containers = await there(named, "ps", "--all", "--format={{.Names}}");
  for (const name of containers.gone) answers.set(`status ${name}`, [["run", "gone"]]);
  for (const one of await inspect<Inspected>("container", containers.there)) {
    const name = one.Name.slice(1);
    answers.set(`container ${name}`, Object.entries(inspectedSettings(one)));
    answers.set(`status ${name}`, [["run", statusOf(one.State.Status)]]);
  }
  const networks = await there(namesOf("network"), "network", "ls", "--format={{.Name}}");
  for (const name of networks.gone) answers.set(`network ${name}`, [["is", "gone"]]);
  for (const one of await inspect<InspectedNetwork>("network", networks.there)) {
    answers.set(`network ${one.Name}`, Object.entries(networkSettings(one)));
  }
  const volumes = await there(namesOf("volume"), "volume", "ls", "--quiet");
  for (const name of volumes.gone) answers.set(`volume ${name}`, [["is", "gone"]]);
  for (const name of volumes.there) answers.set(`volume ${name}`, [["is", "there"]]);
  return answers;
}

interface InspectedNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Internal: boolean;
  readonly IPAM: { readonly Config: readonly Record<"Subnet" | "Gateway" | "IPRange", string>[] };
}

function networkSettings({ Id, Driver, Internal, IPAM }: InspectedNetwork): Properties {
  const [{ Subnet = "", Gateway = "", IPRange = "" } = {}] = IPAM.Config;
  return {
    is: "there",
    id: Id.slice(0, 12),
    driver: Driver,
    internal: String(Internal),
    subnet: Subnet,
    gateway: Gateway,
    range: IPRange,
  };
}
