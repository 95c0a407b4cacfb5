/**
 * The lock on a stack: one operation at a time, whoever starts it from where. It is a key of etcd under a
 * lease, which ends by itself soon after its holder is gone; who has it, and since when, is its value.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { z } from "zod";
import type { OperatedStack } from "../stack.ts";
import {
  callStore,
  encoded,
  foundIn,
  granted,
  putOf,
  readValue,
  type StoreCall,
  storePrefix,
} from "./store.ts";

export const lockKey = `${storePrefix}lock`;

/** After this its holder is taken for gone, seconds; it renews the lease three times as often. */
export const leaseSeconds = 30;

const holder = z.object({
  operator: z.string(),
  /** The operation, as it was called. */
  what: z.string(),
  /** ISO 8601, by the clock of the operator's machine. */
  since: z.string(),
  /** Which process: where it runs, and its number there. */
  process: z.object({ place: z.string(), id: z.int().positive() }),
  /** Of this one operation. */
  id: z.string().regex(/^[0-9a-f]{14}$/),
});
export type Holder = z.output<typeof holder>;

/** @throws for what is none */
export const readHolder = (text: string): Holder => readValue(text, holder, "lock");

/** For people. */
export const describeHolder = ({ operator, what, since }: Holder): string =>
  `locked by ${operator} since ${since.slice(0, 19).replace("T", " ")} UTC: ${what}`;

/** Somebody else has the lock. */
export class Held extends Error {
  readonly holder: Holder;

  constructor(holder: Holder) {
    super(
      `${describeHolder(holder)}. Wait for its end; if that command is gone, its lock ends ` +
        `within ${leaseSeconds} s`,
    );
    this.holder = holder;
  }
}

/** Somebody else has taken the lock from this operation, and has undone what it had begun. */
export class Crossed extends Error {
  constructor(holder: Holder) {
    super(
      `the stack could not be reached for ${leaseSeconds} s, and is ${describeHolder(holder)}, which put back what this had begun`,
    );
  }
}

/** Who operates: the user and the machine. */
export const operator = (): string => `${userInfo().username}@${hostname()}`;

/** Where process numbers mean what they mean here: one start of one kernel, and one namespace of it. */
function here(): string {
  const boot = "/proc/sys/kernel/random/boot_id";
  if (!existsSync(boot)) return hostname();
  return `${readFileSync(boot, "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
}

export function holderOf(what: string, now = new Date()): Holder {
  return {
    operator: operator(),
    what,
    since: now.toISOString(),
    process: { place: here(), id: process.pid },
    id: randomBytes(7).toString("hex"),
  };
}

/** Whether it is known that the holder is no more; that it lives may be an error, which its lease ends. */
export function isGone({ process: { place, id } }: Holder): boolean {
  if (place !== here()) return false;
  try {
    process.kill(id, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** The lease of an operation has its number, so that a call that is made twice makes one lease. */
const leaseOf = ({ id }: Holder): string => BigInt(`0x${id}`).toString();

/** Takes the lock if nobody has it; the answer tells who has it then. */
function takeCalls(holder: Holder): StoreCall[] {
  const key = encoded(lockKey);
  return [
    ["lease/grant", { TTL: leaseSeconds, ID: leaseOf(holder) }],
    [
      "kv/txn",
      {
        compare: [{ key, target: "CREATE", create_revision: "0" }],
        success: [{ request_put: { ...putOf(lockKey, holder), lease: leaseOf(holder) } }],
      },
    ],
    ["kv/range", { key }],
  ];
}

export interface Lock {
  readonly holder: Holder;
  /** Ends when another operator has it: this one was not heard for longer than its lease. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/**
 * Takes the lock, also from a holder that is gone, and keeps it until it is released.
 * @throws Held, or NoStore
 */
export async function takeLock(stack: OperatedStack, holder: Holder): Promise<Lock> {
  let found = await tryTake(stack, holder);
  if (isGone(found)) {
    await callStore(stack, [["lease/revoke", { ID: leaseOf(found) }]]);
    found = await tryTake(stack, holder);
  }
  if (found.id !== holder.id) {
    await callStore(stack, [["lease/revoke", { ID: leaseOf(holder) }]]);
    throw new Held(found);
  }
  return keep(stack, holder);
}

/** @returns who has it now */
async function tryTake(stack: OperatedStack, holder: Holder): Promise<Holder> {
  const [, taken, seen] = await callStore(stack, takeCalls(holder));
  granted(taken);
  const [held] = foundIn(granted(seen));
  if (held === undefined) throw new Error("etcd gave the lock, and lost it at once: try again");
  return readHolder(held.value);
}

function keep(stack: OperatedStack, holder: Holder): Lock {
  const ID = leaseOf(holder);
  const lost = new AbortController();
  const renew = async () => {
    const [answer] = await callStore(stack, [["lease/keepalive", { ID }]]);
    const { result } = answer as { result?: { TTL?: string } };
    if (result?.TTL !== undefined) return;
    // It has ended, as where this machine slept; nobody may have noticed
    const found = await tryTake(stack, holder);
    if (found.id !== holder.id) lost.abort(new Crossed(found));
  };
  // A call that fails is made up for by the next one, or the lease ends and the one after that sees it
  let renewing = Promise.resolve();
  const timer = setInterval(
    () => {
      renewing = renew().catch(() => {});
    },
    (leaseSeconds * 1000) / 3,
  );
  timer.unref();
  return {
    holder,
    lost: lost.signal,
    async release() {
      clearInterval(timer);
      // One that is under way would take the lock again
      await renewing;
      await callStore(stack, [["lease/revoke", { ID }]]);
    },
  };
}

/** Who has the lock. @returns nothing when nobody has it @throws NoStore */
export async function lockHolder(stack: OperatedStack): Promise<Holder | undefined> {
  const [answer] = await callStore(stack, [["kv/range", { key: encoded(lockKey) }]]);
  const [held] = foundIn(granted(answer));
  return held && readHolder(held.value);
}
