/** The whole stack is stopped, with all its data, until it is resumed. */
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import { gate } from "./health.ts";
import { listed } from "./named.ts";
import { askCluster, type Cluster, leaderOf } from "./patroni.ts";
import { planPause, setPause } from "./pause.ts";
import { type Plan, Refusal, say, secondsSince } from "./plan.ts";
import { setProcesses } from "./processes.ts";
import { whatIsLeft } from "./undo.ts";
import { lookForHeld, raise, startOrder } from "./whole.ts";

/** In the order of stopping: who asks before who is asked, and the standby before its primary. */
export function stopOrder(stack: OperatedStack, cluster: Cluster): (readonly Member[])[] {
  const primary = leaderOf(cluster)?.name;
  const isPrimary = ({ name }: Member) => name === primary;
  return startOrder(stack)
    .reverse()
    .flatMap((members) =>
      members.some(({ role }) => role === "database")
        ? [members.filter((one) => !isPrimary(one)), members.filter(isPrimary)]
        : [members],
    )
    .filter(({ length }) => length > 0);
}

/** @param yes whether it goes on without those that cannot be reached @throws Refusal */
export async function planStop(stack: OperatedStack, yes: boolean): Promise<Plan> {
  const { silent } = await lookForHeld(stack);
  const absent = silent.map(({ member, why }) => `${member.name}: ${why}`).join("; ");
  if (absent !== "" && !yes)
    throw new Refusal(
      `not all members can be reached (${absent}): they cannot be stopped, and would be back with their machines. --yes stops the others`,
    );
  // A database that does not answer is stopped all the same
  const cluster = await askCluster(stack).catch((): Cluster => ({ members: [] }));
  if (cluster.pause)
    throw new Refusal(
      "automatic failover is paused, and PostgreSQL would not stop: npm run resume first",
    );
  const reached = ({ name }: Member) => !silent.some(({ member }) => member.name === name);
  const order = stopOrder(stack, cluster).map((members) => members.filter(reached));
  const hold = (members: readonly Member[]) =>
    Promise.all(members.map((one) => setProcesses(stack, one, "hold")));
  return {
    costs: [
      "The site is down from now on, until npm run resume, and no boot starts it. All data stays.",
      ...(absent === "" ? [] : [`Not stopped, as they cannot be reached: ${absent}`]),
    ],
    undo: [{ do: "raise" }],
    async run(signal) {
      const started = performance.now();
      for (const members of order.slice(0, -1)) {
        signal.throwIfAborted();
        say(`stopping ${listed(members)}`);
        await hold(members);
      }
      return `all but etcd is stopped, after ${secondsSince(started)}`;
    },
    async last() {
      await hold(order.at(-1) ?? []);
      say("etcd is stopped, too. npm run resume starts the stack again");
    },
  };
}

/** Before there can be a lock. @throws where it does not get its quorum */
export async function startQuorum(stack: OperatedStack): Promise<void> {
  const { held } = await lookForHeld(stack, stack.topology.members.quorum);
  if (held.length === 0) return;
  say(`starting ${listed(held)}, which keep lock and journal`);
  await Promise.all(held.map((one) => setProcesses(stack, one, "release")));
  const { signal } = new AbortController();
  await Promise.all(held.map((one) => gate(stack, one, signal)));
}

/** After `stop` the stack, after `pause` automatic failover, after both both. */
export async function planResume(stack: OperatedStack): Promise<Plan> {
  const { held } = await lookForHeld(stack);
  const left = await whatIsLeft(stack).catch(() => undefined);
  if (held.length === 0 && !left?.stays) return planPause(stack, false);
  return {
    costs: [
      `The stack is started again, which was stopped: ${listed(held) || "all runs already"}.`,
    ],
    undo: [{ do: "raise" }],
    async run(signal) {
      const started = performance.now();
      const silent = await raise(stack, signal);
      const { pause = false } = await askCluster(stack);
      if (pause) await setPause(stack, false);
      const but =
        silent.length === 0 ? "" : `, but for ${listed(silent.map(({ member }) => member))}`;
      const also = pause ? "; automatic failover, which was paused, is on" : "";
      return `the stack is whole${but}, after ${secondsSince(started)}${also}`;
    },
  };
}
