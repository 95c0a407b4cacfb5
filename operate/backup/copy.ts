/** Copies the restored database to a machine of the database, and says how far it is. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Member } from "../../infra/topology.ts";
import { say } from "../act/plan.ts";
import { mustOn } from "../act/processes.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { sizeOf } from "../status/kind.ts";
import { copiedScript, copyScript, endCopyScript } from "./data.ts";

/** For a copy of hundreds of gigabytes. */
const limitSeconds = 86_400;
/** Between two looks at how far it is. */
const lookSeconds = 10;

export interface Source {
  /** Of the member's files. */
  readonly folder: string;
  /** Address of the backup member. */
  readonly from: string;
  /** Of this restore. */
  readonly id: string;
  /** What is to be copied. */
  readonly kilobytes: number;
}

/** @throws with what pg_basebackup says, or why it was ended */
export async function copyTo(
  stack: OperatedStack,
  member: Member,
  { folder, from, id, kilobytes }: Source,
  signal: AbortSignal,
): Promise<void> {
  say(`copying ${sizeOf(kilobytes * 1024)} to ${member.name}`);
  const over = new AbortController();
  const ended = AbortSignal.any([over.signal, signal]);
  const copied = mustOn(
    stack,
    member,
    copyScript(folder, from, id),
    "copy the restored data",
    limitSeconds,
  );
  const told = tell(stack, member, kilobytes, ended);
  const end = () =>
    void onMachineOf(stack, member.machine, endCopyScript, { limitSeconds: 10 }).catch(() => {});
  signal.addEventListener("abort", end, { once: true });
  try {
    await copied;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    over.abort();
    signal.removeEventListener("abort", end);
    await told;
  }
}

async function tell(
  stack: OperatedStack,
  { machine }: Member,
  kilobytes: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(lookSeconds * 1000, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const outcome = await onMachineOf(stack, machine, copiedScript, { limitSeconds: 10 });
    const done = isUnreachable(outcome) ? Number.NaN : Number(outcome.stdout.trim() || Number.NaN);
    if (Number.isFinite(done)) say(`${sizeOf(done * 1024)} of ${sizeOf(kilobytes * 1024)}`);
  }
}
