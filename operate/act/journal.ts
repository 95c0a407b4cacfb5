/** The journal: what was done to a stack, when, by whom, and how it went. It lies beside the lock. */
import { z } from "zod";
import { readJson } from "../json.ts";
import type { OperatedStack } from "../stack.ts";
import type { Holder } from "./lock.ts";
import { below, callStore, encoded, foundIn, granted, putOf, storePrefix } from "./store.ts";

export const journalPrefix = `${storePrefix}journal/`;

/** So many entries stay, of some 300 bytes each; etcd keeps up to 2 GiB. */
const keptEntries = 1000;

const entry = z.object({
  operator: z.string(),
  what: z.string(),
  /** ISO 8601. */
  since: z.string(),
  /** ISO 8601. @default it has not ended, or was cut off */
  until: z.string().optional(),
  outcome: z.enum(["done", "failed", "undone"]).optional(),
  /** What it did, or why it failed. */
  result: z.string().optional(),
});
export type Entry = z.output<typeof entry>;

/** Entries of the journal, without those that cannot be read: they hide no other. */
export const readEntries = (texts: readonly string[]): Entry[] =>
  texts.map((text) => readJson(text, entry)).filter((one) => one !== undefined);

/** Of what a member said at the end, which it may have made as long as it likes: etcd takes no more than 1.5 MB. */
const keptCharacters = 2000;

/** By time, and by operation where two have the same. */
const keyOf = ({ since, id }: Pick<Holder, "since" | "id">) => `${journalPrefix}${since}-${id}`;

/** Notes an operation; a second note of the same one takes the place of the first. @throws NoStore */
export async function note(
  stack: OperatedStack,
  holder: Pick<Holder, "operator" | "what" | "since" | "id">,
  end: Pick<Entry, "until" | "outcome" | "result"> = {},
): Promise<void> {
  const { operator, what, since } = holder;
  const result = end.result?.slice(0, keptCharacters);
  const [answer] = await callStore(stack, [
    ["kv/put", putOf(keyOf(holder), { operator, what, since, ...end, result })],
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
  return readEntries(foundIn(granted(answer)).map(({ value }) => value));
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
