/** Who of the database's members takes writes, and who says that it is the primary, seen on their own machines. */
import { readFileSync } from "node:fs";
import { commandLine } from "../../infra/platform/shell.ts";
import { proofName } from "../../infra/render/patroni.ts";
import type { Member } from "../../infra/topology.ts";
import { inRoot } from "../../lib/paths.ts";
import { until } from "../../lib/until.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import type { Overlap, Violation } from "./proof.ts";

const program = readFileSync(inRoot("operate/prove/watch.py"), "utf8");
const fileOf = ({ name }: Member) => `/run/hastack-prove-${name}`;

/** Shell text that ends one, if there is one. */
const ended = (file: string) =>
  `{ [ ! -e ${file}.pid ] || kill -- "-$(cat ${file}.pid)" 2> /dev/null || :; }`;

/**
 * Starts it on a member's machine, where it ends by itself. It can be started again after the machine was.
 * @throws where it could not within half a minute, as a machine that boots takes
 */
export async function startWatch(
  stack: OperatedStack,
  member: Member,
  seconds: number,
): Promise<void> {
  const words = ["python3", "-c", program, proofName, member.name, String(seconds)];
  const command = commandLine(["runuser", "-u", "postgres", "--", ...words]);
  const file = fileOf(member);
  // It is the first of a group of processes, which ends as one
  const started = `setsid sh -c 'echo $$ > ${file}.pid; exec "$@"' sh ${command}`;
  const script = `cd / && ${ended(file)} && { ${started} >> ${file} 2> /dev/null < /dev/null & }`;
  await until(`${member.name} is watched`, {
    probe: () => onMachineOf(stack, member.machine, script, { limitSeconds: 10 }),
    done: (outcome) => !isUnreachable(outcome) && outcome.code === 0,
    describe: (outcome) =>
      isUnreachable(outcome)
        ? outcome.unreachable
        : `code ${outcome.code} ${outcome.stderr.trim()}`,
    limitSeconds: 30,
  });
}

/** What one member was seen to do, as times in milliseconds since 1970. */
export interface Watched {
  readonly member: string;
  readonly primary: readonly number[];
  readonly write: readonly number[];
}

/** Reads what was seen, and takes it away. */
export async function readWatch(stack: OperatedStack, member: Member): Promise<Watched> {
  const file = fileOf(member);
  // Its last line may be cut off
  const script = `${ended(file)}; cat ${file} 2> /dev/null; rm -f ${file} ${file}.pid; date "+%nnow %s.%N"`;
  const limits = { limitSeconds: 20 };
  const asked = Date.now();
  const outcome = await onMachineOf(stack, member.machine, script, limits);
  return readTimes(member.name, isUnreachable(outcome) ? "" : outcome.stdout, [asked, Date.now()]);
}

/** More than there are in any run, of a machine that says what it likes. */
const mostTimes = 20_000;

/** @param between when the text was asked for, and when it was there, by the clock here */
export function readTimes(
  member: string,
  text: string,
  between: readonly [asked: number, answered: number],
): Watched {
  const of = (what: string) =>
    [...text.matchAll(new RegExp(`^${what} (\\d+\\.\\d+)$`, "gm"))]
      .slice(0, mostTimes)
      .map(([, seconds]) => Number(seconds) * 1000);
  const [now = between[0]] = of("now");
  const ahead = aheadBy(now, between);
  const here = (times: readonly number[]) => times.map((at) => at - ahead);
  return { member, primary: here(of("primary")), write: here(of("write")) };
}

/** By how much a machine's clock is ahead of the one here: it says so last of all. What asking takes is no difference. */
function aheadBy(now: number, [asked, answered]: readonly [number, number]): number {
  return now >= asked && now <= answered ? 0 : now - answered;
}

/** Some member took writes before the fault: where none was seen to, nobody was watched. */
export function notWatched(watched: readonly Watched[]): Violation[] {
  if (watched.some(({ write }) => write.length > 0)) return [];
  const names = watched.map(({ member }) => member).join(" and ");
  return [{ rule: "not watched", what: `of ${names} nothing was seen on their machines` }];
}

/**
 * For how long two members did what only one may. One takes over from the other: whoever began later, began
 * before the other's last time.
 */
export function overlapsOf(watched: readonly Watched[]): Overlap[] {
  const [one, other] = watched;
  if (one === undefined || other === undefined) return [];
  const of = (what: Overlap["what"], which: "primary" | "write"): Overlap[] => {
    const milliseconds = together(one[which], other[which]);
    if (milliseconds === 0) return [];
    return [{ what, members: [one.member, other.member], milliseconds }];
  };
  return [...of("accepts writes", "write"), ...of("serves reads as the primary", "primary")];
}

/** Looks that are further apart than this are of two stretches: a member that hung was asked nothing meanwhile. */
const apartMilliseconds = 1000;

/** For how long both were at it, milliseconds; at least one where both were seen to be. */
export function together(one: readonly number[], other: readonly number[]): number {
  const others = stretchesOf(other);
  const both = stretchesOf(one).flatMap(([from, to]) =>
    others.map(([begin, end]) => Math.min(to, end) - Math.max(from, begin)),
  );
  const spans = both.filter((span) => span >= 0).map((span) => Math.max(1, span));
  return Math.round(spans.reduce((sum, span) => sum + span, 0));
}

function stretchesOf(times: readonly number[]): [from: number, to: number][] {
  const stretches: [number, number][] = [];
  for (const at of times) {
    const last = stretches.at(-1);
    if (last && at - last[1] <= apartMilliseconds) last[1] = at;
    else stretches.push([at, at]);
  }
  return stretches;
}
