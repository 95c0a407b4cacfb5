/**
 * Drain and undrain. An instance gets no new requests from any load balancer, a standby no new reads; a load
 * balancer gives its addresses away. What is under way ends by itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import {
  askBalancers,
  type Balancers,
  backendOf,
  currentOf,
  drainCommands,
  readyCommands,
} from "./balancers.ts";
import { keepsOthers } from "./last.ts";
import { giveAddressesAway } from "./leave.ts";
import { isInstance, listed } from "./named.ts";
import { askCluster, leaderOf } from "./patroni.ts";
import { type Plan, Refusal, say, secondsSince } from "./plan.ts";
import { setProcesses } from "./processes.ts";
import type { Undo } from "./undo.ts";

/** For people. */
export const leavingCost =
  "it keeps no connection open from now on, and its addresses move: what begins at that moment waits 1 s. No request fails, unless it takes longer than a minute; WebSockets end.";

/** Whoever still has a request after this is told, and left. */
const waitSeconds = 60;

const isBalancer = ({ role }: Member) => role === "loadBalancer";
const isDatabase = ({ role }: Member) => role === "database";

/** Those of these that get something from a load balancer, or are one. */
export const drained = (stack: OperatedStack, members: readonly Member[]): Member[] =>
  members.filter((one) => isBalancer(one) || backendOf(stack, one) !== undefined);

/** Members of these that can be drained. @throws Refusal for those that would take the last one away */
export async function drainable(
  stack: OperatedStack,
  named: readonly Member[],
): Promise<{ members: readonly Member[]; balancers: Balancers }> {
  const members = drained(stack, named);
  if (members.length === 0)
    throw new Refusal(
      `${listed(named)}: no load balancer sends anything there, so it has nothing to drain`,
    );
  const balancers = await askBalancers(stack);
  if (balancers.asked.length === 0) throw new Refusal("no load balancer can be asked");
  await keepsOthers(stack, members, balancers);
  const primary = members.some(isDatabase) ? leaderOf(await askCluster(stack))?.name : undefined;
  if (members.some(({ name }) => name === primary))
    throw new Refusal(`${primary} is the primary: npm run switchover first`);
  return { members, balancers };
}

/** What puts back what draining changes: only what is not drained already. */
export function undrains(members: readonly Member[], { asked }: Balancers): Undo[] {
  const others = members.filter(
    (one) => !isBalancer(one) && asked.some(({ drained }) => !drained.includes(one.name)),
  );
  const all = [...others, ...members.filter(isBalancer)].map(({ name }) => name);
  return all.length === 0 ? [] : [{ do: "undrain", members: all }];
}

/** Plans `drain` for these members. @throws Refusal */
export async function planDrain(stack: OperatedStack, named: readonly Member[]): Promise<Plan> {
  const { members, balancers } = await drainable(stack, named);
  return {
    costs: [
      ...costsOf(stack, members),
      ...balancers.silent.map(
        ({ member, why }) =>
          `${member.name} cannot be asked (${why}): when it is back it knows nothing of this, so drain again then.`,
      ),
    ],
    undo: undrains(members, balancers),
    async run(signal) {
      const started = performance.now();
      // Others may have gone down while the operator was asked
      await drainable(stack, named);
      const rest = await drain(stack, members, signal);
      return `drained in ${secondsSince(started)}: ${listed(members)}${rest}`;
    },
  };
}

function costsOf(stack: OperatedStack, members: readonly Member[]): string[] {
  const of = (test: (member: Member) => boolean, text: string) => {
    const some = members.filter(test);
    return some.length === 0 ? [] : [`${listed(some)}: ${text}`];
  };
  return [
    ...of(
      (one) => isInstance(stack, one),
      "no new requests; the other instances serve them. No request fails.",
    ),
    ...of(isDatabase, "no reads; they go to the primary, by new connections."),
    ...of(isBalancer, leavingCost),
  ];
}

/** Drains, and waits until nothing is under way. @returns what still is, for people */
export async function drain(
  stack: OperatedStack,
  members: readonly Member[],
  signal: AbortSignal,
): Promise<string> {
  await askBalancers(stack, drainCommands(stack, members));
  for (const one of members.filter(isBalancer)) await giveAddressesAway(stack, one);
  const instances = members.filter((one) => isInstance(stack, one));
  const end = Date.now() + waitSeconds * 1000;
  for (;;) {
    signal.throwIfAborted();
    const now = await askBalancers(stack, endOfReads(members));
    const left = instances.map((one) => currentOf(now, one, new RegExp(`^${one.role}(_|$)`)));
    const sum = left.reduce((a, b) => a + b, 0);
    if (sum === 0) return "";
    if (Date.now() > end) return `; ${sum} requests are still under way there`;
    await sleep(250, undefined, { signal });
  }
}

/** An application keeps its connections for an hour: those of reads end, and are made anew elsewhere. */
const endOfReads = (members: readonly Member[]): string[] =>
  members.filter(isDatabase).map(({ name }) => `shutdown sessions server standby/${name}`);

/** Gives members their requests again. Safe where they have them. */
export async function undrain(stack: OperatedStack, members: readonly Member[]): Promise<void> {
  for (const one of members.filter(isBalancer)) await setProcesses(stack, one, "start");
  const { asked, silent } = await askBalancers(stack, readyCommands(stack, members));
  if (asked.length === 0) throw new Error(`no load balancer can be asked: ${silent[0]?.why}`);
  for (const { member, why } of silent) say(`${member.name} cannot be asked (${why})`);
}

export async function planUndrain(stack: OperatedStack, named: readonly Member[]): Promise<Plan> {
  const members = drained(stack, named);
  if (members.length === 0)
    throw new Refusal(`${listed(named)}: no load balancer sends anything there`);
  return {
    costs: [],
    async run() {
      await undrain(stack, members);
      return `undrained: ${listed(members)}`;
    },
  };
}
