/**
 * What an operation would leave if it ended half-way: noted on the stack before it changes anything, so that
 * the next command undoes it where this one cannot any more.
 */
import { z } from "zod";
import { readJson } from "../json.ts";
import type { OperatedStack } from "../stack.ts";
import type { Holder } from "./lock.ts";
import { callStore, encoded, foundIn, granted, putOf, storePrefix } from "./store.ts";

export const leftKey = `${storePrefix}left`;

/** Each once: whoever has a member of the database may have written this, and machines are asked side by side. */
const members = z.array(z.string()).transform((names) => [...new Set(names)]);

const undo = z.discriminatedUnion("do", [
  /** Gives members of the application or the database requests again, at every load balancer. */
  z.object({ do: z.literal("undrain"), members }),
  /** Starts what is stopped of a member's processes. */
  z.object({ do: z.literal("start"), members }),
  /** Has Patroni fail over by itself again. */
  z.object({ do: z.literal("resume") }),
  /** Starts the whole stack. */
  z.object({ do: z.literal("raise") }),
  /** Has the data from before a restore serve again, where restored data was on its way into its place. */
  z.object({ do: z.literal("former-data") }),
  /** Mends what `prove` has broken, and removes the database and the files that it has made. */
  z.object({ do: z.literal("remove-proof") }),
]);
/** One thing that is put back. It must be safe to do it where nothing is to be done. */
export type Undo = z.output<typeof undo>;

const noted = z.object({
  what: z.string(),
  operator: z.string(),
  since: z.string(),
  id: z.string(),
  undo: z.array(undo),
  /** Whether it ended well and this is how it is to stay, until `resume`: a stack that is stopped. */
  stays: z.boolean().optional(),
});
export type Left = z.output<typeof noted>;

/** What a command that is no more has left. @throws NoStore */
export async function whatIsLeft(stack: OperatedStack): Promise<Left | undefined> {
  const [answer] = await callStore(stack, [["kv/range", { key: encoded(leftKey) }]]);
  const [found] = foundIn(granted(answer));
  if (found === undefined) return undefined;
  return readLeft(found.value);
}

/** @throws for what only another release knows to undo */
export function readLeft(text: string): Left {
  const left = readJson(text, noted);
  if (left !== undefined) return left;
  throw new Error(
    `another release of hastack was cut off here, which left ${text.slice(0, 500)}: run any operation of that one`,
  );
}

export async function noteLeft(
  stack: OperatedStack,
  { what, operator, since, id }: Holder,
  list: readonly Undo[],
  stays?: true,
): Promise<void> {
  const value = putOf(leftKey, { what, operator, since, id, undo: list, stays });
  granted((await callStore(stack, [["kv/put", value]]))[0]);
}

export async function clearLeft(stack: OperatedStack): Promise<void> {
  granted((await callStore(stack, [["kv/deleterange", { key: encoded(leftKey) }]]))[0]);
}

/** For people. */
export function describeUndo(one: Undo): string {
  if (one.do === "resume") return "resume automatic failover";
  if (one.do === "raise") return "start the whole stack";
  if (one.do === "former-data") return "have the data from before the restore serve";
  if (one.do === "remove-proof")
    return "mend what npm run prove broke, and remove its database and files";
  return `${one.do} ${one.members.join(", ")}`;
}
