/**
 * What takes a machine away for a while, one machine after the other: the rest must be able to carry on,
 * nothing new goes to it, and it is whole again before the next one.
 */
import type { Member } from "../../infra/topology.ts";
import { allMembers } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import { askBalancers, type Balancers } from "./balancers.ts";
import { drain, drainable, drained, undrain, undrains } from "./drain.ts";
import { gate } from "./health.ts";
import { keepsOthers } from "./last.ts";
import { isInstance, listed, membersNamed } from "./named.ts";
import { askCluster, leaderOf } from "./patroni.ts";
import { type Plan, Refusal, say, secondsSince } from "./plan.ts";
import { setProcesses } from "./processes.ts";
import { serves } from "./restart.ts";
import { heals, whatIsToHeal } from "./storage.ts";
import { changeOf, switchOver } from "./switchover.ts";
import type { Undo } from "./undo.ts";
import { replicates } from "./whole.ts";

/** A machine, and who is on it. */
export interface Place {
  readonly machine: string;
  readonly members: readonly Member[];
}

/** The machines that are named, or those of named members; all of them where none is named. */
export function placesNamed(stack: OperatedStack, names: readonly string[]): Place[] {
  const all = allMembers(stack.topology);
  const wanted =
    names.length === 0
      ? stack.topology.machines.map(({ name }) => name)
      : names.flatMap((name) => membersNamed(stack, name).map(({ machine }) => machine));
  return [...new Set(wanted)].map((machine) => ({
    machine,
    members: all.filter((one) => one.machine === machine),
  }));
}

/** The primary's machine comes last, so that it is handed over once and not again. */
export function inTurn(places: readonly Place[], primary: string | undefined): Place[] {
  const hasPrimary = ({ members }: Place) => members.some(({ name }) => name === primary);
  return [...places.filter((one) => !hasPrimary(one)), ...places.filter(hasPrimary)];
}

const isDatabase = ({ role }: Member) => role === "database";
const keepsFiles = ({ role }: Member) => role === "brick" || role === "arbiter";

/** @throws Refusal where the rest could not carry on without a machine */
async function spares(
  stack: OperatedStack,
  { machine, members }: Place,
  balancers: Balancers,
): Promise<void> {
  await keepsOthers(stack, members, balancers);
  if (members.some(isDatabase)) await sparesDatabase(stack, members);
  const why = members.some(keepsFiles) ? await whatIsToHeal(stack) : undefined;
  if (why !== undefined)
    throw new Refusal(`${machine} keeps shared files, which are not whole: ${why}`);
}

async function sparesDatabase(stack: OperatedStack, members: readonly Member[]): Promise<void> {
  const cluster = await askCluster(stack);
  if (cluster.pause)
    throw new Refusal("automatic failover is paused, and nobody could take over: npm run resume");
  const primary = leaderOf(cluster)?.name;
  if (primary === undefined) throw new Refusal("there is no primary: npm run status");
  if (members.some(({ name }) => name === primary)) changeOf(cluster);
}

/** What is done to one machine while nothing is sent there. */
export interface Deed {
  /** For people, before the machine's name: `rebooting`. */
  readonly doing: string;
  run(place: Place, signal: AbortSignal): Promise<void>;
}

/**
 * Plans something for these machines, one after the other.
 * @param costs that are told besides
 * @throws Refusal where the rest could not carry on without one of them
 */
export async function planRolling(
  stack: OperatedStack,
  places: readonly Place[],
  deed: Deed,
  costs: readonly string[],
): Promise<Plan> {
  const primary = leaderOf(await askCluster(stack))?.name;
  const order = inTurn(places, primary);
  const balancers = await askBalancers(stack);
  for (const place of order) await spares(stack, place, balancers);
  const all = order.flatMap(({ members }) => members);
  return {
    costs: [
      `One after the other, each whole before the next: ${order.map(({ machine }) => machine).join(", ")}. Nothing new goes to it meanwhile.`,
      ...rollingCosts(stack, all, primary),
      ...costs,
    ],
    undo: backOf(stack, all, balancers),
    async run(signal) {
      const started = performance.now();
      for (const place of order) await oneInTurn(stack, place, deed, signal);
      return `${order.map(({ machine }) => machine).join(", ")}: whole after ${secondsSince(started)}`;
    },
  };
}

/** For people. */
function rollingCosts(
  { topology }: OperatedStack,
  members: readonly Member[],
  primary: string | undefined,
): string[] {
  const has = (role: string) => members.some((one) => one.role === role);
  return [
    ...(has("database") ? ["While a database member is away there is no standby."] : []),
    ...(members.some(({ name }) => name === primary)
      ? [`${primary} is the primary: another one takes over first, writes wait up to 2 s.`]
      : []),
    ...(has("cache") && topology.members.cache.length === 1
      ? ["The cache is away and comes back empty: pages come from the database meanwhile."]
      : []),
    ...(has("backup")
      ? ["A backup that is under way is cut off, and made later; log waits at the primary."]
      : []),
    ...(has("nfs") ? ["Shared files stand still while their one server is away."] : []),
  ];
}

/** Members with processes of their own, and what is not drained now. */
function backOf(stack: OperatedStack, members: readonly Member[], balancers: Balancers): Undo[] {
  const started = members.filter((one) => !keepsFiles(one) && one.role !== "nfs");
  return [
    { do: "start", members: started.map(({ name }) => name) },
    ...undrains(drained(stack, members), balancers),
  ];
}

async function oneInTurn(
  stack: OperatedStack,
  place: Place,
  deed: Deed,
  signal: AbortSignal,
): Promise<void> {
  const { machine, members } = place;
  const started = performance.now();
  const balancers = await askBalancers(stack);
  await spares(stack, place, balancers);
  const cluster = members.some(isDatabase) ? await askCluster(stack) : undefined;
  const primary = cluster && leaderOf(cluster)?.name;
  if (cluster && members.some(({ name }) => name === primary)) {
    say(`${machine}: handing the primary over`);
    await switchOver(stack, changeOf(cluster));
  }
  const led = drained(stack, members);
  const back = undrains(led, balancers).flatMap((one) => ("members" in one ? one.members : []));
  if (led.length > 0) {
    say(`${machine}: draining ${listed(led)}`);
    await drain(stack, (await drainable(stack, led)).members, signal);
  }
  say(`${machine}: ${deed.doing}`);
  signal.throwIfAborted();
  await deed.run(place, signal);
  await whole(stack, place, signal);
  const again = led.filter(({ name }) => back.includes(name));
  await undrain(stack, again);
  for (const one of again.filter((member) => isInstance(stack, member)))
    await serves(stack, one, signal);
  say(`${machine}: whole after ${secondsSince(started)}`);
}

async function whole(stack: OperatedStack, { members }: Place, signal: AbortSignal): Promise<void> {
  const supervised = members.filter((one) => !keepsFiles(one) && one.role !== "nfs");
  // What was stopped before, a load balancer's keepalived say, is started by its machine or container
  for (const one of supervised) await setProcesses(stack, one, "start");
  await Promise.all(supervised.map((one) => gate(stack, one, signal, 300)));
  if (members.some(isDatabase)) await replicates(stack, stack.topology.members.database.length);
  if (members.some(keepsFiles)) await heals(stack, signal);
}
