/** Of what the last kit was made, and when: noted here, and on the stack for other checkouts. */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { inHastack } from "../../lib/paths.ts";
import { writeWhole } from "../../lib/write-whole.ts";
import { callStore, encoded, foundIn, granted, putOf, storePrefix } from "../act/store.ts";
import { readJson } from "../json.ts";
import type { OperatedStack } from "../stack.ts";
import { fingerprintShape } from "./fingerprint.ts";

/** Where it is on the stack. It is no proof: who has a machine of the database may write it. */
export const kitKey = `${storePrefix}kit`;

const recordShape = z.object({
  /** ISO 8601. */
  made: z.string(),
  by: z.string(),
  /** Where it was written, as it was called there. */
  file: z.string(),
  fingerprint: fingerprintShape,
});
export type KitRecord = z.output<typeof recordShape>;

/** @returns nothing where it is none */
export const readRecord = (text: string | undefined): KitRecord | undefined =>
  readJson(text, recordShape);

const recordFile = (stack: string): string => inHastack("kits", `${stack}.json`);

/** The last one that was made in this checkout. */
export function recordHere(stack: string): KitRecord | undefined {
  const file = recordFile(stack);
  return existsSync(file) ? readRecord(readFileSync(file, "utf8")) : undefined;
}

/** The last one that was noted on the stack. @throws NoStore */
export async function recordOnStack(stack: OperatedStack): Promise<KitRecord | undefined> {
  const [answer] = await callStore(stack, [["kv/range", { key: encoded(kitKey) }]]);
  return readRecord(foundIn(granted(answer))[0]?.value);
}

/** The newer one. */
export function newest(...records: readonly (KitRecord | undefined)[]): KitRecord | undefined {
  const there = records.filter((one) => one !== undefined);
  return there.sort((a, b) => (a.made < b.made ? 1 : -1))[0];
}

export function noteHere(stack: string, record: KitRecord): void {
  writeWhole(recordFile(stack), `${JSON.stringify(record)}\n`);
}

/** @throws NoStore */
export async function noteOnStack(stack: OperatedStack, record: KitRecord): Promise<void> {
  const [answer] = await callStore(stack, [["kv/put", putOf(kitKey, record)]]);
  granted(answer);
}
