/** The journal: what was done to a stack, when, by whom, and how it went. It lies beside the lock. */
import type { OperatedStack } from "../stack.ts";
import type { Holder } from "./lock.ts";
import { below, callStore, encoded, foundIn, granted, putOf, storePrefix } from "./store.ts";

export const journalPrefix = `${storePrefix}journal/`;

/** So many entries stay, of some 300 bytes each; etcd keeps up to 2 GiB. */
const keptEntries = 1000;

export interface Entry {
  readonly operator: string;
  readonly what: string;
  /** ISO 8601. */
  readonly since: string;
  /** ISO 8601. @default it has not ended, or was cut off */
  readonly until?: string;
  readonly outcome?: "done" | "failed" | "undone";
  /** What it did, or why it failed. */
  readonly result?: string;
}

/** By time, and by operation where two have the same. */
const keyOf = ({ since, id }: Pick<Holder, "since" | "id">) => `${journalPrefix}${since}-${id}`;

/** Notes an operation; a second note of the same one takes the place of the first. @throws NoStore */
export async function note(
  stack: OperatedStack,
  holder: Pick<Holder, "operator" | "what" | "since" | "id">,
  end: Pick<Entry, "until" | "outcome" | "result"> = {},
): Promise<void> {
  const { operator, what, since } = holder;
  const [answer] = await callStore(stack, [
    ["kv/put", putOf(keyOf(holder), { operator, what, since, ...end })],
  ]);
  granted(answer);
  if (end.until !== undefined) await trim(stack);
}

async function trim(stack: OperatedStack): Promise<void> {
  const newest = { sort_target: "KEY", sort_order: "DESCEND", limit: String(keptEntries + 1) };
  const [answer] = await callStore(stack, [
    ["kv/range", { ...below(journalPrefix), keys_only: true, ...newest }],
  ]);
  const tooOld = foundIn(answer)[keptEntries];
  if (tooOld === undefined) return;
  const range_end = encoded(`${tooOld.key}\0`);
  await callStore(stack, [["kv/deleterange", { key: encoded(journalPrefix), range_end }]]);
}

/** All entries, the oldest first. @throws NoStore */
export async function readJournal(stack: OperatedStack): Promise<Entry[]> {
  const [answer] = await callStore(stack, [["kv/range", below(journalPrefix)]]);
  return foundIn(granted(answer)).map(({ value }) => JSON.parse(value) as Entry);
}

const second = (iso: string): string => iso.slice(0, 19).replace("T", " ");

/** One line for people; times are UTC. */
export function describeEntry({
  operator,
  what,
  since,
  until,
  outcome,
  result = "",
}: Entry): string {
  const seconds =
    until === undefined ? "" : `${((Date.parse(until) - Date.parse(since)) / 1000).toFixed(1)} s`;
  const ended = outcome ?? "not ended";
  const first = result.split("\n")[0];
  return [second(since), operator, what, ended, seconds, first]
    .filter((one) => one !== "")
    .join("  ");
}
