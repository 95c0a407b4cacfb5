/**
 * Looks at all machines before anything is changed, each in one SSH session, side by side: every
 * problem of every machine at once, each with what to do about it.
 */

import type { Outcome } from "../../../lib/run.ts";
import { targets } from "../../inventory.ts";
import { tierOfProcess } from "../../render/instance-proxy.ts";
import {
  backupDirectory,
  type DiskNeed,
  isRole,
  ports,
  portsOf,
  releaseNeed,
  roleRow,
  roles,
} from "../../roles.ts";
import type { Problem } from "../../rules/problem.ts";
import { runningIn, runningProblems } from "../../rules/running.ts";
import { type Settings, SettingsError } from "../../settings.ts";
import { allMembers, type Machine, type Member, type Topology } from "../../topology.ts";
import { readProgram } from "../machine.ts";
import type { Flow } from "../platform.ts";
import { ConnectionError, callMachine, describeTarget, type Target } from "./connection.ts";
import { type Listener, noSudo, parseFacts, type Seen } from "./facts.ts";

export type { Seen } from "./facts.ts";

import { wayProblems } from "./firewall-look.ts";
import { userId } from "./layout.ts";
import { silentWays } from "./silence.ts";
import { storageDriver } from "./storage/storage.ts";

/** What is known of the machines besides their roles. */
export interface Machines {
  readonly targets: readonly Target[];
  /** Of all machines that run a release, in Node's words. */
  readonly architecture: "x64" | "arm64";
  /** Machines that carry members of a stack of this name. @default none */
  readonly held?: readonly string[];
  /** What is taken there, and yet weakens what the stack promises. @default none */
  readonly warnings?: readonly Problem[];
  /** What was seen of each. @default nothing */
  readonly seen?: readonly Pick<Seen, "target" | "machine" | "facts">[];
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
function needsOf(name: string, { database }: Settings): readonly DiskNeed[] {
  if (!isRole(name)) return [releaseNeed];
  const log = name === "database" ? database.maximumSlotLogMegabytes : 0;
  return roleRow(name).disk.map((need) => ({ ...need, megabytes: need.megabytes + log }));
}

/** Node's words for the processors that a release can be built for. */
const architectures: Readonly<Record<string, Machines["architecture"]>> = {
  x86_64: "x64",
  aarch64: "arm64",
};

/**
 * @param flows every connection that the stack's members make; storage drivers add their own
 * @throws SettingsError with every problem as machine, problem, fix
 */
export async function inspectMachines(
  settings: Settings,
  topology: Topology,
  flows: readonly Flow[],
): Promise<Machines> {
  const all = targets(settings);
  const there = all.filter(({ name }) => !settings.absent.includes(name));
  const looks = await Promise.all(
    there.map((target) => {
      const machine = topology.machines.find(({ name }) => name === target.name);
      if (!machine) throw new Error(`machine ${target.name} is not in the topology`);
      return look(settings, target, machine, membersOn(topology, machine));
    }),
  );
  const seen = looks.filter((one) => "facts" in one);
  const problems = [
    ...looks.flatMap((one) => ("facts" in one ? problemsOf(settings, one) : [one])),
    ...architectureProblems(seen),
    ...runningProblems(
      settings,
      topology.members.quorum.length,
      runningIn(seen.flatMap(({ facts }) => facts.running ?? [])),
    ),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  const silent = await silentWays(
    topology,
    [...flows, ...storageDriver(settings).flows(topology)],
    seen,
  );
  if (silent.length > 0) throw new SettingsError(silent);
  const [{ facts } = {}] = [...seen.filter(runsRelease), ...seen];
  const held = seen.filter((one) => one.facts.owner !== undefined && one.facts.placed.length > 0);
  return {
    targets: all,
    architecture: architectures[facts?.architecture ?? ""] ?? "x64",
    held: held.map(({ target }) => target.name),
    warnings: seen.flatMap((one) => sharedDiskWarnings(settings, one)),
    seen,
  };
}

function membersOn(topology: Topology, { name }: Machine): Member[] {
  return allMembers(topology).filter(({ machine }) => machine === name);
}

/** @returns what was seen, or why nothing could be */
async function look(
  settings: Settings,
  target: Target,
  machine: Machine,
  planned: readonly Member[],
): Promise<Seen | Problem> {
  const begin = Date.now();
  let heard: number | undefined;
  try {
    const result = await callMachine(target, ["sh", "-s", "--", ...factsWords(settings)], {
      asRoot: false,
      input: factsText(),
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
    if (error instanceof ConnectionError) return error.problem;
    throw error;
  }
}

/** The words that `programs/facts` is called with. */
export function factsWords(
  settings: Settings,
  paths: readonly string[] = spacePaths,
): readonly string[] {
  return [String(userId), user, storageDriver(settings).mark, ...paths];
}

export function factsText(): string {
  return `{\n${readProgram("facts")}\n} < /dev/null 2> /dev/null\n`;
}

/** Why a look has not seen all there is, if so. */
export function lookProblem(
  target: Target,
  { code, stdout, stderr }: Outcome,
): Problem | undefined {
  const about = { source: describeTarget(target), path: "" };
  if (code === tookTooLong) {
    const why = `looking at it took more than ${lookSeconds} s`;
    const fix =
      "see what holds it up there (a network mount that is dead, name servers, a login script)";
    return { ...about, why, fix };
  }
  if (parseFacts(stdout).clock !== undefined) return undefined;
  const said = (stderr || stdout).trim().split("\n").at(-1) || "nothing";
  const why = `it does not run commands (it said: ${said})`;
  return { ...about, why, fix: `give ${target.user ?? "who logs in"} a shell there` };
}

/** What to say where this checkout's state knows nothing of the machines that carry the stack. */
export function strangersProblem(stack: string, machines: readonly string[]): Problem {
  return {
    source: `stack ${stack}`,
    path: "",
    why: `it is on its machines already (${machines.join(", ")}) and the state of this checkout knows nothing of it: another checkout placed it there, or the state (.hastack) was lost`,
    fix: "destroy the stack from the checkout that placed it, or use other machines. If that state is lost for good, install the machines anew",
  };
}

/** How far a clock is off that was read between two moments of ours. */
export function offset(clock: number | undefined, begin: number, end: number): number {
  if (clock === undefined) return 0;
  if (clock > end) return clock - end;
  return clock < begin ? clock - begin : 0;
}

/** Everything that keeps the stack from this machine. */
export function problemsOf(settings: Settings, seen: Seen): Problem[] {
  const found = [
    ...rootProblems(seen),
    ...systemProblems(seen),
    ...memoryProblems(settings, seen),
    ...spaceProblems(settings, seen),
    ...clockProblems(seen),
    ...nameProblems(settings, seen),
    ...addressProblems(settings, seen),
    ...portProblems(settings, seen),
    ...othersProblems(seen),
    ...userProblems(seen),
    ...memberProblems(seen),
    ...storageProblems(settings, seen),
    ...ownerProblems(settings, seen),
    ...wayProblems(settings, seen),
  ];
  return found.map((one) => ({ source: describeTarget(seen.target), path: "", ...one }));
}

/** A problem of the machine that is looked at. */
type Found = Pick<Problem, "why" | "fix">;

/** A release is built once, for all machines that run it. */
export function architectureProblems(all: readonly Seen[]): Problem[] {
  const run = all.filter(runsRelease);
  const kinds = new Set(run.map(({ facts }) => facts.architecture));
  if (kinds.size < 2) return [];
  const list = run.map(({ target, facts }) => `${target.name} (${facts.architecture})`);
  return [
    {
      path: "machines",
      why: `${list.join(" and ")} have different processors and run the same release`,
      fix: "put the application's tiers on machines of one architecture",
    },
  ];
}

function runsRelease({ machine }: Seen): boolean {
  return machine.roles.some((name) => !isRole(name));
}

/** What sudo says under `requiretty`. A call has no terminal: it would mix what is said into its output. */
const wantsTerminal = /must have a tty/;

function rootProblems({ target, facts: { notRoot } }: Seen): Found[] {
  if (notRoot === undefined) return [];
  const { user: who = "who logs in" } = target;
  const into = (line: string) => `put the line \`${line}\` into /etc/sudoers.d/hastack there`;
  const name = target.user ?? "USER";
  const fix =
    notRoot === noSudo
      ? `install it there, or let hastack:machines.${target.name}.user be root`
      : wantsTerminal.test(notRoot)
        ? into(`Defaults:${name} !requiretty`)
        : into(`${name} ALL=(ALL) NOPASSWD: ALL`);
  return [{ why: `${who} cannot become root (${notRoot})`, fix }];
}

function systemProblems({ facts }: Seen): Found[] {
  const { system, architecture = "unknown", otherInit } = facts;
  const problems: Found[] = [];
  if (system?.id !== "debian" || system.version !== "13") {
    const title = system ? system.title || `${system.id} ${system.version}` : "an unknown system";
    problems.push({ why: `it runs ${title}`, fix: "install Debian 13 (trixie) there" });
  }
  if (!(architecture in architectures)) {
    problems.push({
      why: `its processor is ${architecture}`,
      fix: "use a machine with x86_64 or aarch64",
    });
  }
  if (otherInit !== undefined) {
    problems.push({ why: `its process 1 is ${otherInit}`, fix: "let it boot with systemd" });
  }
  return problems;
}

function memoryProblems({ database }: Settings, { machine, facts }: Seen): Found[] {
  const buffers = machine.roles.includes("database") ? database.sharedBuffersMegabytes : 0;
  const wanted = Math.max(leastMemory, buffers * memoryPerBuffers);
  const { memoryMegabytes: there = wanted } = facts;
  if (there >= wanted) return [];
  const fix =
    wanted === leastMemory
      ? "give it more"
      : "give it more, or make hastack:database.sharedBuffersMegabytes smaller";
  return [{ why: `it has ${there} MiB of memory and needs ${wanted}`, fix }];
}

/** Whether a role's things are on its machine already. */
function holds(
  settings: Settings,
  { planned, facts: { placed, ownStorage } }: Seen,
  role: string,
): boolean {
  const stores = storageDriver(settings).roles.some((one) => one === role);
  return planned.some(
    (member) => member.role === role && (stores ? ownStorage : isPlaced(member, placed)),
  );
}

/** Whether a member is there, be it by its former name. */
function isPlaced({ name, formerName = name }: Member, placed: readonly string[]): boolean {
  return placed.includes(name) || placed.includes(formerName);
}

function holdsAll(settings: Settings, seen: Seen): boolean {
  return seen.machine.roles.every((role) => holds(settings, seen, role));
}

/** The largest need on each file system. */
function spaceProblems(settings: Settings, seen: Seen): Found[] {
  const { machine, facts } = seen;
  const worst = new Map<string, Found>();
  const needs = [
    { ...packagesNeed, inUse: holdsAll(settings, seen) },
    ...machine.roles.flatMap((role) =>
      needsOf(role, settings).map((need) => ({ ...need, inUse: holds(settings, seen, role) })),
    ),
  ].sort((one, other) => other.megabytes - one.megabytes);
  for (const { path, what, megabytes, inUse } of needs) {
    const there = facts.space.get(path);
    const wanted = inUse ? leastSpaceInUse : megabytes;
    if (there === undefined || there.freeMegabytes >= wanted || worst.has(there.mount)) continue;
    worst.set(there.mount, {
      why: `its file system ${there.mount} has ${there.freeMegabytes} MiB free and ${what} (${path}) must have ${wanted}`,
      fix: "make room there",
    });
  }
  return [...worst.values()];
}

/** What visitors can fill, on a file system of what stops without room. */
export function sharedDiskWarnings(
  settings: Settings,
  { target, machine, facts }: Seen,
): Problem[] {
  const needs = machine.roles.filter(isRole).flatMap((role) => needsOf(role, settings));
  const name = ({ what, path }: DiskNeed) => `${what} (${path})`;
  return needs
    .filter(({ filled }) => filled)
    .flatMap((store) => {
      const mount = facts.space.get(store.path)?.mount;
      const others = needs.filter(
        ({ filled, path }) =>
          !filled && mount !== undefined && facts.space.get(path)?.mount === mount,
      );
      if (others.length === 0) return [];
      const { driver, reservePercent } = settings.storage;
      // An NFS server gives all that there is
      const left =
        store.path === backupDirectory
          ? "what backups do not take (hastack:backup.retentionDays, hastack:backup.spoolMegabytes)"
          : driver === "nfs"
            ? "nothing"
            : `${reservePercent} per cent of it and no more (hastack:storage.reservePercent)`;
      return [
        {
          source: describeTarget(target),
          path: "",
          why: `its file system ${mount} holds ${name(store)} beside ${others.map(name).join(" and ")}, to which the former leave ${left}`,
          fix: `give ${store.path} a file system of its own`,
        },
      ];
    });
}

function clockProblems({ clockOffset }: Seen): Found[] {
  const seconds = Math.abs(clockOffset);
  if (seconds <= clockTolerance) return [];
  const direction = clockOffset > 0 ? "ahead of" : "behind";
  return [
    {
      why: `its clock is ${Math.round(seconds)} s ${direction} yours`,
      fix: "set it, and keep it right by a time service such as systemd-timesyncd",
    },
  ];
}

function nameProblems(settings: Settings, seen: Seen): Found[] {
  const { unknownNames, hostName = "" } = seen.facts;
  return unknownNames.flatMap((name) => {
    if (name === hostName) {
      return [
        {
          why: `it does not know its own name ${name}`,
          fix: `add the line \`127.0.1.1 ${name}\` to its /etc/hosts`,
        },
      ];
    }
    // What is installed needs nothing from there
    return holdsAll(settings, seen)
      ? []
      : [
          {
            why: `it cannot resolve ${name} (its packages come from there)`,
            fix: "mend its name servers (/etc/resolv.conf), or name a proxy to apt",
          },
        ];
  });
}

function addressProblems({ network }: Settings, { machine, facts }: Seen): Found[] {
  const there = facts.addresses;
  const problems = (["frontend", "backend", "management"] as const).flatMap((name) => {
    const address = machine[name];
    return address === undefined || there.includes(address)
      ? []
      : [
          {
            why: `it has no address ${address} (it has ${there.join(", ") || "none"})`,
            fix: `give it that one, or set hastack:machines.${machine.name}.${name}`,
          },
        ];
  });
  if (machine.roles.includes("loadBalancer")) return problems;
  const held = [network.frontend.vip, network.backend.vip].filter((vip) => there.includes(vip));
  return [
    ...problems,
    ...held.map((vip) => ({
      why: `it has the virtual IP ${vip} and is not a load balancer`,
      fix: "take it off its interface",
    })),
  ];
}

/** Ports of its roles that others hold: not the stack's own units, nor what keeps its files. */
function portProblems(settings: Settings, seen: Seen): Found[] {
  const { machine, planned, facts } = seen;
  const { listeners, notRoot } = facts;
  if (listeners === undefined) {
    return notRoot === undefined
      ? [{ why: "its ports cannot be looked at: ss is missing", fix: "install iproute2 there" }]
      : [];
  }
  const told = new Set<string>();
  const ofOthers = machine.roles.flatMap((role) =>
    portsOf({ role, ...planned.find((member) => member.role === role) })
      .filter((port) => isUsed(settings, port))
      .flatMap((port) =>
        listeners.filter((one) => one.port === port && !isOwn(settings, seen, one)),
      )
      .filter(({ port, program }) => {
        const known = told.has(`${port} ${program}`);
        told.add(`${port} ${program}`);
        return !known;
      })
      .map((one) => ({
        why: `port ${one.port} (${role}) is taken by ${one.program}${ofUnit(one)} at ${one.place}`,
        fix: `end it there${ofUnit(one) ? `: systemctl disable --now ${one.unit}` : ", or have it use another port"}`,
      })),
  );
  return [...ofOthers, ...ownPortProblems(seen)];
}

/** Debian's services of what a role runs: two of them would share sockets, addresses or ports. */
const servicesOf: Readonly<Partial<Record<string, RegExp>>> = {
  loadBalancer: /^(haproxy|keepalived)\.service$/,
  quorum: /^etcd\.service$/,
  database: /^(patroni|postgresql@.*)\.service$/,
  cache: /^valkey-server\.service$/,
};

/** What its owner runs there, or will from the next boot on; whose port is taken is told by that. */
function othersProblems({ machine, facts: { othersUnits = [], listeners = [] } }: Seen): Found[] {
  return machine.roles.flatMap((role) =>
    othersUnits
      .filter((unit) => servicesOf[role]?.test(unit))
      .filter(
        (unit) =>
          !listeners.some((one) => one.unit === unit && portsOf({ role }).includes(one.port)),
      )
      .map((unit) => ({
        why: `its ${unit} is not the stack's and runs, or will from the next boot on (${role} runs one of its own)`,
        fix: `use another machine for ${role}, or switch it off: systemctl disable --now ${unit}`,
      })),
  );
}

/**
 * Ports of tiers that another unit of the stack holds: new units start before the old ones of a tier
 * that goes are stopped.
 */
function ownPortProblems({ planned, facts: { listeners = [], placed } }: Seen): Found[] {
  return planned
    .filter(({ role }) => !isRole(role))
    .flatMap(({ name, role, port, formerName = name }) => {
      const holders = listeners.filter((one) => one.port === port).map(tierOf);
      return [...new Set(holders)]
        .filter((holder) => holder !== undefined && ![role, kind(formerName)].includes(holder))
        .map((holder = "") => {
          const goes =
            placed.some((there) => kind(there) === holder) &&
            !planned.some((member) => member.role === holder);
          const fix = `give ${role} another port in hastack.yaml`;
          return {
            why: `port ${port} (${role}) is held by ${holder} of this stack while ${name} is made`,
            fix: goes
              ? `write formerly: ${holder} in hastack.yaml if ${role} is its new name, or else ${fix}`
              : fix,
          };
        });
    });
}

/** Whose program or proxy a unit of the stack runs, if it is the stack's. */
function tierOf({ unit = "" }: Listener): string | undefined {
  const [, process] = /^hastack-(.*)\.service$/.exec(unit) ?? [];
  return process && tierOfProcess(process);
}

function isUsed({ certificate, smtp }: Settings, port: number): boolean {
  if (port === ports.https) return certificate !== undefined;
  return port === ports.mail ? smtp !== undefined : true;
}

function isOwn(settings: Settings, { facts }: Seen, listener: Listener): boolean {
  const { unit = "" } = listener;
  return (
    unit.startsWith("hastack-") || storageDriver(settings).tolerates(listener, facts.ownStorage)
  );
}

/** The service that a program belongs to, if it can be stopped by that. */
function ofUnit({ unit }: Listener): string {
  return unit?.endsWith(".service") ? ` of ${unit}` : "";
}

/** Owners of shared files go by their numbers. */
function userProblems({ facts: { userOfId = user, idOfUser = userId } }: Seen): Found[] {
  const problems: Found[] = [];
  if (userOfId !== user) {
    problems.push({
      why: `its user ${userOfId} has the number ${userId} (shared files take it for ${user})`,
      fix: `give ${userOfId} another one (usermod --uid)`,
    });
  }
  if (idOfUser !== userId) {
    problems.push({
      why: `its user ${user} has the number ${idOfUser} (shared files want ${userId})`,
      fix: "rename or remove that user",
    });
  }
  return problems;
}

/** A machine is one stack's; its removal would take the other's things along. */
function ownerProblems({ stack }: Settings, { facts }: Seen): Found[] {
  const [owner = stack] = (facts.owner ?? "").split(" ").filter(Boolean);
  return owner === stack
    ? []
    : [
        {
          why: `it belongs to the stack ${owner}`,
          fix: "take that away first, or use another machine",
        },
      ];
}

/**
 * Members are counted in the machines' order. One that gets another number would meet the units and
 * the data of the one that is there. One that is planned there no longer goes by this very run.
 */
function memberProblems({ planned, facts: { placed } }: Seen): Found[] {
  return planned
    .filter((member) => !isPlaced(member, placed))
    .flatMap(({ name, formerName = name }) =>
      placed
        .filter((there) => [kind(name), kind(formerName)].includes(kind(there)))
        .map((there) => ({
          why: `it is ${there} and would become ${name}`,
          fix: "keep the order of hastack:machines, and add new ones at the end",
        })),
    );
}

/** Files that instances have made stay where they are when they are to be mounted from elsewhere. */
function storageProblems(settings: Settings, { facts }: Seen): Found[] {
  const driver = storageDriver(settings);
  return [...facts.shared]
    .filter(([name, source]) => source !== driver.source(name))
    .map(([name, source]) => ({
      why: `its ${name} are mounted from ${source}, and would be from ${driver.source(name)}: files do not move by themselves`,
      fix: "take the settings back, or move the files first (docs/operate.md, Another place for shared files)",
    }));
}

/** `etcd` of `etcd-2`. */
const kind = (member: string): string => member.replace(/-\d+$/, "");
