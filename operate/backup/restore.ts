/** Restores: beside the stack, in its place, back again, for good. */

import type { Application } from "../../infra/application/application.ts";
import type { WantedDatabase } from "../../infra/render/principals.ts";
import { backupDirectory } from "../../infra/roles.ts";
import type { Member } from "../../infra/topology.ts";
import { present } from "../../infra/topology.ts";
import { holderOf } from "../act/lock.ts";
import { listed } from "../act/named.ts";
import { agreed } from "../act/operation.ts";
import { askCluster, type Cluster, leaderOf } from "../act/patroni.ts";
import { type Plan, Refusal, say, secondsSince, Unfinished } from "../act/plan.ts";
import { NoStore } from "../act/store.ts";
import { folderOf } from "../folder.ts";
import { memberNamed, type OperatedStack, stackOption } from "../stack.ts";
import { sizeOf } from "../status/kind.ts";
import { copyTo } from "./copy.ts";
import { isCopiedScript, pathOf, readRoom, roomScript, roomWanted } from "./data.ts";
import { textOfDifferences } from "./differences.ts";
import { type Hands, handsOn } from "./hands.ts";
import { backupMember, onBackup, stateFile } from "./member.ts";
import { inBoth, newest } from "./moment.ts";
import { describeMoment, howToGoOn, type RestoreNote, readNote } from "./note.ts";
import { noteBegin } from "./noted.ts";
import { GoesOn, request } from "./request.ts";
import { type Restored, readState } from "./shapes.ts";
import { accept, complete, discard, putBack, settle, takePlace } from "./takeover.ts";

/** What is restored beside the stack now, if anything. */
async function restoredNow(stack: OperatedStack): Promise<Restored | undefined> {
  return readState("restored", await stateFile(stack, "restored"));
}

/** @throws Refusal where another restore is in the stack's place, or on its way */
function noOther(note: RestoreNote | undefined): void {
  if (note !== undefined && note.phase !== "copied") throw new Refusal(howToGoOn(note));
}

/** Restores beside the stack. @returns what it is like @throws as requests do */
async function restoreBeside(
  stack: OperatedStack,
  to: string,
  signal?: AbortSignal,
): Promise<Restored> {
  say(`restoring beside the stack: ${describeMoment(to)}`);
  await request(stack, { do: "restore", to }, { ...(signal && { signal }) });
  const restored = await restoredNow(stack);
  if (restored?.phase === "beside") return restored;
  throw new Error(
    `the backup member says nothing of what it has restored${restored?.why ? `: ${restored.why}` : ""}; npm run logs -- backup`,
  );
}

/** `restore --beside`: the stack is not touched. @returns for people */
export async function beside(
  stack: OperatedStack,
  to: string,
  signal: AbortSignal,
): Promise<string> {
  backupMember(stack);
  try {
    noOther(await readNote(stack));
  } catch (error) {
    if (!(error instanceof NoStore)) throw error;
    say("whether another restore waits cannot be told, as etcd cannot be asked");
  }
  const noteEnd = noteBegin(stack, `restore --beside --to ${to}`);
  let restored: Restored;
  try {
    restored = await restoreBeside(stack, to, signal);
  } catch (error) {
    if (!(error instanceof GoesOn))
      await noteEnd({ outcome: "failed", result: (error as Error).message });
    throw error;
  }
  await noteEnd({ outcome: "done", result: `restored up to ${inBoth(restored.reached ?? "?")}` });
  const more = stackOption(stack.name);
  return `${textOfDifferences(restored)}
Look at it by SQL:      npm run sql -- --restored${more}
It takes the place of the stack's data, after a question:
                        npm run restore -- --in-place${more}
Take it away again:     npm run restore -- --discard${more}`;
}

/** The primary, where all other members follow it. @throws Refusal */
export function wholeCluster(cluster: Cluster, members: readonly Pick<Member, "name">[]): string {
  if (cluster.pause)
    throw new Refusal(
      "automatic failover is paused, and PostgreSQL would not stop: npm run resume first",
    );
  const primary = leaderOf(cluster)?.name;
  if (primary === undefined) throw new Refusal("there is no primary: npm run status");
  const away = members.filter(
    ({ name }) =>
      name !== primary && cluster.members.find((one) => one.name === name)?.state !== "streaming",
  );
  if (away.length > 0)
    throw new Refusal(
      `${listed(away)} does not follow the primary: mend it first (npm run status), or put its machine into hastack:absent`,
    );
  return primary;
}

/** @throws Refusal where the machines of the database have no room for the restored data beside theirs */
async function hasRoom(stack: OperatedStack, hands: Hands): Promise<number> {
  const text = await onBackup(stack, `du -sk ${backupDirectory}/restored | cut -f1`, {
    limitSeconds: 120,
  });
  const kilobytes = Number(text.trim());
  if (!Number.isFinite(kilobytes) || text.trim() === "")
    throw new Error(`the size of what is restored cannot be told: ${text.slice(0, 200)}`);
  const wanted = roomWanted(kilobytes);
  for (const member of hands.members) {
    const { free, former } = readRoom(await hands.on(member, roomScript, "look at its room", 120));
    if (former)
      throw new Refusal(
        `${member}: ${pathOf("before")} is there, which an earlier restore has left: look at it, and remove it`,
      );
    if (free < wanted)
      throw new Refusal(
        `${member}: the restored data needs ${sizeOf(wanted * 1024)} beside the data that is there, and ${sizeOf(free * 1024)} are free: make room, or give it a larger disk`,
      );
  }
  return kilobytes;
}

/** What the application wants of its database now. */
export function wantedOf({
  tiers,
  database,
}: Pick<Application, "tiers" | "database">): WantedDatabase {
  const withJobs = tiers.filter(({ jobs }) => jobs.length > 0);
  return {
    roles: tiers.map(({ databaseRole }) => databaseRole),
    extensions: database.extensions,
    jobs: Object.fromEntries(
      withJobs.map(({ databaseRole, jobs }) => [databaseRole, jobs.map(({ name }) => name)]),
    ),
  };
}

/** Whether a copy that lies ready is of what is restored beside now. */
const isOf = (note: RestoreNote | undefined, { to, reached }: Restored): note is RestoreNote =>
  note?.phase === "copied" && note.to === to && note.reached === reached;

/**
 * `restore --in-place`: restores beside where that is not done, shows it, and asks.
 * @param to the moment @default what is restored beside already
 * @throws Refusal
 */
export async function planInPlace(
  stack: OperatedStack,
  to: string | undefined,
  yes: boolean,
): Promise<Plan> {
  backupMember(stack);
  const note = await readNote(stack);
  if (note?.phase === "serves" && (to === undefined || to === note.to))
    return planRest(stack, note);
  noOther(note);
  const members = present(stack.topology.members.database);
  wholeCluster(await askCluster(stack), members);
  const there = await restoredNow(stack);
  const isThere = there?.phase === "beside" || there?.phase === "promoted";
  if (to === undefined && !isThere)
    throw new Refusal("nothing is restored beside the stack: say --to TIME, too");
  const isIt = isThere && (to === undefined || isSame(to, there.to));
  const restored = isIt ? there : await restoreBeside(stack, to ?? newest);
  process.stdout.write(`${textOfDifferences(restored)}\n`);
  const hands = handsOn(stack);
  const kilobytes = await hasRoom(stack, hands);
  const absent = stack.topology.members.database.filter((one) => one.absent);
  return {
    costs: [
      `First ${sizeOf(kilobytes * 1024)} are copied to the primary's machine, while the stack serves on. Then you are asked once more, and the site stands still for a minute or so.`,
      `What was written after ${inBoth(restored.reached ?? "?")} is not in the database then. It stays beside until you say --accept; until then --undo puts it back.`,
      ...(absent.length > 0
        ? [`${listed(absent)}: absent, and brought to the restored data when it is back.`]
        : []),
    ],
    question: `Take the place of the database of ${stack.name} by this?`,
    undo: [{ do: "former-data" }],
    run: (signal) => inPlace(stack, hands, { restored, note, kilobytes, yes }, signal),
  };
}

/** Digits of a second do not make another moment; the newest is another one each time. */
const isSame = (to: string, there: string | null | undefined): boolean =>
  to !== newest && Date.parse(to) === Date.parse(there ?? "");

interface Wanted {
  readonly restored: Restored;
  readonly note: RestoreNote | undefined;
  readonly kilobytes: number;
  readonly yes: boolean;
}

async function inPlace(
  stack: OperatedStack,
  hands: Hands,
  { restored, note, kilobytes, yes }: Wanted,
  signal: AbortSignal,
): Promise<string> {
  const copied =
    isOf(note, restored) && (await hands.holds(note.target, isCopiedScript(note.id)))
      ? note
      : await copy(stack, hands, restored, kilobytes, signal);
  const now = "The copy is there. Stop the database, and have the restored data serve?";
  if (!(await agreed(now, yes)))
    return `nothing is changed. ${pathOf("restored")} of ${copied.target} stays: npm run restore -- --in-place asks again, --discard removes it`;
  const members = present(stack.topology.members.database);
  const primary = wholeCluster(await askCluster(stack), members);
  const serves = await takePlace(hands, copied, primary, wantedOf(stack.application), signal);
  return rest(hands, serves, signal);
}

/** Has the restored database take replication, and copies it. @returns the note of it */
async function copy(
  stack: OperatedStack,
  hands: Hands,
  { to, reached }: Restored,
  kilobytes: number,
  signal: AbortSignal,
): Promise<RestoreNote> {
  const target = wholeCluster(await askCluster(stack), present(stack.topology.members.database));
  await hands.ask({ do: "promote" }, signal);
  const { id, operator, since } = holderOf("restore");
  const member = memberNamed(stack, target);
  const { backend } = backupMember(stack);
  await copyTo(
    stack,
    member,
    { folder: folderOf(stack, member), from: backend, id, kilobytes },
    signal,
  );
  const note: RestoreNote = {
    id,
    operator,
    since,
    to: to ?? newest,
    ...(reached !== undefined && { reached }),
    phase: "copied",
    target,
    done: [],
  };
  await hands.note(note);
  return note;
}

/** The end of one that serves. */
async function rest(hands: Hands, note: RestoreNote, signal: AbortSignal): Promise<string> {
  try {
    const { files, filesFailed } = await complete(hands, note, signal);
    if (filesFailed !== undefined) throw new Error(filesFailed);
    return `the data of ${describeMoment(note.to)} serves${describeFiles(files)}.
Look at the site. Applications remove no file until then:
  npm run restore -- --accept   keeps it, and removes the former data
  npm run restore -- --undo     puts the former data back`;
  } catch (error) {
    throw new Unfinished(
      `the restored data serves, but not all is done: ${(error as Error).message}. npm run restore -- --in-place goes on, --undo puts the former data back`,
    );
  }
}

function describeFiles(files: Readonly<Record<string, unknown>> | undefined): string {
  if (files === undefined) return "";
  const brought = typeof files.brought === "number" ? files.brought : 0;
  const missing = Array.isArray(files.missing) ? files.missing.map(String) : [];
  const but =
    missing.length === 0 ? "" : `, and these are nowhere: ${missing.slice(0, 20).join(", ")}`;
  return `; ${brought} files were brought back${but}`;
}

function planRest(stack: OperatedStack, note: RestoreNote): Plan {
  const hands = handsOn(stack);
  return {
    costs: [`${howToGoOn(note)}. This does the rest.`],
    run: (signal) => rest(hands, note, signal),
  };
}

/** `restore --undo`. @throws Refusal where there is nothing to undo */
export async function planUndo(stack: OperatedStack): Promise<Plan> {
  const note = await readNote(stack);
  if (note === undefined || note.phase === "copied")
    throw new Refusal("no restore is in the stack's place, so there is nothing to undo");
  if (note.phase === "accepting") throw new Refusal(howToGoOn(note));
  const cluster = await askCluster(stack).catch((): Cluster => ({ members: [] }));
  if (cluster.pause)
    throw new Refusal(
      "automatic failover is paused, and PostgreSQL would not stop: npm run resume first",
    );
  const hands = handsOn(stack);
  const isBack = note.phase === "back";
  return {
    costs: isBack
      ? ["The former data serves already. This does the rest."]
      : [
          "The site stands still for a minute or so while the former data is put back.",
          `What was written since ${inBoth(note.since)} is not in it; it stays in ${pathOf("undone")} of ${note.target} until the next restore, or --discard.`,
        ],
    ...(isBack
      ? {}
      : {
          question: "Put the data from before the restore back?",
          undo: [{ do: "former-data" as const }],
        }),
    async run() {
      const started = performance.now();
      const back = await putBack(hands, note);
      try {
        await settle(hands, back);
      } catch (error) {
        throw new Unfinished(
          `the former data serves, but not all is done: ${(error as Error).message}. npm run restore -- --undo goes on`,
        );
      }
      return `the data from before the restore serves, after ${secondsSince(started)}.
What was restored is in ${pathOf("undone")} of ${note.target} until the next restore; npm run restore -- --discard removes it`;
    },
  };
}

/** `restore --accept`. @throws Refusal where nothing waits for it */
export async function planAccept(stack: OperatedStack): Promise<Plan> {
  const note = await readNote(stack);
  if (note === undefined || note.phase === "copied")
    throw new Refusal("no restore is in the stack's place, so there is nothing to accept");
  const isAccepted = note.phase === "accepting";
  const isServed =
    note.phase === "waits" || (note.phase === "serves" && note.done.includes("lineage"));
  if (!isServed && !isAccepted) throw new Refusal(howToGoOn(note));
  const hands = handsOn(stack);
  return {
    costs: [
      `The data from before the restore is removed for good: what was written after ${inBoth(note.reached ?? note.to)} and before the restore is then in backups only. Applications remove files again.`,
      ...(note.phase === "serves" ? [howToGoOn(note)] : []),
    ],
    question: "Keep the restored data for good?",
    async run() {
      await accept(hands, note);
      return "the restored data is kept, the former is removed";
    },
  };
}

/** `restore --discard`. @throws Refusal where the restored data serves */
export async function planDiscard(stack: OperatedStack): Promise<Plan> {
  backupMember(stack);
  noOther(await readNote(stack));
  const hands = handsOn(stack);
  return {
    costs: ["What is restored beside the stack is removed. The stack is not touched."],
    async run() {
      await discard(hands);
      return "what was restored beside the stack is removed";
    },
  };
}
