/** How a stack is: all its machines asked at once, and what they say judged. */
import { dockerNames } from "../../infra/platform/docker/names.ts";
import { allMembers, type Member } from "../../infra/topology.ts";
import { allPrintable } from "../../lib/printable.mjs";
import { defaultStack } from "../../scripts/launcher/stack.ts";
import { isBusy, patience } from "../busy.ts";
import { folderOf } from "../folder.ts";
import { judgeKit, type KnownHere, knownHere } from "../kit/judge.ts";
import type { Unreachable } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { type Answers, askMachine, isLate, type Question } from "./ask.ts";
import { backup } from "./backup.ts";
import { balancers, heldBack } from "./balancers.ts";
import { cache } from "./cache.ts";
import {
  commonFindings,
  commonQuestions,
  daysTo,
  diskFindings,
  diskQuestion,
  hasFolder,
  isHeld,
  readCertificates,
  readDisks,
} from "./common.ts";
import { database } from "./database.ts";
import { type DriftBeside, withDrift } from "./drift.ts";
import { instances } from "./instances.ts";
import { type Asked, eachOf, type Judgement, type Kind } from "./kind.ts";
import { explained, judgeOperations, readOperations } from "./operations.ts";
import {
  type Finding,
  type MemberPicture,
  type Picture,
  type State,
  type Subject,
  worst,
  worstOf,
} from "./picture.ts";
import { isHealthy, quorum } from "./quorum.ts";
import { storage } from "./storage.ts";

/** What a machine said, or why it did not. */
export type Said = Answers | Unreachable;

const kinds: readonly Kind[] = [balancers, database, quorum, instances, cache, storage, backup];

function kindOf(stack: OperatedStack, { role }: Member): Kind {
  if (role in stack.topology.tiers) return instances;
  const byRole: Readonly<Record<string, Kind>> = {
    loadBalancer: balancers,
    database,
    quorum,
    cache,
    backup,
  };
  return byRole[role] ?? storage;
}

/** All that a machine is asked. */
export function questionsTo(stack: OperatedStack, machine: string): Question[] {
  const members = allMembers(stack.topology).filter((one) => one.machine === machine);
  const ofMembers = members.flatMap((member) => {
    const folder = hasFolder(member) ? folderOf(stack, member) : "/";
    const all = {
      ...kindOf(stack, member).questions(stack, member),
      ...commonQuestions(stack, member),
    };
    return Object.entries(all).map(([name, command]) => ({
      name: `${member.name}.${name}`,
      folder,
      command,
    }));
  });
  return [...ofMembers, { name: "disk", folder: "/", command: diskQuestion(stack, members) }];
}

/**
 * Asks all machines, and judges. It takes three seconds at most, whatever state they are in; where this
 * machine is too busy for that, who did not answer is asked once more, with patience.
 * @param drift where looks go on @default one look, which does not look for what was changed by hand
 */
export async function lookAt(stack: OperatedStack, drift?: DriftBeside): Promise<Picture> {
  const start = new Date();
  const said = await Promise.all(
    stack.topology.machines.map(async ({ name, absent }): Promise<[string, Said]> => {
      if (absent) return [name, { unreachable: "it is absent" }];
      const questions = questionsTo(stack, name);
      const first = await askMachine(stack, name, questions);
      // What is slow because of this machine is no fault of the stack's
      if (!isBusy() || !isLate(first, questions)) return [name, first];
      return [name, await askMachine(stack, name, questions, patience)];
    }),
  );
  const seconds = (Date.now() - start.getTime()) / 1000;
  return withDrift(judge(stack, new Map(said), start, seconds, knownHere(stack)), drift);
}

/**
 * From what the machines said to what it means.
 * @param here what this checkout knows of a recovery kit @default nothing is told of it
 */
export function judge(
  stack: OperatedStack,
  said: ReadonlyMap<string, Said>,
  at: Date,
  seconds: number,
  here?: KnownHere,
): Picture {
  if ([...said.values()].every(isGone)) return gone(stack, at, seconds);
  const askedOfKind = (kind: Kind) =>
    allMembers(stack.topology)
      .filter((one) => kindOf(stack, one) === kind)
      .map((member) => askedOf(member, said));
  const isStopped = isStoppedStack(askedOfKind(quorum));
  const judged = kinds.flatMap((kind) => {
    const asked = askedOfKind(kind);
    if (asked.length === 0) return [];
    const all = isStopped && asked.every((one) => !one.reached || isHeld(one));
    return [{ kind, asked, ...(all ? stoppedKind(asked) : kind.judge(stack, asked)) }];
  });
  const all = judged.flatMap(({ asked }) => asked);
  const ofRole = (role: string) => all.filter(({ member }) => member.role === role);
  const balancing = ofRole("loadBalancer");
  const operations = readOperations(ofRole("database"));
  const explain = (finding: Finding, member?: Member) =>
    operations ? explained(stack, operations, finding, member) : finding;
  const members = all.map((asked): MemberPicture => {
    const { member } = asked;
    const one = judged.map(({ members }) => members.get(member.name)).find(Boolean);
    const held = heldBack(balancing, stack.topology, member.name);
    if (one === undefined) return lost(stack, member, said.get(member.machine));
    if (isStopped && isHeld(asked)) return silent(member, "down", "stopped");
    const common = commonFindings(stack, member, asked.answer, at);
    const findings = [
      ...common,
      ...one.findings,
      ...(worstOf(one.findings) === "down" ? [] : held),
    ].map((finding) => explain(finding, member));
    const { is, marks = {} } = one;
    return { ...identity(member), state: worstOf(findings), is, findings: few(findings), marks };
  });
  const subjects = [
    ...judged.map((one) =>
      subjectOf(
        { ...one, findings: one.findings.map((finding) => explain(finding)) },
        members.filter(({ name }) => one.asked.some(({ member }) => member.name === name)),
      ),
    ),
    disks(said),
    certificates(all, at),
    isStopped ? stoppedStack : judgeOperations(operations, ofRole("quorum").some(isHealthy)),
  ];
  const kit = here && !isStopped ? judgeKit(stack, operations?.kit, here) : undefined;
  if (kit) subjects.push(kit);
  const state = worst([...members, ...subjects].map((one) => one.state));
  const { name, settings } = stack;
  return allPrintable({
    stack: name,
    platform: settings.platform,
    at: at.toISOString(),
    seconds,
    state,
    subjects: subjects.map((one) => ({ ...one, findings: few(one.findings) })),
    members,
  });
}

/** One that lies may find thousands of things wrong with itself. */
const mostFindings = 20;

function few(findings: readonly Finding[]): readonly Finding[] {
  const rest = findings.slice(mostFindings);
  if (rest.length === 0) return findings;
  const what = `and ${rest.length} more like these`;
  const more: Finding = { state: "degraded", what, should: "none", fix: "see those first" };
  return [...findings.slice(0, mostFindings), more];
}

const identity = ({ name, role, machine }: Member) => ({ name, role, machine });

/** A member of which nothing is known but this. */
const silent = (
  member: Member,
  state: State,
  is: string,
  findings: readonly Finding[] = [],
): MemberPicture => ({ ...identity(member), state, is, findings, marks: {} });

/** `npm run stop` has come to its end: etcd goes last. */
const isStoppedStack = (ofQuorum: readonly Asked[]): boolean =>
  ofQuorum.some(isHeld) && ofQuorum.every((one) => !one.reached || isHeld(one));

/** All that there is to tell of a stack that is stopped. */
const stoppedStack: Subject = {
  name: "operations",
  state: "down",
  is: "the stack is stopped",
  findings: [
    {
      state: "down",
      what: "the whole stack is stopped, by npm run stop; all its data is there",
      should: "it runs",
      fix: "npm run resume",
    },
  ],
};

const stoppedKind = (asked: readonly Asked[]): Judgement => ({
  members: eachOf(asked, () => ({ is: "stopped", findings: [] })),
  is: "stopped",
  findings: [],
});

/** What Docker says of a container that was never made, or was removed. */
const isGone = (said: Said): boolean =>
  "unreachable" in said && /^(No such container|it is absent)/.test(String(said.unreachable));

/** All that there is to tell of a stack of which nothing is there. */
function gone({ name, settings, topology }: OperatedStack, at: Date, seconds: number): Picture {
  const finding: Finding = {
    state: "down",
    what: "none of its containers is there: it was not brought up yet, or was destroyed",
    should: "it runs",
    fix: name === defaultStack ? "npm start" : `npm start -- --stack ${name}`,
  };
  const subject: Subject = { name: "stack", state: "down", is: "not there", findings: [finding] };
  const members = allMembers(topology).map((one) => silent(one, "unreachable", "not there"));
  return {
    stack: name,
    platform: settings.platform,
    at: at.toISOString(),
    seconds,
    state: "down",
    subjects: [subject],
    members,
  };
}

function askedOf(member: Member, said: ReadonlyMap<string, Said>): Asked {
  const answers = said.get(member.machine);
  const reached = answers !== undefined && !("unreachable" in answers);
  return {
    member,
    reached,
    answer: (question) =>
      reached ? (answers as Answers)[`${member.name}.${question}`] : undefined,
  };
}

/** What members are together: not well where one is not, and no better than the best of them. */
function subjectOf(
  { kind, is, findings }: { kind: Kind; is: string; findings: readonly Finding[] },
  members: readonly MemberPicture[],
): Subject {
  const states = members.map(({ state }) => state);
  const most = worst(states);
  const isMild = most === "ok" || most === "unknown" || !states.includes("ok");
  const together = isMild ? most : "degraded";
  return { name: kind.subject, is, findings, state: worst([worstOf(findings), together]) };
}

/** A member whose machine does not answer. */
function lost(stack: OperatedStack, member: Member, said: Said | undefined): MemberPicture {
  if (member.absent) return absent(member);
  const why = said !== undefined && "unreachable" in said ? String(said.unreachable) : "no answer";
  const fix = fixOfLost(stack, member, why);
  // The engine names containers by their hashes, and says what it wanted to do
  const what = /^Container \S+ is (not running|paused)/.test(why)
    ? `its container ${why.includes("paused") ? "is paused" : "does not run"}`
    : why;
  const finding: Finding = { state: "unreachable", what, should: "its machine answers", fix };
  return silent(member, "unreachable", "cannot be asked", [finding]);
}

/** It is known to be lost, and the others do without it. */
function absent(member: Member): MemberPicture {
  const finding: Finding = {
    state: "degraded",
    what: `its machine ${member.machine} is absent (hastack:absent)`,
    should: "it is back",
    fix: `start it, take ${member.machine} out of hastack:absent, npx pulumi up`,
  };
  return silent(member, "degraded", "absent", [finding]);
}

function fixOfLost({ name, settings }: OperatedStack, { machine }: Member, why: string): string {
  if (settings.platform === "ssh")
    return `start the machine ${machine}, or mend its network; it comes back in by itself`;
  const container = dockerNames(name).container(machine);
  if (/Docker daemon/.test(why)) return "start the Docker engine; the stack comes back by itself";
  if (/is paused/.test(why)) return `docker unpause ${container}`;
  if (/No such container/.test(why)) return "npx pulumi up --refresh makes it anew";
  return `docker start ${container}; for one that runs and hangs: docker restart ${container}`;
}

/** The fullest file system. */
function disks(said: ReadonlyMap<string, Said>): Subject {
  const all = [...said].flatMap(([machine, answers]) =>
    "unreachable" in answers ? [] : [{ machine, answer: (answers as Answers).disk }],
  );
  const findings = all.flatMap(({ machine, answer }) => diskFindings(machine, answer));
  const listed = all.flatMap(({ machine, answer }) =>
    readDisks(answer).map((disk) => ({ machine, ...disk })),
  );
  const fullest = listed.toSorted((a, b) => b.percent - a.percent)[0];
  const is = fullest
    ? `the fullest is ${fullest.percent} % full: ${fullest.mount} of ${fullest.machine}`
    : "not told";
  return { name: "disks", is, findings, state: fullest ? worstOf(findings) : "unknown" };
}

/** The first certificate to end. */
function certificates(all: readonly Asked[], at: Date): Subject {
  const known = all.flatMap((one) =>
    readCertificates(one.answer("certificates")).map((certificate) => ({
      ...certificate,
      name: one.member.name,
    })),
  );
  const first = known.toSorted((a, b) => a.end.getTime() - b.end.getTime())[0];
  if (first === undefined)
    return { name: "certificates", is: "not told", findings: [], state: "unknown" };
  const is = `${known.length}, the first to end is ${first.file} of ${first.name}, in ${daysTo(first.end, at)} days`;
  return { name: "certificates", is, findings: [], state: "ok" };
}
