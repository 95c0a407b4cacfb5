/** The rules that the settings of every stack must keep, each as a problem: setting, value, fix. */
import {
  addressPlan,
  contains,
  hostAddress,
  hostNumber,
  meansAll,
  overlaps,
  prefixLength,
  withoutHost,
} from "./addresses.ts";
import { type CountProblem, generatedRoles, roleRow, roles } from "./roles.ts";
import type { Settings } from "./settings.ts";
import type { TierPlan } from "./topology.ts";

/** Rules on how many members a role or a tier has. */
export function countProblems(settings: Settings, tiers: readonly TierPlan[]): string[] {
  const { machines, members } = settings;
  if (machines !== undefined) return placeProblems(machines, tiers);
  const { membersPerRole, firstHostOfTiers } = addressPlan;
  const counts = [
    ...generatedRoles.map((role) => ({
      path: `members.${role}`,
      count: members[role],
      problem: roleRow(role).countProblem(members[role]),
    })),
    ...tiers.map(({ name, instances }) => ({
      path: `tiers.${name}.instances`,
      count: instances,
      problem: tierCountProblem(instances),
    })),
  ];
  const tooMany = `is more than the address plan holds, use at most ${membersPerRole}`;
  return [
    ...counts.flatMap(({ path, count, problem }) => [
      ...(problem ? [`hastack:${path}: ${count} ${problem.why}, ${problem.fix}`] : []),
      ...(count > membersPerRole ? [`hastack:${path}: ${count} ${tooMany}`] : []),
    ]),
    ...tiers
      .slice(firstHostOfTiers.length)
      .map(
        ({ name }) =>
          `hastack:tiers.${name}: is one tier more than the address plan holds, use at most ${firstHostOfTiers.length} tiers on the platform docker`,
      ),
  ];
}

function tierCountProblem(count: number): CountProblem | undefined {
  return count === 0 ? { why: "leaves the tier without an instance", fix: "use 2" } : undefined;
}

function placeProblems(
  machines: NonNullable<Settings["machines"]>,
  tiers: readonly TierPlan[],
): string[] {
  const rules = [
    ...roles.map((name) => ({ kind: "role", name, problem: roleRow(name).countProblem })),
    ...tiers.map(({ name }) => ({ kind: "tier", name, problem: tierCountProblem })),
  ];
  return rules.flatMap(({ kind, name, problem }) => {
    const names = machines.filter((one) => one.roles.includes(name)).map((one) => one.name);
    const count = names.length;
    const found = problem(count);
    const places = `${count} machine${count === 1 ? "" : "s"} (${names.join(", ") || "none"})`;
    return found === undefined
      ? []
      : [`hastack:machines: ${kind} ${name} is on ${places}: ${count} ${found.why}, ${found.fix}`];
  });
}

/** Times that must fit to each other, or what they promise is not kept. */
export function timingProblems(
  { loadBalancer, database }: Settings,
  tiers: readonly TierPlan[],
): string[] {
  const problems: string[] = [];
  // Two checks that fail take an instance out; a second more for a busy machine
  const { checkIntervalMilliseconds, checkFastIntervalMilliseconds } = loadBalancer;
  const noticed = (checkIntervalMilliseconds + checkFastIntervalMilliseconds) / 1000 + 1;
  for (const { name, port, drainSeconds, stopGraceSeconds } of tiers) {
    const path = `hastack:tiers.${name}.drainSeconds`;
    if (drainSeconds >= stopGraceSeconds) {
      problems.push(
        `${path}: ${drainSeconds} leaves requests no time before stopGraceSeconds (${stopGraceSeconds}) is over, use less`,
      );
    }
    if (port !== undefined && drainSeconds < noticed) {
      problems.push(
        `${path}: ${drainSeconds} is over before the load balancers' checks have seen it, use ${Math.ceil(noticed)} or shorter check intervals`,
      );
    }
  }
  // Patroni lowers the other two by itself, without a word, where they do not fit
  const { ttlSeconds, loopWaitSeconds, retryTimeoutSeconds } = database;
  const lease = loopWaitSeconds + 2 * retryTimeoutSeconds;
  if (ttlSeconds < lease) {
    problems.push(
      `hastack:database.ttlSeconds: ${ttlSeconds} is less than loopWaitSeconds + 2 × retryTimeoutSeconds, use ${lease} or more`,
    );
  }
  return problems;
}

/** A login at the mail server is a user and a password, or neither. */
export function mailProblems({ smtp, smtpPassword }: Settings): string[] {
  if (smtp?.user !== undefined && smtpPassword === undefined) {
    return [
      `hastack:smtp.user: ${smtp.user} has no password; give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out`,
    ];
  }
  return smtpPassword !== undefined && smtp?.user === undefined
    ? ["hastack:smtpPassword: there is no hastack:smtp.user whose it is; name one, or leave it out"]
    : [];
}

/** Rules on subnets and virtual IPs. */
export function networkProblems({ network, machines }: Settings): string[] {
  const { frontend, backend } = network;
  // Who makes the machines also makes their networks, by the address plan
  const planned = machines === undefined;
  const problems = Object.entries({ frontend, backend }).flatMap(([name, { subnet, vip }]) => {
    const found = subnetProblem(subnet, planned) ?? virtualProblem(subnet, vip, planned);
    return found === undefined ? [] : [`hastack:network.${name}.${found}`];
  });
  if (overlaps(frontend.subnet, backend.subnet)) {
    problems.push(
      `hastack:network.backend.subnet: ${backend.subnet} overlaps the frontend's ${frontend.subnet}, use another`,
    );
  }
  return problems;
}

function subnetProblem(subnet: string, planned: boolean): string | undefined {
  const prefix = prefixLength(subnet);
  const [shortest, longest] = planned ? [16, 24] : [8, 29];
  if (prefix < shortest || prefix > longest) {
    return `subnet: ${subnet} has prefix length ${prefix}, use ${shortest} to ${longest}`;
  }
  const plain = withoutHost(subnet);
  return plain === subnet ? undefined : `subnet: ${subnet} names a host, use ${plain}`;
}

function virtualProblem(subnet: string, vip: string, planned: boolean): string | undefined {
  if (!contains(subnet, vip)) return `vip: ${vip} is outside ${subnet}, use an address inside it`;
  if (!planned) {
    return meansAll(subnet, vip) ? `vip: ${vip} means all of ${subnet}, use another` : undefined;
  }
  const { firstVirtualHost, firstDynamicHost } = addressPlan;
  const host = hostNumber(subnet, vip);
  return host >= firstVirtualHost && host < firstDynamicHost
    ? undefined
    : `vip: ${vip} is where members or passing containers get their addresses, use ${hostAddress(subnet, firstVirtualHost)} to ${hostAddress(subnet, firstDynamicHost - 1)}`;
}

/** Ports published on 127.0.0.1: each once, and one for each load balancer or none. */
export function publishProblems(settings: Settings): string[] {
  const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
  const problems: string[] = [];
  for (const [name, list] of Object.entries({ publishedPorts, publishedStatsPorts })) {
    if (list.length !== 0 && list.length !== settings.members.loadBalancer) {
      problems.push(
        `hastack:loadBalancer.${name}: has ${list.length} for ${settings.members.loadBalancer} load balancers, use one for each`,
      );
    }
  }
  const all = [...publishedPorts, ...publishedStatsPorts];
  for (const port of new Set(all.filter((one, index) => all.indexOf(one) !== index))) {
    problems.push(`hastack:loadBalancer.publishedPorts: ${port} is there twice, use another`);
  }
  return problems;
}
