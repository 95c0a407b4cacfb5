/**
 * Looks at the operator's machine before anything is changed: whether the Docker engine answers,
 * the published ports are free, and no network overlaps the stack's subnets. All problems at once.
 */
import { spawnSync } from "node:child_process";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { overlaps } from "../../addresses.ts";
import type { Problem } from "../../rules/problem.ts";
import { type Settings, SettingsError } from "../../settings.ts";
import type { Topology } from "../../topology.ts";
import { dockerNames } from "./names.ts";

/** A subnet that something else on this machine uses. */
export interface UsedSubnet {
  readonly subnet: string;
  readonly user: string;
}

/** @throws SettingsError with every problem as setting, value, fix */
export function preflight(settings: Settings, topology: Topology): void {
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
    ...portProblems(settings, listeningPorts(settings)),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
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

/** Published ports that cannot be listened on, less those that this stack's own containers hold. */
function listeningPorts(settings: Settings): Set<number> {
  const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
  const own = dockerLines([
    "ps",
    `--filter=label=hastack.stack=${settings.stack}`,
    "--format={{.Ports}}",
  ]).join(" ");
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

function dockerLines(args: readonly string[]): string[] {
  const { error, status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
  if (error || status !== 0) {
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
