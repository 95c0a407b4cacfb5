/** What operators do to the stack, or did: the lock, the journal, and what a command that was cut off left. */
import { quote } from "../../infra/platform/shell.ts";
import { allMembers, type Member } from "../../infra/topology.ts";
import { type Entry, journalPrefix, readEntries } from "../act/journal.ts";
import { describeHolder, type Holder, isGone, lockKey, readHolder } from "../act/lock.ts";
import { below, encoded, foundIn, readSaid, type StoreCall, storeScript } from "../act/store.ts";
import { describeUndo, leftKey, readLeft } from "../act/undo.ts";
import { howToGoOn, noteShape, restoreKey } from "../backup/note.ts";
import { readJson } from "../json.ts";
import { type KitRecord, kitKey, readRecord } from "../kit/record.ts";
import type { OperatedStack } from "../stack.ts";
import type { Asked } from "./kind.ts";
import type { Finding, Subject } from "./picture.ts";

/** Who drained or paused something is looked for among so many. */
const lastEntries = 40;

/** What the stack's etcd keeps of operations. */
export interface Operations {
  readonly holder?: Holder;
  readonly left?: string;
  /** A restore in the stack's place, or on its way. */
  readonly restore?: string;
  /** The newest first. */
  readonly entries: readonly Entry[];
  /** Of the last recovery kit that was noted. */
  readonly kit?: KitRecord;
}

const calls: readonly StoreCall[] = [
  ["kv/range", { key: encoded(lockKey) }],
  ["kv/range", { key: encoded(leftKey) }],
  [
    "kv/range",
    {
      ...below(journalPrefix),
      sort_target: "KEY",
      sort_order: "DESCEND",
      limit: String(lastEntries),
    },
  ],
  ["kv/range", { key: encoded(restoreKey) }],
  ["kv/range", { key: encoded(kitKey) }],
];

/** Shell text for a member of the database, in the folder of its files. */
export const operationsQuestion = `printf %s ${quote(JSON.stringify(calls))} | ${storeScript("patroni.yml")}`;

/** From the first member of the database that can tell. @returns nothing where none can */
export function readOperations(asked: readonly Asked[]): Operations | undefined {
  for (const one of asked) {
    try {
      const { answers = [] } = readSaid(one.answer("operations")?.text ?? "");
      const [lock, left, journal, restore, kits] = answers.map(foundIn);
      if (lock === undefined || left === undefined || journal === undefined) continue;
      const kit = readRecord(kits?.[0]?.value);
      return {
        ...(kit && { kit }),
        ...(lock[0] && { holder: readHolder(lock[0].value) }),
        ...(left[0] && { left: left[0].value }),
        ...(restore?.[0] && { restore: restore[0].value }),
        entries: readEntries(journal.map(({ value }) => value)),
      };
    } catch {
      // Another member may tell
    }
  }
  return undefined;
}

/** @param isQuorum whether etcd could tell */
export function judgeOperations(known: Operations | undefined, isQuorum: boolean): Subject {
  const name = "operations";
  if (known === undefined)
    return isQuorum
      ? of(name, "not told", {
          state: "unknown",
          what: "no member of the database tells who operates the stack",
          should: "its etcd keeps the lock and the journal",
          fix: "ask again; npm run journal tells why",
        })
      : { name, state: "ok", is: "not told: etcd keeps them, and has no quorum", findings: [] };
  const { holder, left, restore, entries } = known;
  if (holder && !isGone(holder))
    return { name, state: "ok", is: `under way, ${describeHolder(holder)}`, findings: [] };
  if (left) return of(name, "one was cut off", cutOff(left));
  const waiting = restore === undefined ? undefined : waitingRestore(restore);
  if (waiting) return of(name, "a restore waits for a word", waiting);
  const [last] = entries;
  const is = last ? `none under way; the last: ${described(last)}` : "none under way";
  return { name, state: "ok", is, findings: [] };
}

const of = (name: string, is: string, finding: Finding): Subject => ({
  name,
  state: finding.state,
  is,
  findings: [finding],
});

function cutOff(text: string): Finding {
  const should = "an operation ends, or is undone";
  try {
    const { what, operator, since, undo } = readLeft(text);
    return {
      state: "degraded",
      what: `${what} by ${operator} was cut off (it began ${minute(since)} UTC), and left something to do: ${undo.map(describeUndo).join(", ")}`,
      should,
      fix: "the next operation or npx pulumi up does that first; npm run journal",
    };
  } catch (error) {
    return { state: "degraded", what: (error as Error).message, should, fix: "npm run journal" };
  }
}

/** @returns nothing for a copy that only lies ready */
function waitingRestore(text: string): Finding | undefined {
  const should = "a restore in the stack's place is accepted, or undone";
  const note = readJson(text, noteShape);
  const fix = "npm run restore -- --accept, or npm run restore -- --undo";
  if (note === undefined)
    return { state: "degraded", what: "a restore that cannot be read waits", should, fix };
  if (note.phase === "copied") return undefined;
  const what = `${howToGoOn(note)} (by ${note.operator}, since ${minute(note.since)} UTC); applications remove no file meanwhile`;
  return { state: "degraded", what, should, fix };
}

const minute = (iso: string): string => iso.slice(0, 16).replace("T", " ");

const described = ({ what, operator, since, outcome }: Entry): string =>
  `${what}, ${outcome ?? "not ended"}, ${minute(since)} UTC by ${operator}`;

/** What starts processes that were stopped: of the whole stack, or where something is named, only of that. */
const starts = { all: ["rotate", "stop"], named: ["up", "update", "reboot", "restart"] };

/** The finding with who did it on purpose, where the journal tells. */
export function explained(
  { topology }: OperatedStack,
  { entries }: Operations,
  finding: Finding,
  member?: Pick<Member, "name" | "machine" | "role">,
): Finding {
  const { since } = finding;
  if (since === undefined) return finding;
  const words = [since, since === "drain" ? "undrain" : "resume"];
  const isNamed = (names: readonly string[]) =>
    member === undefined || namesOf(topology, member).some((name) => names.includes(name));
  const isAbout = ({ what, outcome }: Entry): boolean => {
    const [word = "", ...names] = what.split(" ");
    return words.includes(word) && isNamed(names) && outcome !== "failed";
  };
  const hasStarted = ({ what, outcome }: Entry): boolean => {
    const [word = "", ...names] = what.split(" ");
    const isMeant = starts.named.includes(word) && (names.length === 0 || isNamed(names));
    return outcome === "done" && (starts.all.includes(word) || isMeant);
  };
  const at = entries.findIndex(isAbout);
  const last = entries[at];
  if (last === undefined || !last.what.startsWith(since) || last.outcome === "undone")
    return finding;
  // An instance's drain is HAProxy's and stays; a load balancer's is a process that is stopped
  if (member?.role === "loadBalancer" && entries.slice(0, at).some(hasStarted)) return finding;
  const what = `${finding.what} (${last.what} by ${last.operator}, ${minute(last.since)} UTC)`;
  const fix = member === undefined ? finding.fix : `npm run undrain -- ${member.name}`;
  // What is meant so is no breakdown
  return { ...finding, state: "degraded", what, fix };
}

/** How an operator may have named it. */
function namesOf(
  topology: OperatedStack["topology"],
  { name, machine }: Pick<Member, "name" | "machine">,
): string[] {
  const isMember = allMembers(topology).some((one) => one.name === machine);
  return isMember ? [name] : [name, machine];
}
