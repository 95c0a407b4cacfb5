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
import type { Role, Settings } from "./settings.ts";

/** How often a role may be there; nothing where any number will do. */
const countRules: Readonly<Record<Role, (count: number) => string | undefined>> = {
  loadBalancer: (count) =>
    count < 2 ? "leaves the virtual IPs without a second holder, use 2" : undefined,
  quorum(count) {
    if (count < 3) return "cannot outvote a lost one, use 3";
    return count % 2 === 0
      ? `is even and survives no more losses than ${count - 1}, use ${count - 1}`
      : undefined;
  },
  database: (count) => (count === 2 ? undefined : "is not a primary and a standby, use 2"),
  storefront: someone,
  admin: someone,
  cache: (count) =>
    count > 1 ? "would each know half of what changed, use 1 (or 0 to go without)" : undefined,
  brick: (count) => (count === 2 ? undefined : "is not every file twice, use 2"),
  arbiter: (count) => (count === 1 ? undefined : "is not one third vote beside two bricks, use 1"),
};

function someone(count: number): string | undefined {
  return count === 0 ? "leaves the role without a machine, use 2" : undefined;
}

/** Rules on how many members a role has. */
export function countProblems(settings: Settings): string[] {
  const { machines, members } = settings;
  return machines === undefined ? memberProblems(members) : placeProblems(machines);
}

function memberProblems(members: Settings["members"]): string[] {
  const { membersPerRole } = addressPlan;
  const counts = Object.entries(members) as [keyof typeof members, number][];
  return counts.flatMap(([role, count]) => {
    const tooMany = `is more than the address plan holds, use at most ${membersPerRole}`;
    return [countRules[role](count), count > membersPerRole ? tooMany : undefined]
      .filter((why) => why !== undefined)
      .map((why) => `hastack:members.${role}: ${count} ${why}`);
  });
}

function placeProblems(machines: NonNullable<Settings["machines"]>): string[] {
  return Object.entries(countRules).flatMap(([role, rule]) => {
    const names = machines
      .filter((one) => one.roles.includes(role as Role))
      .map(({ name }) => name);
    const count = names.length;
    const why = rule(count);
    const places = `${count} machine${count === 1 ? "" : "s"} (${names.join(", ") || "none"})`;
    return why === undefined
      ? []
      : [`hastack:machines: role ${role} is on ${places}: ${count} ${why}`];
  });
}

/** Times that must fit to each other, or what they promise is not kept. */
export function timingProblems({ application, loadBalancer, database }: Settings): string[] {
  const problems: string[] = [];
  const { drainSeconds, stopGraceSeconds } = application;
  if (drainSeconds >= stopGraceSeconds) {
    problems.push(
      `hastack:application.drainSeconds: ${drainSeconds} leaves requests no time before stopGraceSeconds (${stopGraceSeconds}) is over, use less`,
    );
  }
  // Two checks that fail take an instance out; a second more for a busy machine
  const { checkIntervalMilliseconds, checkFastIntervalMilliseconds } = loadBalancer;
  const noticed = (checkIntervalMilliseconds + checkFastIntervalMilliseconds) / 1000 + 1;
  if (drainSeconds < noticed) {
    problems.push(
      `hastack:application.drainSeconds: ${drainSeconds} is over before the load balancers' checks have seen it, use ${Math.ceil(noticed)} or shorter check intervals`,
    );
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
