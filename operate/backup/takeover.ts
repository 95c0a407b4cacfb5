/**
 * Restored data takes the place of the stack's, and gives it back. Each step may be cut off: what is to be done
 * next is told by the note in etcd and by what lies on the machines, so that either way can be gone again.
 */
import type { WantedDatabase } from "../../infra/render/principals.ts";
import { secondsSince } from "../act/plan.ts";
import {
  acceptScript,
  asideScript,
  discardScript,
  endScript,
  giveRolesScript,
  isAsideScript,
  keepRolesScript,
  putBackScript,
  swapScript,
} from "./data.ts";
import type { Hands } from "./hands.ts";
import type { Phase, RestoreNote } from "./note.ts";
import { Failed } from "./request.ts";

/** PostgreSQL writes out what it holds when it stops. */
const stopSeconds = 660;
/** A copy is recovered before it is the primary. */
const rolesSeconds = 360;

const at = (note: RestoreNote, phase: Phase, more: Partial<RestoreNote> = {}): RestoreNote => ({
  ...note,
  ...more,
  phase,
  since: new Date().toISOString(),
});

async function stopDatabase(hands: Hands, order: readonly string[], signal?: AbortSignal) {
  for (const member of order) {
    signal?.throwIfAborted();
    hands.say(`stopping ${member}`);
    await hands.stop(member);
  }
}

/**
 * The copy takes the place of the data that serves. Where it does not get to its end, `putBack` is next.
 * @param primary who is it now: it is stopped last
 * @param wanted what the application wants of its database now
 * @returns the note that it wrote last: the restored data serves
 */
export async function takePlace(
  hands: Hands,
  note: RestoreNote,
  primary: string,
  wanted: WantedDatabase,
  signal: AbortSignal,
): Promise<RestoreNote> {
  const { target, id } = note;
  const standbys = hands.members.filter((one) => one !== primary);
  const each = async (steps: readonly (() => Promise<unknown>)[]) => {
    for (const step of steps) {
      signal.throwIfAborted();
      await step();
    }
  };
  await each([
    () => hands.on(target, keepRolesScript, "keep the roles"),
    () => hands.note(at(note, "swapping", { primary })),
    () => hands.marks("set"),
    // Without a standby the primary serves on
    () => stopDatabase(hands, standbys, signal),
  ]);
  const started = performance.now();
  await each([
    () => stopDatabase(hands, [primary], signal),
    // All that was acknowledged has been received by now
    () => Promise.all([hands.receive("stop"), hands.forgetCluster()]),
    () => hands.on(target, swapScript(id), "put the restored data in place"),
    // From its first start on it is no copy any more
    () => hands.note(at(note, "swapping", { primary, served: true })),
    () => hands.release(target),
    () => hands.on(target, giveRolesScript(wanted), "give the roles", rolesSeconds),
    () => hands.leads(target, signal),
  ]);
  hands.say(
    `${target} serves the restored data; the database stood still for ${secondsSince(started)}`,
  );
  const serves = at(note, "serves", { primary, served: true });
  await hands.note(serves);
  return serves;
}

/** What came of it once the restored data serves. */
export interface Completed {
  /** What the backup member said of the files. @default it did that before */
  readonly files?: Readonly<Record<string, unknown>>;
  /** Why files could not be brought back: that can be tried again. */
  readonly filesFailed?: string;
}

/**
 * All that is still to be done once the restored data serves: the standby, the files, and backups of what is now.
 * Safe to run again.
 */
export async function complete(
  hands: Hands,
  note: RestoreNote,
  signal: AbortSignal,
): Promise<Completed> {
  let now = note;
  const once = async (what: RestoreNote["done"][number], does: () => Promise<unknown>) => {
    if (now.done.includes(what)) return;
    signal.throwIfAborted();
    await does();
    now = { ...now, done: [...now.done, what] };
    await hands.note(now);
  };
  let completed: Completed = {};
  const bringFiles = async () => {
    hands.say("bringing files back that its rows name");
    completed = { files: await hands.ask({ do: "bring-files" }, signal) };
  };
  // Visitors miss the files: they come before the backup that the member begins of itself
  const [received, files, standbys] = await Promise.allSettled([
    // It is recorded as a history of its own within seconds, by itself or by `newLineage`
    hands.receive("start"),
    once("files", bringFiles),
    copyStandbys(hands, note, signal),
  ]);
  if (standbys.status === "rejected") throw standbys.reason;
  if (received.status === "rejected") throw received.reason;
  if (files.status === "rejected") {
    // What is written now must be backed up all the same
    if (!(files.reason instanceof Failed)) throw files.reason;
    completed = { filesFailed: files.reason.message };
  }
  await once("lineage", () => newLineage(hands));
  if (completed.filesFailed === undefined)
    await once("discard", () => hands.ask({ do: "discard" }, signal));
  hands.say("waiting until the database is a pair again");
  await hands.whole(signal);
  if (completed.filesFailed === undefined) await hands.note(at(now, "waits"));
  return completed;
}

/** Has the other members take the restored data from the one that serves it. */
async function copyStandbys(hands: Hands, { target }: RestoreNote, signal: AbortSignal) {
  for (const member of hands.members.filter((one) => one !== target)) {
    signal.throwIfAborted();
    if (!(await hands.isHeld(member))) continue;
    // Held as it was when it was stopped, or cut off behind the moving
    if (!(await hands.holds(member, isAsideScript))) {
      await hands.on(member, endScript, "stop PostgreSQL", stopSeconds);
      await hands.on(member, asideScript, "move its data aside");
    }
    hands.say(`${member} is copied from ${target}`);
    await hands.release(member);
  }
}

/** Backups of another history begin: log of one never gets among that of the other. */
async function newLineage(hands: Hands): Promise<void> {
  hands.say("beginning backups of this history, with a full one");
  await hands.ask({ do: "lineage" });
}

/** What says whether anything of the database was touched. */
async function isTouched(hands: Hands): Promise<boolean> {
  for (const member of hands.members)
    if ((await hands.isHeld(member)) || (await hands.holds(member, isAsideScript))) return true;
  return false;
}

/** Has the former data serve again. Safe to run again. @returns the note that it wrote last */
export async function putBack(hands: Hands, note: RestoreNote): Promise<RestoreNote> {
  if (note.phase === "back") return note;
  const touched = await isTouched(hands);
  const undoing = at(note, "undoing");
  await hands.note(undoing);
  if (touched) await swapBack(hands, undoing);
  const back = at(undoing, "back");
  await hands.note(back);
  return back;
}

/** All that is still to be done once the former data serves again. Safe to run again. */
export async function settle(hands: Hands, note: RestoreNote): Promise<void> {
  await hands.marks("remove");
  await hands.receive("start");
  // The restored history may have been recorded by itself
  if (note.served) await newLineage(hands);
  // The copy is whole still where it never served
  await hands.note(note.served ? undefined : at(note, "copied"));
}

async function swapBack(hands: Hands, note: RestoreNote): Promise<void> {
  const { id, target, primary = target } = note;
  const first = hands.members.includes(primary) ? primary : hands.members[0];
  if (first === undefined) throw new Error("no machine of the database is there");
  await stopDatabase(
    hands,
    [...hands.members.filter((one) => one !== target), target].filter((one) =>
      hands.members.includes(one),
    ),
  );
  await hands.forgetCluster();
  for (const member of hands.members) {
    const script = putBackScript(id, member === target, member === first);
    await hands.on(member, script, "put the former data back");
  }
  await hands.release(first);
  await hands.leads(first);
  hands.say(`${first} serves the data from before the restore`);
  for (const member of hands.members.filter((one) => one !== first)) await hands.release(member);
  await hands.whole();
}

/** The restored data stays: the former goes, and applications remove files again. Safe to run again. */
export async function accept(hands: Hands, note: RestoreNote): Promise<void> {
  // From here on there is no way back
  await hands.note(at(note, "accepting"));
  for (const member of hands.members)
    await hands.on(member, acceptScript, "remove the former data", stopSeconds);
  await hands.marks("remove");
  await hands.note(undefined);
}

/** What lies ready goes, and nothing of the stack changes. Safe to run again. */
export async function discard(hands: Hands): Promise<void> {
  for (const member of hands.members)
    await hands.on(member, discardScript, "remove the copy", stopSeconds);
  await hands.ask({ do: "discard" });
  await hands.note(undefined);
}
