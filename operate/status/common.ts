/** What every member and machine is asked: processes, certificates' ends, mounted directories, disks. */
import { X509Certificate } from "node:crypto";
import { sharedPath } from "../../infra/application/environment.ts";
import { certificateFile } from "../../infra/render/haproxy.ts";
import { isRole, releaseNeed, roleRow } from "../../infra/roles.ts";
import type { Member } from "../../infra/topology.ts";
import { isInstance } from "../act/named.ts";
import type { OperatedStack } from "../stack.ts";
import { type Answer, hangs } from "./ask.ts";
import { type Asked, restartFix } from "./kind.ts";
import type { Finding } from "./picture.ts";

/** `up` renews what ends within 120 days, so this is seen only where nobody ran it for months. */
const endsSoonDays = 30;
/** Debian's file systems keep 5 % for root; PostgreSQL and etcd stop when theirs is full. */
const nearlyFullPercent = 90;

/** Whether a member is made of processes of the stack's own; storage is Debian's. */
export const hasFolder = ({ role }: Member): boolean => !/^(brick|arbiter|nfs)$/.test(role);

/**
 * Lines `PROCESS STATE`, as the supervisor says: `up`; `stopped`, as somebody asked for; `held`, where no boot starts
 * it, either; any other where it should run and does not.
 */
const supervisors = {
  docker: `for service in services/*/; do
  service=\${service%/}
  case $(s6-svstat -o up,wantedup "$service") in
    true*) state=up ;;
    *false) state=stopped ;;
    *) state=down ;;
  esac
  [ $state = up ] || [ ! -e "$service/down" ] || state=held
  echo "\${service##*/} $state"
done`,
  ssh: `for unit in units/*.service; do
  state=$(systemctl is-active "\${unit##*/}") || :
  case $state in
    active) state=up ;;
    inactive | failed)
      # A process may end badly when it is stopped, too
      [ "$state" = failed ] || state=stopped
      systemctl is-enabled --quiet "\${unit##*/}" || state=held
      ;;
  esac
  name=\${unit##*/hastack-}
  echo "\${name%.service} $state"
done`,
};

/** The certificates themselves, each behind its file's name; no key, which may be in the same file. */
const certificates = `set -- tls/*
[ ! -e ${certificateFile} ] || set -- "$@" ${certificateFile}
awk '/-BEGIN CERTIFICATE-/ { print "file " FILENAME; inside = 1 }
inside
/-END CERTIFICATE-/ { inside = 0 }' "$@"`;

/** Whether shared directories are mounted there: the backup member copies them. */
const hasShared = (stack: OperatedStack, member: Member): boolean =>
  isInstance(stack, member) || member.role === "backup";

/** Questions to a member besides its kind's. */
export function commonQuestions(stack: OperatedStack, member: Member): Record<string, string> {
  if (!hasFolder(member)) return {};
  const mounted = stack.application.shared.map((name): [string, string] => {
    const path = sharedPath(name);
    // Reads what is mounted there, so that a server that is gone is seen
    return [`mount-${name}`, `mountpoint -q ${path} && stat -f ${path} && ls ${path} > /dev/null`];
  });
  return {
    processes: supervisors[stack.settings.platform],
    certificates,
    ...(hasShared(stack, member) && Object.fromEntries(mounted)),
  };
}

export interface Certificate {
  readonly file: string;
  readonly end: Date;
}

/** Of a chain, all its certificates, as the first one to end breaks it. */
export function readCertificates(answer: Answer | undefined): Certificate[] {
  const parts = (answer?.text ?? "").split(/^file /m).slice(1);
  return parts.flatMap((part) => {
    const [, file = "", text = ""] = /^(\S+)\n(-----BEGIN .*)$/s.exec(part) ?? [];
    try {
      return [{ file, end: new X509Certificate(text).validToDate }];
    } catch {
      return [];
    }
  });
}

/** @param answerTo the member's answers by question */
export function commonFindings(
  stack: OperatedStack,
  member: Member,
  answerTo: (question: string) => Answer | undefined,
  now: Date,
): Finding[] {
  if (!hasFolder(member)) return [];
  return [
    ...processFindings(member, answerTo("processes")),
    ...certificateFindings(member, answerTo("certificates"), now),
    ...(hasShared(stack, member)
      ? stack.application.shared.flatMap((name) =>
          mountFindings(stack, member, name, answerTo(`mount-${name}`)),
        )
      : []),
  ];
}

/** Each process and its state. */
const readProcesses = (answer: Answer | undefined): string[][] =>
  (answer?.text ?? "")
    .split("\n")
    .filter((line) => /^\S+ \S+$/.test(line))
    .map((line) => line.split(" "));

/** Whether `npm run stop` holds all processes of a member. */
export function isHeld(one: Asked): boolean {
  const processes = readProcesses(one.answer("processes"));
  return processes.length > 0 && processes.every(([, state]) => state === "held");
}

function processFindings(member: Member, answer: Answer | undefined): Finding[] {
  const processes = readProcesses(answer);
  if (processes.length === 0)
    return [
      {
        state: "unknown",
        what: `its processes cannot be told (${hangs(answer) ? "no answer in time" : answer?.text.trim()})`,
        should: "the supervisor tells them",
        fix: `npm run shell -- ${member.name} to look`,
      },
    ];
  return processes
    .filter(([, state]) => state !== "up")
    .map(([name, state]) => ({
      state: "down",
      what: `the process ${name} is ${state === "held" ? "stopped, and no boot starts it" : state}`,
      should: "it runs",
      fix: state === "held" ? "npm run resume" : restartFix(member),
      ...(name === "keepalived" && state === "stopped" && { since: "drain" as const }),
    }));
}

/** The site's own certificate apart: it is the operator's to renew. */
function certificateFindings({ name }: Member, answer: Answer | undefined, now: Date): Finding[] {
  const known = readCertificates(answer);
  if (known.length === 0)
    return [
      {
        state: "unknown",
        what: "its certificates cannot be told",
        should: "they can be read",
        fix: `ask again; npm run shell -- ${name} to look into tls`,
      },
    ];
  const soon = known
    .map(({ file, end }) => ({ file, end, days: daysTo(end, now) }))
    .filter(({ days }) => days < endsSoonDays)
    .toSorted((a, b) => a.days - b.days);
  return [
    soon.filter(({ file }) => file === certificateFile),
    soon.filter(({ file }) => file !== certificateFile),
  ].flatMap((group): Finding[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { file, end, days } = first;
    const others =
      group.length > 1 ? `, and ${group.length - 1} more within ${endsSoonDays} days` : "";
    const when = `${days < 0 ? "has ended" : `ends in ${days} days`} (${end.toISOString().slice(0, 10)})`;
    return [
      {
        state: days < 0 ? "down" : "degraded",
        what: `the certificate ${file} ${when}${others}`,
        should: `${endsSoonDays} days are left`,
        fix:
          file === certificateFile
            ? "give the stack the site's new one, then npx pulumi up"
            : "npx pulumi up renews it",
      },
    ];
  });
}

/** Whole days from now; negative once it is past. */
export const daysTo = (end: Date, now: Date): number =>
  Math.floor((end.getTime() - now.getTime()) / 86_400_000);

function mountFindings(
  { settings }: OperatedStack,
  { machine }: Member,
  name: string,
  answer: Answer | undefined,
): Finding[] {
  if (answer?.code === 0) return [];
  const unit = `systemctl restart hastack-${name}`;
  return [
    {
      state: "down",
      what: `the shared directory ${sharedPath(name)} ${hangs(answer) ? "does not answer" : "is not mounted"}`,
      should: "it is mounted, and can be read",
      fix: settings.platform === "docker" ? "npx pulumi up" : `on ${machine}: ${unit}`,
    },
  ];
}

/** Question to a machine as a whole. */
export function diskQuestion({ settings }: OperatedStack, members: readonly Member[]): string {
  const needs = members.flatMap(({ role }) => (isRole(role) ? roleRow(role).disk : []));
  const releases = settings.platform === "ssh" ? [releaseNeed.path] : [];
  const paths = ["/", ...releases, ...needs.map(({ path }) => path)];
  return `df -Pk ${[...new Set(paths)].join(" ")} 2> /dev/null`;
}

export interface Disk {
  readonly mount: string;
  readonly percent: number;
}

/** The file systems, each once, that `df -P` lists. */
export function readDisks(answer: Answer | undefined): Disk[] {
  const lines = (answer?.text ?? "").matchAll(/^\S.*\s(\d+)% (\/.*)$/gm);
  const disks = new Map([...lines].map(([, percent, mount = ""]) => [mount, Number(percent)]));
  return [...disks].map(([mount, percent]) => ({ mount, percent }));
}

export function diskFindings(machine: string, answer: Answer | undefined): Finding[] {
  return readDisks(answer)
    .filter(({ percent }) => percent >= nearlyFullPercent)
    .map(({ mount, percent }) => ({
      state: "degraded",
      what: `${machine}: ${mount} is ${percent} % full`,
      should: `below ${nearlyFullPercent} %`,
      fix: "make room, or give it a larger disk",
    }));
}
