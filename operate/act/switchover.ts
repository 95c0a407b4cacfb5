/** Another member becomes the primary: in turn, or by hand where there is none and failover is paused. */
import { until } from "../../lib/until.ts";
import { memberNamed, type OperatedStack } from "../stack.ts";
import { handOver } from "./handover.ts";
import { listed } from "./named.ts";
import { askCluster, type Cluster, leaderOf, standbyOf, tellPatroni } from "./patroni.ts";
import { type Plan, Refusal, say } from "./plan.ts";
import { mustOn } from "./processes.ts";

/** Who changes with whom. `from` is absent where there is no primary. */
export interface Change {
  readonly from?: string;
  readonly to: string;
}

/** What an operator has agreed to. */
export interface Agreed {
  /** That writes which were acknowledged are lost, where there is no primary. */
  readonly loss: boolean;
}

/**
 * @param wanted who is to become the primary @default the synchronous standby
 * @throws Refusal where acknowledged writes could be lost, or nobody could take over
 */
export function changeOf(
  cluster: Cluster,
  wanted?: string,
  agreed: Agreed = { loss: false },
): Change {
  const from = leaderOf(cluster)?.name;
  const standby = standbyOf(cluster)?.name;
  if (from !== undefined && from === wanted) throw new Refusal(`${wanted} is the primary already`);
  if (from === undefined) {
    if (wanted === undefined)
      throw new Refusal("there is no primary: name the member that is to be promoted");
    if (!cluster.pause)
      throw new Refusal(
        "there is no primary, and Patroni is about to make one: wait, or see npm run status",
      );
    const { role, state } = cluster.members.find(({ name }) => name === wanted) ?? {};
    if (role === undefined || !standsReady(state))
      throw new Refusal(
        `${wanted} cannot be promoted: it ${role === undefined ? "is not in the cluster now" : `is ${state}`}`,
      );
    if (role !== "sync_standby" && !agreed.loss)
      throw new Refusal(
        `${wanted} is not the synchronous standby of the lost primary (${standbyByRole(cluster) ?? "nobody is"}): writes that were acknowledged would be lost. --yes promotes it all the same`,
      );
    return { to: wanted };
  }
  const to = wanted ?? standby;
  if (to !== undefined && to === standby) return { from, to };
  const states = cluster.members.map(({ name, role, state }) => `${name}: ${role}, ${state}`);
  throw new Refusal(
    `there is no synchronous standby that could take over without a loss (${states.join("; ")}); a primary that was lost counts as one until its lease in etcd ends: then try again`,
  );
}

/** Without its primary a standby does not stream, but PostgreSQL runs. */
const standsReady = (state = ""): boolean =>
  ["running", "streaming"].includes(state) || /recovery/.test(state);

const standbyByRole = ({ members }: Cluster): string | undefined =>
  members.find(({ role }) => role === "sync_standby")?.name;

export async function planSwitchover(
  stack: OperatedStack,
  wanted?: string,
  agreed?: Agreed,
): Promise<Plan> {
  const { database } = stack.topology.members;
  if (wanted !== undefined && memberNamed(stack, wanted).role !== "database")
    throw new Refusal(`${wanted} is no member of the database: these are ${listed(database)}`);
  const cluster = await askCluster(stack);
  const change = changeOf(cluster, wanted, agreed);
  const { from, to } = change;
  return {
    costs: [
      from === undefined
        ? to === standbyByRole(cluster)
          ? `${to} is promoted by hand. It was the synchronous standby: no write that was acknowledged is lost. Failover stays paused.`
          : `${to} is promoted by hand, though it was not the synchronous standby: writes that the lost primary had acknowledged, and ${to} had not got yet, are lost for good. Failover stays paused.`
        : `${from} gives way to ${to}: writes wait up to 2 s; no request fails, reads go on.`,
    ],
    ...(from !== undefined && { undo: [{ do: "undrain" as const, members: [from] }] }),
    run: async () => {
      const seconds = await switchOver(stack, change);
      return `${to} is the primary${from === undefined ? "" : ` instead of ${from}`}, after ${seconds.toFixed(1)} s`;
    },
  };
}

/** Limits of Patroni's own answer, which comes when the new primary has its lock. */
const limitSeconds = 60;

/** @returns how long it took, seconds; the former primary follows the new one then */
export async function switchOver(stack: OperatedStack, { from, to }: Change): Promise<number> {
  const asked = memberNamed(stack, from ?? to);
  if (from !== undefined) await checkpoint(stack, from);
  const started = performance.now();
  const body = from === undefined ? { candidate: to } : { leader: from, candidate: to };
  const path = from === undefined ? "/failover" : "/switchover";
  const handedOver =
    from === undefined ? undefined : handOver(stack, asked, memberNamed(stack, to));
  say(await tellPatroni(stack, asked, ["POST", path, body], limitSeconds));
  const seconds = (performance.now() - started) / 1000;
  await handedOver;
  if (from !== undefined) await standsBy(stack, from);
  return seconds;
}

/** What is written now need not be written while writes wait. */
async function checkpoint(stack: OperatedStack, primary: string): Promise<void> {
  const script = "cd / && exec runuser -u postgres -- psql -qXc CHECKPOINT postgres";
  await mustOn(stack, memberNamed(stack, primary), script, "CHECKPOINT", 60);
}

async function standsBy(stack: OperatedStack, name: string): Promise<void> {
  await until(`${name} is the synchronous standby: until then there is nobody to take over`, {
    probe: () => askCluster(stack),
    done: (cluster) => standbyOf(cluster)?.name === name,
    limitSeconds: 60,
    intervalSeconds: 0.5,
  });
}
