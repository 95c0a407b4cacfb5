/**
 * Where operations keep what all operators must see: in the stack's etcd, which outlives the loss of a
 * machine and is the same on both platforms. It is asked by a machine of the database, as Patroni asks
 * it: the certificate and the password are there, and never leave it.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { quote } from "../../infra/platform/shell.ts";
import { patroniPrefix } from "../../infra/render/etcd.ts";
import { present } from "../../infra/topology.ts";
import { inRoot } from "../../lib/paths.ts";
import { folderOf } from "../folder.ts";
import { readJson } from "../json.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** Patroni may write below its prefix only; it watches its own cluster's keys, and none of these. */
export const storePrefix = `${patroniPrefix}operate/`;

/** No machine of the database could be asked, or etcd has no quorum. */
export class NoStore extends Error {
  /** Whether a machine was asked: then the stack is there, and etcd is what fails. */
  readonly isThere: boolean;

  constructor(why: string, isThere: boolean) {
    super(why);
    this.isThere = isThere;
  }
}

/** A method of etcd's gateway below `/v3/`, and its body. */
export type StoreCall = readonly [method: string, body: object];

/** Five members of etcd that do not answer, a login at the machine, and Python's start. */
const limitSeconds = 10;

const program = readFileSync(inRoot("operate/act/store.py"), "utf8");

/** Shell text for a database member, which takes calls as JSON from its input. @param file Patroni's */
export const storeScript = (file: string): string => `exec python3 -c ${quote(program)} ${file}`;

/** The member of the database that answered last. */
const answered = new WeakMap<OperatedStack, string>();

/**
 * Calls in their order, in one go. One that got no answer goes to the next member of etcd together with
 * those before it, so calls must be safe to make twice.
 * @returns an answer for each, which is `Refused` where etcd does not do it
 * @throws NoStore
 */
export async function callStore(
  stack: OperatedStack,
  calls: readonly StoreCall[],
): Promise<readonly unknown[]> {
  const why: string[] = [];
  let isThere = false;
  const members = present(stack.topology.members.database);
  // One that hangs costs its time once
  const first = answered.get(stack);
  for (const member of members.toSorted((a, b) => +(b.name === first) - +(a.name === first))) {
    const script = storeScript(`${folderOf(stack, member)}/patroni.yml`);
    const input = JSON.stringify(calls);
    const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds, input });
    if (isUnreachable(outcome)) why.push(`${member.machine}: ${outcome.unreachable}`);
    else if (outcome.code !== 0) why.push(`${member.name}: ${outcome.stderr.trim()}`);
    else {
      const { answers, unavailable } = readSaid(outcome.stdout);
      if (answers?.length === calls.length) {
        answered.set(stack, member.name);
        return answers;
      }
      isThere = true;
      why.push(
        `${member.name}: etcd does not answer (${unavailable ?? "what it says is no answer"})`,
      );
    }
  }
  throw new NoStore(why.join("\n") || "there is no database member", isThere);
}

const saidShape = z.object({
  answers: z.array(z.record(z.string(), z.unknown())).optional(),
  unavailable: z.string().optional(),
});

/** What the program has printed on a member; nothing where that is none of its answers. */
export const readSaid = (text: string): z.output<typeof saidShape> =>
  readJson(text, saidShape) ?? {};

/** What etcd says where it does not do something. */
interface Refused {
  readonly code: number;
  readonly message: string;
}

/** The answer to a call that etcd must not refuse. @throws with what it says */
export function granted(answer: unknown): unknown {
  const { code, message } = answer as Partial<Refused>;
  if (code !== undefined) throw new Error(`etcd refuses: ${message}`);
  return answer;
}

/** How etcd's gateway wants keys and values. */
export const encoded = (text: string): string => Buffer.from(text).toString("base64");
export const decoded = (text: string): string => Buffer.from(text, "base64").toString();

export const putOf = (key: string, value: object) => ({
  key: encoded(key),
  value: encoded(JSON.stringify(value)),
});

/** All keys that begin so. */
export const below = (prefix: string) => ({
  key: encoded(prefix),
  range_end: encoded(
    `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`,
  ),
});

export interface Found {
  readonly key: string;
  readonly value: string;
}

const rangeShape = z.object({
  kvs: z.array(z.object({ key: z.string(), value: z.string().default("") })).default([]),
});

/** The keys in the answer of a range, with their values as text. @throws for what is no such answer */
export function foundIn(answer: unknown): readonly Found[] {
  const range = rangeShape.safeParse(answer).data;
  if (range === undefined) throw new Error("etcd's answer is none to what was asked");
  return range.kvs.map(({ key, value }) => ({ key: decoded(key), value: decoded(value) }));
}

/** What a value holds, which anybody may have written who has a database member. @throws for another shape */
export function readValue<T extends z.ZodType>(text: string, shape: T, what: string): z.output<T> {
  const value = readJson(text, shape);
  if (value !== undefined) return value;
  throw new Error(`etcd keeps no ${what} that can be read, but ${text.slice(0, 200)}`);
}
