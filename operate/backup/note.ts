/**
 * How far a restore in the stack's place has come. It is noted in the stack's etcd before each change, so that
 * any operator's next command can go on, or put the former data back.
 */
import { z } from "zod";
import { patroniPrefix } from "../../infra/render/etcd.ts";
import {
  below,
  callStore,
  encoded,
  foundIn,
  granted,
  putOf,
  readValue,
  type StoreCall,
  storePrefix,
} from "../act/store.ts";
import type { OperatedStack } from "../stack.ts";
import { inBoth, newest } from "./moment.ts";

export const restoreKey = `${storePrefix}restore`;

/**
 * `copied`: a copy of the restored data lies ready, the stack is as it was. `swapping`: the database is down
 * while data is moved. `serves`: the restored data serves, and something is still to be done. `waits`: all is
 * done, and it waits for the operator's word. `undoing`: the database is down while data is moved back.
 * `back`: the former data serves, and something is still to be done. `accepting`: the former data is removed.
 */
const phases = ["copied", "swapping", "serves", "waits", "undoing", "back", "accepting"] as const;
export type Phase = (typeof phases)[number];

/** Members' names become words of shell texts. */
const memberName = z.string().regex(/^[a-z0-9-]{1,63}$/);

export const noteShape = z.object({
  /** Of this restore; the copy has it, too. */
  id: z.string().regex(/^[0-9a-f]{14}$/),
  operator: z.string(),
  /** ISO 8601: when this phase began. */
  since: z.string(),
  /** The moment that was asked for, ISO 8601, or `newest`. */
  to: z.string(),
  /** Its last commit, ISO 8601. @default not told */
  reached: z.string().optional(),
  phase: z.enum(phases),
  /** The database member that has the copy. */
  target: memberName,
  /** The member that was the primary when the database was stopped. @default it was not yet */
  primary: memberName.optional(),
  /** Whether the restored data has ever served. @default it has not */
  served: z.boolean().optional(),
  /** What is done of that which is done once the restored data serves. */
  done: z.array(z.enum(["files", "lineage", "discard"])).default([]),
});
export type RestoreNote = z.output<typeof noteShape>;

/** @throws NoStore, or for what only another release can read */
export async function readNote(stack: OperatedStack): Promise<RestoreNote | undefined> {
  const [answer] = await callStore(stack, [["kv/range", { key: encoded(restoreKey) }]]);
  const [found] = foundIn(granted(answer));
  return found && readValue(found.value, noteShape, "restore");
}

/** @param note nothing takes it away */
export async function writeNote(
  stack: OperatedStack,
  note: RestoreNote | undefined,
): Promise<void> {
  const [answer] = await callStore(stack, [
    note === undefined
      ? ["kv/deleterange", { key: encoded(restoreKey) }]
      : ["kv/put", putOf(restoreKey, note)],
  ]);
  granted(answer);
}

/** Patroni's keys of the stack's cluster. */
const clusterPrefix = `${patroniPrefix}hastack/`;
/** What all members have agreed on is the stack's, and no data's. */
const kept = `${clusterPrefix}config`;

/**
 * Has etcd know of no cluster: who led it, which data it had. Only while no Patroni runs.
 * @throws where etcd does not do it
 */
export const forgetCluster = (stack: OperatedStack): Promise<void> =>
  forgetClusterBy((calls) => callStore(stack, calls));

/** @param call etcd */
export async function forgetClusterBy(
  call: (calls: readonly StoreCall[]) => Promise<readonly unknown[]>,
): Promise<void> {
  const { key, range_end } = below(clusterPrefix);
  const answers = await call([
    ["kv/deleterange", { key, range_end: encoded(kept) }],
    // The next key after that one
    ["kv/deleterange", { key: encoded(`${kept}\0`), range_end }],
  ]);
  for (const one of answers) granted(one);
}

/** For people: a moment that was asked for. */
export const describeMoment = (to: string): string =>
  to === newest ? "the newest moment there is" : inBoth(to);

/** For people: what to do about a restore that has not come to its end. */
export function howToGoOn({ phase, to }: Pick<RestoreNote, "phase" | "to">): string {
  const which = `the restore to ${describeMoment(to)}`;
  if (phase === "waits")
    return `${which} serves in the stack's place and waits: npm run restore -- --accept keeps it, --undo puts the former data back`;
  if (phase === "serves")
    return `${which} serves in the stack's place, and is not complete: npm run restore -- --in-place goes on, --undo puts the former data back`;
  if (phase === "accepting")
    return `${which} serves in the stack's place for good, and the former data is not all removed: npm run restore -- --accept goes on`;
  return `${which} was cut off: npm run restore -- --undo has the former data serve`;
}
