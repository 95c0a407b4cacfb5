/** One fault, once: load, the fault, until all is as before, and then everything is read back and judged. */
import { setTimeout as sleep } from "node:timers/promises";
import { sharingGroup } from "../../infra/application/names.ts";
import { allMembers, type Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { replicates } from "../act/whole.ts";
import type { OperatedStack } from "../stack.ts";
import type { Picture } from "../status/picture.ts";
import { lookAt } from "../status/status.ts";
import { fewOfEach, findingsIn } from "./check/check.ts";
import { type Access, emptyTables, type Kept, positionAtPrimary, readBack } from "./database.ts";
import { eventsSince, stagesOf } from "./events.ts";
import { type Fault, outlast, promisedAt, type Struck, strandedAt, strike } from "./fault.ts";
import { isRead, type Operation } from "./history.ts";
import { uploadsFolder } from "./leftovers.ts";
import { Load } from "./load/load.ts";
import type { Site } from "./load/pages.ts";
import { missingFiles } from "./load/uploads.ts";
import type { Event, Promised, Run, Violation } from "./proof.ts";
import { Relays } from "./relays.ts";
import { lookSeconds, type Scene, sceneOf } from "./scene.ts";
import { longestGap, seenOf, seriesOf } from "./seen.ts";
import { notWatched, overlapsOf, readWatch, startWatch, type Watched } from "./watch.ts";

/** Logins to look at each machine have their processors busy: nothing is measured until that is over. */
const calmSeconds = 4;
/** Before the fault, and after all is as before. */
const quietSeconds = 4;
/** A standby that has to be made anew takes longest. */
const wholeSeconds = 240;
/** All files together; one takes milliseconds. */
const readBackSeconds = 120;
/** No run is longer: watches end by themselves. */
const longestSeconds = 400;

export interface RunContext {
  readonly stack: OperatedStack;
  readonly site: Site;
  readonly access: Access;
  readonly signal: AbortSignal;
}

/** Roles and subjects whose state has no part in what is promised here. */
const besides = ["backup", "kit", "disks", "certificates", "operations"];

/** What is not as it should be, of members and of what only several of them together can do. */
export const notWhole = ({ members, subjects }: Pick<Picture, "members" | "subjects">): string[] =>
  [
    ...members.filter(({ role, state }) => state !== "ok" && !besides.includes(role)),
    ...subjects.filter(({ name, findings }) => findings.length > 0 && !besides.includes(name)),
  ].map(({ name, findings }) => `${name}: ${findings.map(({ what }) => what).join("; ")}`);

/** Waits until every member is as it should be. @throws with those that are not */
export async function whole(
  stack: OperatedStack,
  signal: AbortSignal,
  limitSeconds = wholeSeconds,
): Promise<Picture> {
  return until("every member is as it should be (npm run status)", {
    probe: () => lookAt(stack),
    done: (picture) => notWhole(picture).length === 0,
    describe: (picture) => notWhole(picture).join("; "),
    limitSeconds,
    intervalSeconds: lookSeconds,
    signal,
  });
}

/** What happened, and when, in milliseconds since the load began. */
interface Times {
  readonly broken: number;
  readonly mended?: number;
  /** When the members of the database were as before; absent where they were not in time. */
  readonly whole?: number;
}

/** What a run found, and what was promised of the fault at the stack as it was then. */
export interface Outcome {
  readonly run: Run;
  readonly promised: Promised;
}

/** @throws where the stack is not whole before, or what was broken could not be mended */
export async function runOnce(context: RunContext, fault: Fault): Promise<Outcome> {
  const { stack, signal } = context;
  const scene = await sceneOf(stack, await whole(stack, signal));
  await emptyTables(stack);
  const [relays, fileRelays] = await startAll(stack);
  const { database } = stack.topology.members;
  try {
    await Promise.all(database.map((one) => startWatch(stack, one, longestSeconds)));
    await sleep(calmSeconds * 1000, undefined, { signal });
    const run = await measured(context, scene, fault, [relays, fileRelays]);
    return { run, promised: promisedAt(scene, fault) };
  } finally {
    await Promise.all(database.map((one) => readWatch(stack, one)));
    relays.end();
    fileRelays.end();
  }
}

/** Load, the fault, and a look at what is left of both. */
async function measured(
  context: RunContext,
  scene: Scene,
  fault: Fault,
  [relays, fileRelays]: readonly [Relays, Relays],
): Promise<Run> {
  const { stack, site, access, signal } = context;
  const load = new Load({
    site,
    ways: waysOf(stack, access, relays),
    folder: uploadsFolder(stack),
    fileRelays: () => fileRelays.there,
  });
  try {
    await sleep(quietSeconds * 1000, undefined, { signal });
    const { struck, times } = await suffer(context, scene, fault, load, (machines) => {
      for (const one of [relays, fileRelays]) one.spare(machines);
    });
    await sleep(quietSeconds * 1000, undefined, { signal });
    const end = load.now();
    const { operations, whyVoid } = await load.end();
    const notWhole = await whole(stack, signal).then(
      () => undefined,
      (error: Error) => error.message,
    );
    signal.throwIfAborted();
    const { database } = stack.topology.members;
    const watched = await Promise.all(database.map((one) => readWatch(stack, one)));
    const missing = await filesReadBack(stack, operations);
    const happened = {
      fault,
      load,
      struck,
      times,
      operations,
      watched,
      missing,
      end,
      whyVoid,
      notWhole,
    };
    return await judged(context, happened);
  } finally {
    await load.end({ now: true });
  }
}

/** By a way of its own: those that clients had may have been lost with their machines. */
async function filesReadBack(
  stack: OperatedStack,
  operations: readonly Operation[],
): Promise<Violation[]> {
  if (uploadsFolder(stack) === undefined) return [];
  try {
    const relays = await Relays.start(stack, sharingGroup);
    try {
      const deadline = performance.now() + readBackSeconds * 1000;
      return await missingFiles(operations, relays.next(), deadline);
    } finally {
      relays.end();
    }
  } catch (error) {
    return [{ rule: "not read back", what: (error as Error).message }];
  }
}

/** Those of connections, and those of files: root would follow the links of whoever may write there. */
async function startAll(stack: OperatedStack): Promise<[Relays, Relays]> {
  const relays = await Relays.start(stack);
  try {
    return [relays, await Relays.start(stack, sharingGroup)];
  } catch (error) {
    relays.end();
    throw error;
  }
}

function waysOf({ topology }: OperatedStack, access: Access, relays: Relays) {
  const members = allMembers(topology);
  return {
    access,
    vip: topology.network.backend.vip,
    relay: () => relays.next(),
    memberAt: (address: string) =>
      members.find(({ role, backend }) => role === "database" && backend === address)?.name ??
      address,
  };
}

/** Breaks it, waits, mends it, and waits until all is as before. */
async function suffer(
  { stack, signal }: RunContext,
  scene: Scene,
  fault: Fault,
  load: Load,
  spare: (machines: readonly string[]) => void,
): Promise<{ struck: Struck; times: Times }> {
  spare(strandedAt(scene, fault));
  const hits: number[] = [];
  const struck = await strike(scene, fault, () => hits.push(load.now()));
  const broken = hits[0] ?? load.now();
  let mended: number | undefined;
  try {
    await outlast(scene, fault, signal);
  } finally {
    await struck.mend?.();
    if (struck.mend) mended = load.now();
  }
  const { database } = stack.topology.members;
  // A watch ends with its machine
  await Promise.all(
    database
      .filter(({ name }) => struck.members.some((one) => one.name === name))
      .map((one) => startWatch(stack, one, longestSeconds)),
  );
  // Asked of Patroni alone: a look at everything would take the processors from what is measured
  const isWhole = await replicates(stack, database.length, wholeSeconds, signal, lookSeconds).then(
    () => true,
    () => false,
  );
  signal.throwIfAborted();
  const whole = isWhole ? load.now() : undefined;
  return {
    struck,
    times: {
      broken,
      ...(mended !== undefined && { mended }),
      ...(whole !== undefined && { whole }),
    },
  };
}

interface Happened {
  readonly fault: Fault;
  readonly load: Load;
  readonly struck: Struck;
  readonly times: Times;
  readonly operations: readonly Operation[];
  readonly watched: readonly Watched[];
  /** Of files. */
  readonly missing: readonly Violation[];
  readonly end: number;
  readonly whyVoid: string | undefined;
  readonly notWhole: string | undefined;
}

async function judged({ stack }: RunContext, happened: Happened): Promise<Run> {
  const { load, struck, times, operations, watched, missing, end, whyVoid, notWhole } = happened;
  const { fault } = happened;
  const { kept, notRead } = await allReadBack(stack);
  const told = await eventsSince(stack, loggers(stack), load.began);
  const events = [...told, ...ownEvents(fault, struck, times)];
  const seconds = end / 1000;
  const span = [quietSeconds * 1000, end] as const;
  const gap = longestGap(
    operations.filter(({ kind }) => !isRead(kind)),
    span,
  );
  const { violations, checked, undecided } = findingsIn(operations, kept);
  const isVoid = whyVoid ?? undecided;
  return {
    at: new Date(load.began).toISOString(),
    seconds,
    brokenAt: times.broken / 1000,
    ...(times.mended !== undefined && { mendedAt: times.mended / 1000 }),
    ...(times.whole !== undefined && { wholeAt: times.whole / 1000 }),
    members: struck.members.map(({ name }) => name),
    ...(isVoid !== undefined && { void: isVoid }),
    reads: seenOf(operations, true, span),
    writes: seenOf(operations, false, span),
    violations: fewOfEach([
      ...violations,
      ...missing,
      ...notRead,
      ...notWatched(watched),
      ...(notWhole === undefined ? [] : [{ rule: "not whole again", what: notWhole }]),
    ]),
    stages: gap.seconds > 0.5 ? stagesOf(events, times.broken / 1000, gap.end / 1000) : [],
    events,
    series: seriesOf(operations, seconds),
    overlaps: overlapsOf(watched),
    checked,
  };
}

/** What was done from here, beside what programs wrote of it. */
function ownEvents({ what }: Fault, { members }: Struck, { broken, mended }: Times): Event[] {
  return members.flatMap(({ name: member }): Event[] => [
    { at: broken / 1000, member, program: "prove", text: what },
    ...(mended === undefined
      ? []
      : [{ at: mended / 1000, member, program: "prove" as const, text: "it is mended" }]),
  ]);
}

/** A member that did not come back must not hide what the other one has. */
async function allReadBack(stack: OperatedStack) {
  const kept = new Map<string, Kept>();
  const notRead: Violation[] = [];
  const position = await positionAtPrimary(stack).catch((error: Error) => {
    notRead.push({
      rule: "not read back",
      what: `as far as the primary has written: ${error.message}`,
    });
    return undefined;
  });
  const members = stack.topology.members.database;
  await Promise.all(
    members.map(async ({ name }) => {
      try {
        kept.set(name, await readBack(stack, name, position));
      } catch (error) {
        notRead.push({ rule: "not read back", what: (error as Error).message });
      }
    }),
  );
  return { kept, notRead };
}

/** Whose logs tell of an outage. */
function loggers({ topology: { members } }: OperatedStack): readonly Member[] {
  return [...members.loadBalancer, ...members.database, ...members.quorum];
}
