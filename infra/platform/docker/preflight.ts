/**
 * Looks at the operator's machine before anything is changed: whether the Docker engine answers,
 * the published ports are free, no network overlaps the stack's subnets, and tiers keep their addresses.
 * All problems at once.
 */
import { spawnSync } from "node:child_process";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { addressPlan, hostNumber, overlaps } from "../../addresses.ts";
import type { Problem } from "../../rules/problem.ts";
import { type Running, runningIn, runningProblems } from "../../rules/running.ts";
import { type Settings, SettingsError } from "../../settings.ts";
import { allMembers, type Topology } from "../../topology.ts";
import { dockerNames } from "./names.ts";
import { configurationDirectory } from "./s6.ts";

/** A subnet that something else on this machine uses. */
export interface UsedSubnet {
  readonly subnet: string;
  readonly user: string;
}

/** What the engine has. */
export interface Engine {
  /** The stack's own, by name. */
  readonly containers: readonly string[];
  /** All of them, by name. */
  readonly volumes: ReadonlySet<string>;
  /** What containers of absent members were made of, by member: `hastack-dev/release:TAG`. @default nothing */
  readonly images?: ReadonlyMap<string, string>;
  /** What was changed by hand, by member. @default nothing */
  readonly altered?: ReadonlyMap<string, readonly string[]>;
}

/** @throws SettingsError with every problem as setting, value, fix */
export function preflight(settings: Settings, topology: Topology): Engine {
  const containers = ownContainers(settings);
  const networks = dockerNetworks();
  const own = new Set(
    [...dockerNamesOf(settings)].flatMap((name) => networks.get(name)?.subnets ?? []),
  );
  const others = [...networks].filter(([name]) => !dockerNamesOf(settings).has(name));
  const used: UsedSubnet[] = [
    ...others.flatMap(([name, { subnets }]) =>
      subnets.map((subnet) => ({ subnet, user: `the Docker network ${name}` })),
    ),
    ...interfaceSubnets().filter(({ subnet }) => !isOneOf(subnet, networks)),
  ].filter(({ subnet }) => !own.has(subnet));
  const problems = [
    ...movedProblems(settings, networks),
    ...subnetProblems(topology.network, used),
    ...portProblems(settings, listeningPorts(settings, containers)),
    ...placeProblems(topology, runningMembers(settings, containers)),
    ...runningProblems(settings, topology.members.quorum.length, whatRuns(settings, containers)),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  return {
    containers: containers.map(({ name }) => name),
    volumes: new Set(dockerLines(["volume", "ls", "--quiet"])),
    images: imagesOfAbsent(settings, containers),
  };
}

/** Subnets that are not those in which the stack runs: etcd keeps its members' addresses. */
export function movedProblems(
  settings: Settings,
  networks: ReadonlyMap<string, { readonly subnets: readonly string[] }>,
): Problem[] {
  const names = dockerNames(settings.stack);
  return (["frontend", "backend"] as const).flatMap((name) => {
    const { subnet } = settings.network[name];
    const there = networks.get(names.network(name))?.subnets[0];
    return there === undefined || there === subnet
      ? []
      : [
          {
            path: `network.${name}.subnet`,
            value: subnet,
            why: `is not ${there}, where the stack runs, and members cannot move`,
            fix: "keep it, or destroy the stack first",
          },
        ];
  });
}

/** The stack's subnets that overlap one in use. */
export function subnetProblems(
  network: Topology["network"],
  used: readonly UsedSubnet[],
): Problem[] {
  return (["frontend", "backend"] as const).flatMap((name) => {
    const { subnet } = network[name];
    return used
      .filter((other) => overlaps(subnet, other.subnet))
      .map((other) => ({
        path: `network.${name}.subnet`,
        value: subnet,
        why: `overlaps ${other.subnet} of ${other.user}`,
        fix: "use another subnet, and a vip inside it",
      }));
  });
}

/** The published ports that something else listens on. */
export function portProblems(settings: Settings, taken: ReadonlySet<number>): Problem[] {
  const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
  return Object.entries({ publishedPorts, publishedStatsPorts }).flatMap(([name, ports]) =>
    ports
      .filter((port) => taken.has(port))
      .map((value) => ({
        path: `loadBalancer.${name}`,
        value,
        why: "is in use by another program on 127.0.0.1",
        fix: "use another port, or end that program",
      })),
  );
}

/**
 * Tiers that cannot have the addresses of the plan: they run at others, where the load balancers look
 * for them until the end of `up`, or a tier that goes runs there until then.
 * @param running address in the backend network of each member that has a container
 */
export function placeProblems(topology: Topology, running: ReadonlyMap<string, string>): Problem[] {
  const { subnet } = topology.network.backend;
  const planned = allMembers(topology);
  const own = new Set(planned.flatMap(({ name, formerName = name }) => [name, formerName]));
  const goes = new Map(
    [...running].filter(([name]) => !own.has(name)).map(([name, address]) => [address, name]),
  );
  const free = freeBlock(subnet, [...planned.map(({ backend }) => backend), ...running.values()]);
  return Object.entries(topology.tiers).flatMap(([tier, instances]): Problem[] => {
    const path = `tiers.${tier}`;
    const set = (host: number) => `set hastack:${path}.firstHost: ${host}`;
    for (const [index, { name, formerName = name, backend }] of instances.entries()) {
      const there = running.get(name) ?? running.get(formerName);
      const holder = goes.get(backend);
      if (there !== undefined && there !== backend) {
        const why = `${name} runs at ${there} and cannot move to ${backend}`;
        return [{ path, why, fix: set(hostNumber(subnet, there) - index) }];
      }
      if (holder !== undefined) {
        const former = holder.replace(/-\d+$/, "");
        const other = free === undefined ? "add it once that is gone" : set(free);
        return [
          {
            path,
            why: `${name} cannot have ${backend}, where ${holder} still runs`,
            fix: `write formerly: ${former} in hastack.yaml if ${tier} is its new name, or else ${other}`,
          },
        ];
      }
    }
    return [];
  });
}

/** The first block of host numbers that holds none of these addresses. */
function freeBlock(subnet: string, addresses: readonly string[]): number | undefined {
  const hosts = addresses.map((address) => hostNumber(subnet, address));
  return addressPlan.firstHostOfTiers.find(
    (block) => !hosts.some((host) => host >= block && host < block + addressPlan.membersPerRole),
  );
}

function dockerNamesOf({ stack }: Settings): Set<string> {
  const names = dockerNames(stack);
  return new Set([names.network("frontend"), names.network("backend")]);
}

function dockerNetworks(): Map<string, { subnets: string[] }> {
  const ids = dockerLines(["network", "ls", "--quiet"]);
  if (ids.length === 0) return new Map();
  const format = "{{.Name}} {{range .IPAM.Config}}{{.Subnet}} {{end}}";
  return new Map(
    dockerLines(["network", "inspect", `--format=${format}`, ...ids]).map((line) => {
      const [name = "", ...subnets] = line.trim().split(" ");
      return [name, { subnets }];
    }),
  );
}

/** Networks of the machine's interfaces; bridges of the engine show up here as well. */
function interfaceSubnets(): UsedSubnet[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter((one): one is NetworkInterfaceInfo => one.family === "IPv4" && one.cidr !== null)
      .map((one) => ({ subnet: one.cidr ?? "", user: `the interface ${name}` })),
  );
}

function isOneOf(subnet: string, networks: ReadonlyMap<string, { subnets: string[] }>): boolean {
  return [...networks.values()].some(({ subnets }) =>
    subnets.some((other) => overlaps(subnet, other)),
  );
}

interface OwnContainer {
  readonly name: string;
  /** As Docker shows them. */
  readonly ports: string;
}

function ownContainers({ stack }: Settings): OwnContainer[] {
  const filter = `--filter=label=hastack.stack=${stack}`;
  return dockerLines(["ps", "--all", filter, "--format={{.Names}}\t{{.Ports}}"]).map((line) => {
    const [name = "", ports = ""] = line.split("\t");
    return { name, ports };
  });
}

/** What to say where this checkout's state knows none of the stack's containers. */
export function strangersProblem(stack: string, containers: readonly string[]): Problem {
  const filter = `--filter label=hastack.stack=${stack}`;
  return {
    source: `stack ${stack}`,
    path: "",
    why: `its containers are there already (${containers.join(", ")}) and the state of this checkout knows nothing of them: another checkout made them, or the state (.hastack) was lost`,
    fix: `destroy the stack from the checkout that made it, or give this one another name. Only if that state is lost for good, remove them, with all their data: docker rm --force $(docker ps --all --quiet ${filter}); docker network rm $(docker network ls --quiet ${filter}); docker volume rm $(docker volume ls --quiet ${filter})`,
  };
}

/** Published ports that cannot be listened on, less those that this stack's own containers hold. */
function listeningPorts(settings: Settings, containers: readonly OwnContainer[]): Set<number> {
  const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
  const own = containers.map(({ ports }) => ports).join(" ");
  const candidates = [...publishedPorts, ...publishedStatsPorts].filter(
    (port) => !own.includes(`127.0.0.1:${port}->`),
  );
  // Listening is asynchronous in Node, and the program's start is not
  const probe = `const net = require("node:net"); for (const port of process.argv.slice(1).map(Number)) net.createServer().on("error", () => console.log(port)).listen(port, "127.0.0.1", function () { this.close(); });`;
  const { stdout } = spawnSync(process.execPath, ["-e", probe, ...candidates.map(String)], {
    encoding: "utf8",
  });
  return new Set(stdout.split("\n").filter(Boolean).map(Number));
}

/** Addresses of the stack's members; containers that run a task and end have no fixed one. */
function runningMembers(
  { stack }: Settings,
  containers: readonly OwnContainer[],
): Map<string, string> {
  const { container, network } = dockerNames(stack);
  const names = containers.map(({ name }) => name).filter((name) => name.startsWith(container("")));
  if (names.length === 0) return new Map();
  const address = `{{with index .NetworkSettings.Networks "${network("backend")}"}}{{with .IPAMConfig}}{{.IPv4Address}}{{end}}{{end}}`;
  const lines = dockerLines(["inspect", `--format={{.Name}} ${address}`, ...names]);
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const [name = "", there = ""] = line.slice(1).trim().split(" ");
      return there === "" ? [] : [[name.slice(container("").length), there]];
    }),
  );
}

/** By one member of each kind, which may be stopped. */
function whatRuns(settings: Settings, containers: readonly OwnContainer[]): Running {
  const { container } = dockerNames(settings.stack);
  const absent = settings.absent.map(container);
  const there = containers.map(({ name }) => name).filter((name) => !absent.includes(name));
  const files = [
    { member: "etcd", file: "etcd.yml" },
    { member: "lb", file: "keepalived.conf" },
  ].flatMap(({ member, file }) => {
    const name = there.find((one) => one.startsWith(container(`${member}-`)));
    if (name === undefined) return [];
    // As an archive, in which a text is as it is
    const words = ["cp", `${name}:${configurationDirectory}/${file}`, "-"];
    const { status, stdout } = spawnSync("docker", words, { encoding: "utf8" });
    return status === 0 ? [stdout.replaceAll("\0", "\n")] : [];
  });
  return runningIn(files);
}

function imagesOfAbsent(
  { stack, absent }: Settings,
  containers: readonly OwnContainer[],
): Map<string, string> {
  const { container } = dockerNames(stack);
  const there = absent.filter((name) => containers.some((one) => one.name === container(name)));
  if (there.length === 0) return new Map();
  const list = ["images", "--no-trunc", "--format={{.ID}} {{.Repository}}:{{.Tag}}"];
  const titles = new Map(
    dockerLines([...list, `hastack-${stack}/*`]).map((line): [string, string] => {
      const [id = "", title = ""] = line.split(" ");
      return [id, title];
    }),
  );
  const ids = dockerLines(["inspect", "--format={{.Image}}", ...there.map(container)]);
  return new Map(
    there.flatMap((name, index): [string, string][] => {
      const title = titles.get(ids[index] ?? "");
      return title === undefined ? [] : [[name, title]];
    }),
  );
}

function dockerLines(args: readonly string[]): string[] {
  const { error, status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
  // Others' networks, say, may go between a list and a look at what was in it; the rest is told
  const isGone = /^(Error response from daemon: .* not found|Error: No such .*)\s*$/m.test(stderr);
  if (error || (status !== 0 && !isGone)) {
    const reason = (error?.message ?? stderr).trim();
    throw new SettingsError([
      {
        path: "platform",
        value: "docker",
        why: `does not answer (${reason})`,
        fix: "start the engine, get access to its socket, or run npm run setup",
      },
    ]);
  }
  return stdout.split("\n").filter(Boolean);
}
