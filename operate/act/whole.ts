/** The whole stack, down and up again: kind by kind, each whole before the next one needs it. */
import type { Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import type { Silent } from "./balancers.ts";
import { gate } from "./health.ts";
import { isInstance, listed } from "./named.ts";
import { askCluster, leaderOf, standbyOf } from "./patroni.ts";
import { Refusal, say } from "./plan.ts";
import { processesScript, setProcesses } from "./processes.ts";
import { serves } from "./restart.ts";

/** Members with processes of the stack's own, in the order in which they start. Shared files stay as they are. */
export function startOrder({ topology: { members, tiers } }: OperatedStack): (readonly Member[])[] {
  const { quorum, database, cache, loadBalancer, backup } = members;
  const order = [quorum, database, cache, Object.values(tiers).flat(), loadBalancer, backup];
  return order.filter(({ length }) => length > 0);
}

export interface Held {
  /** Members whose processes are held down. */
  readonly held: readonly Member[];
  readonly silent: readonly Silent[];
}

export async function lookForHeld(
  stack: OperatedStack,
  members: readonly Member[] = startOrder(stack).flat(),
): Promise<Held> {
  const answers = await Promise.all(
    members.map(async (member) => {
      const script = processesScript(stack, member, "isHeld");
      const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds: 10 });
      if (isUnreachable(outcome)) return { member, why: outcome.unreachable };
      return { member, isHeld: outcome.code === 0 };
    }),
  );
  return {
    held: answers.filter(({ isHeld }) => isHeld).map(({ member }) => member),
    silent: answers.flatMap(({ member, why }) => (why === undefined ? [] : [{ member, why }])),
  };
}

/** For people. */
export const isStoppedSince = "the stack is stopped; npm run resume starts it again";

/** What is asked of a stack that has to run for that. @throws where it fails, that the stack is stopped if it is */
export async function orStopped<T>(stack: OperatedStack, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (await isStopped(stack)) throw new Refusal(isStoppedSince);
    throw error;
  }
}

/** Whether somebody has stopped the stack, and not only a part of it: etcd goes last. */
export async function isStopped(stack: OperatedStack): Promise<boolean> {
  const { held } = await lookForHeld(stack, stack.topology.members.quorum);
  return held.length > 0;
}

/**
 * Starts all that can be reached, and waits until it is whole. Safe where it runs.
 * @returns whose machines could not be reached
 * @throws with what does not get healthy
 */
export async function raise(stack: OperatedStack, signal: AbortSignal): Promise<readonly Silent[]> {
  const { silent } = await lookForHeld(stack);
  for (const { member, why } of silent)
    say(`${member.name} cannot be reached (${why}): npm run resume again when it is back`);
  const order = startOrder(stack).map((members) =>
    members.filter((one) => !silent.some(({ member }) => member.name === one.name)),
  );
  for (const members of order.filter(({ length }) => length > 0)) {
    signal.throwIfAborted();
    say(`starting ${listed(members)}`);
    await Promise.all(members.map((one) => setProcesses(stack, one, "release")));
    await Promise.all(members.map((one) => gate(stack, one, signal)));
    if (members.some(({ role }) => role === "database")) await replicates(stack, members.length);
  }
  for (const one of order.flat().filter((member) => isInstance(stack, member)))
    await serves(stack, one, signal);
  return silent;
}

/**
 * Waits for a primary and, where there is somebody for it, its synchronous standby.
 * @param members of the database that run
 * @throws once the time is up
 */
export async function replicates(
  stack: OperatedStack,
  members: number,
  limitSeconds = 120,
  signal?: AbortSignal,
  intervalSeconds = 0.5,
): Promise<void> {
  await until("the database has a primary with a synchronous standby (npm run status)", {
    probe: () => askCluster(stack),
    done: (cluster) => Boolean(leaderOf(cluster) && (members < 2 || standbyOf(cluster))),
    limitSeconds,
    intervalSeconds,
    ...(signal && { signal }),
  });
}
