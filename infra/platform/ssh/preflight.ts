/**
 * Looks at all machines before anything is changed, each in one SSH session, side by side: every
 * problem of every machine at once, each with what to do about it.
 */

import type { Outcome } from "../../../lib/run.ts";
import { targets } from "../../inventory.ts";
import { type DiskNeed, isRole, ports, releaseNeed, roleRow, roles } from "../../roles.ts";
import { type Settings, SettingsError } from "../../settings.ts";
import { allMembers, type Machine, type Member, portsOf, type Topology } from "../../topology.ts";
import { ConnectionError, callMachine, describeTarget, type Target } from "./connection.ts";
import { type Facts, factsScript, type Listener, noSudo, parseFacts } from "./facts-script.ts";
import { userId } from "./machine-script.ts";
import type { Machines } from "./ssh.ts";

/** One machine, and what was seen there. */
export interface Seen {
  readonly target: Target;
  readonly machine: Machine;
  /** Members that are to be there. */
  readonly planned: readonly Member[];
  readonly facts: Facts;
  /** Its clock less the operator's, in seconds; 0 when they may be the same. */
  readonly clockOffset: number;
}

const user = "hastack";
const lookSeconds = 30;
/** What a program ends with that took too long. */
const tookTooLong = 124;
/** What a machine of 1 GiB has left for programs: less than that starts swapping as it installs. */
const leastMemory = 900;
/** PostgreSQL's own advice is a quarter of the memory for its buffers. */
const memoryPerBuffers = 4;
/** Sessions, leases and logs of several machines are compared with each other. */
const clockTolerance = 2;
/** Where the stack already is, its things are there: this is for one more release, or a package. */
const leastSpaceInUse = 512;

/** All roles' packages on one machine take 700 MiB, and their archives 200 more. */
const packagesNeed: DiskNeed = { path: "/", what: "packages", megabytes: 1024 };

/** Where free space is looked at. */
const spacePaths = [packagesNeed, releaseNeed, ...roles.flatMap((role) => roleRow(role).disk)].map(
  ({ path }) => path,
);

/** Free space that a role or tier needs. */
const needsOf = (name: string): readonly DiskNeed[] =>
  isRole(name) ? roleRow(name).disk : [releaseNeed];

/** Node's words for the processors that a release can be built for. */
const architectures: Readonly<Record<string, Machines["architecture"]>> = {
  x86_64: "x64",
  aarch64: "arm64",
};

/** @throws SettingsError with every problem as machine, problem, fix */
export async function inspectMachines(settings: Settings, topology: Topology): Promise<Machines> {
  const all = targets(settings);
  const looks = await Promise.all(
    all.map((target) => {
      const machine = topology.machines.find(({ name }) => name === target.name);
      if (!machine) throw new Error(`machine ${target.name} is not in the topology`);
      return look(target, machine, membersOn(topology, machine));
    }),
  );
  const seen = looks.filter((one) => typeof one !== "string");
  const problems = [
    ...looks.flatMap((one) => (typeof one === "string" ? [one] : problemsOf(settings, one))),
    ...architectureProblems(seen),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  const [{ facts } = {}] = [...seen.filter(runsRelease), ...seen];
  return { targets: all, architecture: architectures[facts?.architecture ?? ""] ?? "x64" };
}

function membersOn(topology: Topology, { name }: Machine): Member[] {
  return allMembers(topology).filter(({ machine }) => machine === name);
}

/** @returns what was seen, or why nothing could be */
async function look(
  target: Target,
  machine: Machine,
  planned: readonly Member[],
): Promise<Seen | string> {
  const script = factsScript(spacePaths, { name: user, id: userId });
  const begin = Date.now();
  let heard: number | undefined;
  try {
    const result = await callMachine(target, ["sh"], {
      asRoot: false,
      input: `{\n${script}\n} < /dev/null 2> /dev/null\n`,
      limitSeconds: lookSeconds,
      hear: (_, from) => {
        if (from === "stdout") heard ??= Date.now();
      },
    });
    const problem = lookProblem(target, result);
    if (problem !== undefined) return problem;
    const facts = parseFacts(result.stdout);
    const clockOffset = offset(facts.clock, begin / 1000, (heard ?? Date.now()) / 1000);
    return { target, machine, planned, facts, clockOffset };
  } catch (error) {
    if (error instanceof ConnectionError) return error.message;
    throw error;
  }
}

/** Why a look has not seen all there is, if so. */
export function lookProblem(target: Target, { code, stdout, stderr }: Outcome): string | undefined {
  const machine = describeTarget(target);
  if (code === tookTooLong) {
    return `${machine}: looking at it took more than ${lookSeconds} s; see what holds it up there (a network mount that is dead, name servers, a login script)`;
  }
  if (parseFacts(stdout).clock !== undefined) return undefined;
  const said = (stderr || stdout).trim().split("\n").at(-1) || "nothing";
  return `${machine}: it does not run commands (it said: ${said}); give ${target.user} a shell there`;
}

/** How far a clock is off that was read between two moments of ours. */
export function offset(clock: number | undefined, begin: number, end: number): number {
  if (clock === undefined) return 0;
  if (clock > end) return clock - end;
  return clock < begin ? clock - begin : 0;
}

/** Everything that keeps the stack from this machine. */
export function problemsOf(settings: Settings, seen: Seen): string[] {
  return [
    ...rootProblems(seen),
    ...systemProblems(seen),
    ...memoryProblems(settings, seen),
    ...spaceProblems(seen),
    ...clockProblems(seen),
    ...nameProblems(seen),
    ...addressProblems(settings, seen),
    ...portProblems(settings, seen),
    ...userProblems(seen),
    ...memberProblems(seen),
  ].map((problem) => `${describeTarget(seen.target)}: ${problem}`);
}

/** A release is built once, for all machines that run it. */
export function architectureProblems(all: readonly Seen[]): string[] {
  const run = all.filter(runsRelease);
  const kinds = new Set(run.map(({ facts }) => facts.architecture));
  if (kinds.size < 2) return [];
  const list = run.map(({ target, facts }) => `${target.name} (${facts.architecture})`);
  return [
    `hastack:machines: one release is for all of ${list.join(", ")}; put storefront and admin on machines of one architecture`,
  ];
}

function runsRelease({ machine }: Seen): boolean {
  return machine.roles.some((name) => !isRole(name));
}

function rootProblems({ target, facts: { notRoot } }: Seen): string[] {
  if (notRoot === undefined) return [];
  const fix =
    notRoot === noSudo
      ? `install it there, or let hastack:machines.${target.name}.user be root`
      : `put the line \`${target.user} ALL=(ALL) NOPASSWD: ALL\` into /etc/sudoers.d/hastack there`;
  return [`${target.user} cannot become root (${notRoot}); ${fix}`];
}

function systemProblems({ facts }: Seen): string[] {
  const { system, architecture = "unknown", otherInit } = facts;
  const problems: string[] = [];
  if (system?.id !== "debian" || system.version !== "13") {
    const title = system ? system.title || `${system.id} ${system.version}` : "an unknown system";
    problems.push(`it runs ${title}; install Debian 13 (trixie) there`);
  }
  if (!(architecture in architectures)) {
    problems.push(`its processor is ${architecture}; use a machine with x86_64 or aarch64`);
  }
  if (otherInit !== undefined) {
    problems.push(`its process 1 is ${otherInit}; let it boot with systemd`);
  }
  return problems;
}

function memoryProblems({ database }: Settings, { machine, facts }: Seen): string[] {
  const buffers = machine.roles.includes("database") ? database.sharedBuffersMegabytes : 0;
  const wanted = Math.max(leastMemory, buffers * memoryPerBuffers);
  const { memoryMegabytes: there = wanted } = facts;
  if (there >= wanted) return [];
  const fix =
    wanted === leastMemory ? "" : ", or make hastack:database.sharedBuffersMegabytes smaller";
  return [`it has ${there} MiB of memory, and needs ${wanted}; give it more${fix}`];
}

/** Whether a role's things are on its machine already. */
function holds({ planned, facts: { placed, ownGluster } }: Seen, role: string): boolean {
  return planned.some(
    (member) =>
      member.role === role && (isGluster(role) ? ownGluster : placed.includes(member.name)),
  );
}

function holdsAll(seen: Seen): boolean {
  return seen.machine.roles.every((role) => holds(seen, role));
}

const isGluster = (role: string): boolean => role === "brick" || role === "arbiter";

/** The largest need on each file system. */
function spaceProblems(seen: Seen): string[] {
  const { machine, facts } = seen;
  const worst = new Map<string, string>();
  const needs = [
    { ...packagesNeed, inUse: holdsAll(seen) },
    ...machine.roles.flatMap((role) =>
      needsOf(role).map((need) => ({ ...need, inUse: holds(seen, role) })),
    ),
  ].sort((one, other) => other.megabytes - one.megabytes);
  for (const { path, what, megabytes, inUse } of needs) {
    const there = facts.space.get(path);
    const wanted = inUse ? leastSpaceInUse : megabytes;
    if (there === undefined || there.freeMegabytes >= wanted || worst.has(there.mount)) continue;
    worst.set(
      there.mount,
      `its file system ${there.mount} has ${there.freeMegabytes} MiB free, and ${what} (${path}) must have ${wanted}; make room there`,
    );
  }
  return [...worst.values()];
}

function clockProblems({ clockOffset }: Seen): string[] {
  const seconds = Math.abs(clockOffset);
  if (seconds <= clockTolerance) return [];
  const direction = clockOffset > 0 ? "ahead of" : "behind";
  return [
    `its clock is ${Math.round(seconds)} s ${direction} yours; set it, and keep it right by a time service such as systemd-timesyncd`,
  ];
}

function nameProblems(seen: Seen): string[] {
  const { unknownNames, hostName = "" } = seen.facts;
  return unknownNames.flatMap((name) => {
    if (name === hostName) {
      return [
        `it does not know its own name ${name}; add the line \`127.0.1.1 ${name}\` to its /etc/hosts`,
      ];
    }
    // What is installed needs nothing from there
    return holdsAll(seen)
      ? []
      : [
          `it cannot resolve ${name}, where its packages come from; mend its name servers (/etc/resolv.conf), or name a proxy to apt`,
        ];
  });
}

function addressProblems({ network }: Settings, { machine, facts }: Seen): string[] {
  const there = facts.addresses;
  const problems = (["frontend", "backend"] as const).flatMap((name) => {
    const address = machine[name];
    return address === undefined || there.includes(address)
      ? []
      : [
          `it has no address ${address} (it has ${there.join(", ") || "none"}); give it that one, or set hastack:machines.${machine.name}.${name}`,
        ];
  });
  if (machine.roles.includes("loadBalancer")) return problems;
  const held = [network.frontend.vip, network.backend.vip].filter((vip) => there.includes(vip));
  return [
    ...problems,
    ...held.map(
      (vip) => `it has the virtual IP ${vip} and is no load balancer; take it off its interface`,
    ),
  ];
}

/** Ports of its roles that others hold: not the stack's own units, nor its own GlusterFS. */
function portProblems(settings: Settings, { planned, facts }: Seen): string[] {
  const { listeners, notRoot, ownGluster } = facts;
  if (listeners === undefined) {
    return notRoot === undefined
      ? ["its ports cannot be looked at: ss is missing; install iproute2 there"]
      : [];
  }
  const told = new Set<string>();
  return planned.flatMap((member) =>
    portsOf(member)
      .filter((port) => isUsed(settings, port))
      .flatMap((port) => listeners.filter((one) => one.port === port && !isOwn(one, ownGluster)))
      .filter(({ port, program }) => {
        const known = told.has(`${port} ${program}`);
        told.add(`${port} ${program}`);
        return !known;
      })
      .map((one) => `port ${one.port} (${member.role}) is taken by ${holder(one)}`),
  );
}

function isUsed({ certificate, smtp }: Settings, port: number): boolean {
  if (port === ports.https) return certificate !== undefined;
  return port === ports.mail ? smtp !== undefined : true;
}

function isOwn({ program, unit = "" }: Listener, ownGluster: boolean): boolean {
  return unit.startsWith("hastack-") || (ownGluster && /^gluster(d|fsd)$/.test(program));
}

function holder({ place, program, unit }: Listener): string {
  return unit?.endsWith(".service")
    ? `${program} of ${unit}, at ${place}; end it there: systemctl disable --now ${unit}`
    : `${program}, at ${place}; end it there, or have it use another port`;
}

/** Owners of shared files go by their numbers. */
function userProblems({ facts: { userOfId = user, idOfUser = userId } }: Seen): string[] {
  const problems: string[] = [];
  if (userOfId !== user) {
    problems.push(
      `its user ${userOfId} has the number ${userId}, which shared files take for ${user}; give ${userOfId} another one (usermod --uid)`,
    );
  }
  if (idOfUser !== userId) {
    problems.push(
      `its user ${user} has the number ${idOfUser}, and shared files want ${userId}; rename or remove that user`,
    );
  }
  return problems;
}

/**
 * Members are counted in the machines' order. One that gets another number would meet the units and
 * the data of the one that is there. One that is planned there no longer goes by this very run.
 */
function memberProblems({ planned, facts: { placed } }: Seen): string[] {
  return planned
    .filter(({ name }) => !placed.includes(name))
    .flatMap(({ name }) =>
      placed
        .filter((there) => kind(there) === kind(name))
        .map(
          (there) =>
            `it is ${there} and would become ${name}; keep the order of hastack:machines, and add new ones at the end`,
        ),
    );
}

/** `etcd` of `etcd-2`. */
const kind = (member: string): string => member.replace(/-\d+$/, "");
