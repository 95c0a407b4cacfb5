/** What the programs of a stack wrote in their logs while something failed, and the stages of an outage in it. */
import type { Member } from "../../infra/topology.ts";
import { readLogs } from "../logs/logs.ts";
import type { NamedLine } from "../logs/merge.ts";
import type { OperatedStack } from "../stack.ts";
import type { Event, Stage } from "./proof.ts";

/** Lines that tell of a change, by the program that writes them. What is between the brackets is shown. */
const telling: readonly { readonly program: Event["program"]; readonly pattern: RegExp }[] = [
  {
    program: "Patroni",
    pattern:
      /(?:INFO|WARNING|ERROR): ((?:promoted self|demot|Demoting|acquired session|continue to run as a leader because failsafe|Lock owner: None|following a different leader|starting as|failed to update leader|server is being promoted|switchover).*)/,
  },
  {
    program: "PostgreSQL",
    pattern:
      /LOG: {2}((?:received promote request|database system is ready to accept (?!read-only)|database system was|received (?:fast|immediate) shutdown|terminating walsender|standby "\S+" is now a synchronous|started streaming|selected new timeline).*)/,
  },
  { program: "HAProxy", pattern: /((?:Backup )?Server \S+ is (?:UP|DOWN).*?)(?:\. \d+ active|$)/ },
  { program: "keepalived", pattern: /(\(\w+\) Entering (?:MASTER|BACKUP|FAULT) STATE)/ },
  {
    program: "etcd",
    pattern:
      /"msg":"([0-9a-f]+ (?:became leader|became candidate|lost leader|elected leader)[^"]*)"/,
  },
];

/** @returns nothing for what tells of no change */
export function eventIn({ name, text, time }: NamedLine, since: number): Event | undefined {
  for (const { program, pattern } of telling) {
    const [, said] = pattern.exec(text) ?? [];
    if (said === undefined) continue;
    const at = (Date.parse(time) - since) / 1000;
    return { at, member: name, program, text: said.slice(0, 200) };
  }
  return undefined;
}

/** More than there are in any run, of a machine that says what it likes. */
const mostEvents = 1000;

/** What is the same several times within this is shown once, seconds. */
const sameWithin = 5;

/** @param since milliseconds since 1970 */
export async function eventsSince(
  stack: OperatedStack,
  members: readonly Member[],
  since: number,
): Promise<Event[]> {
  const options = {
    since: Math.floor(since / 1000),
    follow: false,
    signal: AbortSignal.timeout(30_000),
  };
  const events: Event[] = [];
  for await (const line of readLogs(stack, members, options)) {
    if (events.length >= mostEvents) break;
    const event = eventIn(line, since);
    if (event === undefined || event.at < 0) continue;
    const isSame = events.some(
      (one) =>
        one.member === event.member && one.text === event.text && event.at - one.at < sameWithin,
    );
    if (!isSame) events.push(event);
  }
  return events;
}

/** What each stage begins with. The first success is the clients' own. */
const stagePatterns: readonly {
  readonly name: Exclude<Stage["name"], "first success">;
  readonly pattern: RegExp;
}[] = [
  {
    name: "noticed",
    pattern: /Server primary\S* is DOWN|Entering MASTER STATE|Lock owner: None|demot/i,
  },
  { name: "decided", pattern: /promoted self|acquired session lock|Entering MASTER STATE/ },
  { name: "promoted", pattern: /received promote request|selected new timeline/ },
  { name: "rerouted", pattern: /Server primary\S* is UP/ },
];

/**
 * @param brokenAt seconds since the measurement began
 * @param firstSuccess of writes, after the longest time without one, in the same seconds
 */
export function stagesOf(
  events: readonly Event[],
  brokenAt: number,
  firstSuccess: number,
): Stage[] {
  const found = stagePatterns.flatMap(({ name, pattern }): Stage[] => {
    const event = events.find(({ at, text }) => at >= brokenAt && pattern.test(text));
    return event && event.at <= firstSuccess ? [{ name, seconds: event.at - brokenAt }] : [];
  });
  return [...found, { name: "first success", seconds: firstSuccess - brokenAt }];
}
