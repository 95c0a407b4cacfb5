/** Restarts a member's processes: drained before, healthy after. */
import type { Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import type { OperatedStack } from "../stack.ts";
import { askBalancers, backendOf } from "./balancers.ts";
import { drain, drainable, leavingCost, undrain, undrains } from "./drain.ts";
import { gate, healthyOf } from "./health.ts";
import { keepsQuorum } from "./last.ts";
import { isInstance } from "./named.ts";
import { askCluster, leaderOf, standbyOf } from "./patroni.ts";
import { type Plan, Refusal, say, secondsSince } from "./plan.ts";
import { setProcesses } from "./processes.ts";
import { type Change, changeOf, switchOver } from "./switchover.ts";

interface Restarted {
  readonly cost: string;
  /** Whether requests are led around it meanwhile. */
  readonly drains: boolean;
  /** What comes before. @default nothing */
  readonly change?: Change;
}

/** @throws Refusal where the member is the last of its kind, or is not restarted so */
async function look(stack: OperatedStack, member: Member): Promise<Restarted> {
  if (isInstance(stack, member)) {
    const drains = backendOf(stack, member) !== undefined;
    const cost = drains
      ? `${member.name} is drained, restarted and given its requests again; no request fails.`
      : `${member.name} is a worker: its work stands still while it restarts.`;
    return { cost, drains };
  }
  switch (member.role) {
    case "loadBalancer":
      return {
        cost: `${member.name} restarts; before, ${leavingCost}`,
        drains: true,
      };
    case "database":
      return database(stack, member);
    case "quorum": {
      keepsQuorum(stack, [member], await healthyOf(stack, stack.topology.members.quorum));
      return {
        cost: `${member.name} restarts; the others keep the quorum, nothing waits.`,
        drains: false,
      };
    }
    case "cache":
      return {
        cost: `${member.name} restarts empty: pages come from the database meanwhile.`,
        drains: false,
      };
    case "backup":
      return {
        cost: `${member.name} restarts; a backup that is under way there is cut off, and made later. The stack serves on.`,
        drains: false,
      };
    default:
      throw new Refusal(
        `${member.name} keeps shared files: they would stand still; reboot its machine, or use up, which wait for them to be whole`,
      );
  }
}

async function database(stack: OperatedStack, { name }: Member): Promise<Restarted> {
  const cluster = await askCluster(stack);
  if (cluster.pause)
    throw new Refusal(
      "automatic failover is paused, and PostgreSQL would not stop: npm run resume first",
    );
  const isPrimary = leaderOf(cluster)?.name === name;
  if (!isPrimary && leaderOf(cluster) === undefined) throw new Refusal("there is no primary");
  const standby = standbyOf(cluster)?.name;
  if (isPrimary && standby === undefined)
    throw new Refusal(`${name} is the only database: there is no synchronous standby to take over`);
  return isPrimary
    ? {
        cost: `${name} is the primary: ${standby} takes over first, and stays it. Writes wait up to 2 s, and again while ${name} restarts; no request fails.`,
        drains: true,
        change: changeOf(cluster),
      }
    : {
        cost: `${name} restarts; writes wait up to 2 s for it, reads go to the primary. Until it is whole there is no standby.`,
        drains: true,
      };
}

export async function planRestart(stack: OperatedStack, member: Member): Promise<Plan> {
  const { cost, drains, change } = await look(stack, member);
  // A primary can be drained only once it is none
  const now = drains && !change ? await drainable(stack, [member]) : undefined;
  const before = now
    ? undrains([member], now.balancers)
    : drains
      ? [{ do: "undrain" as const, members: [member.name] }]
      : [];
  return {
    costs: [cost],
    undo: [{ do: "start", members: [member.name] }, ...before],
    async run(signal) {
      const started = performance.now();
      // Others may have gone down while the operator was asked
      await look(stack, member);
      if (change) await switchOver(stack, change);
      if (drains) {
        say(`draining ${member.name}`);
        await drain(stack, (await drainable(stack, [member])).members, signal);
      }
      say(`restarting ${member.name}`);
      await setProcesses(stack, member, "stop");
      await setProcesses(stack, member, "start");
      await gate(stack, member, signal);
      // One that was drained before stays so
      if (before.length > 0) {
        await undrain(stack, [member]);
        await serves(stack, member, signal);
      }
      return `${member.name} is restarted and healthy, after ${secondsSince(started)}`;
    },
  };
}

/** Waits until the load balancers see an instance so, too. */
export async function serves(
  stack: OperatedStack,
  member: Member,
  signal: AbortSignal,
): Promise<void> {
  const backend = backendOf(stack, member);
  if (backend === undefined) return;
  await until(`every load balancer sends something to ${member.name}, which is healthy`, {
    probe: async () => {
      const { asked } = await askBalancers(stack);
      return asked.flatMap(({ member: balancer, servers }) =>
        servers
          .filter((one) => one.backend === backend && one.name === member.name)
          .filter(({ status }) => !status.startsWith("UP"))
          .map(({ status }) => `${status} at ${balancer.name}`),
      );
    },
    done: (others) => others.length === 0,
    describe: (others) => others.join(", "),
    limitSeconds: 30,
    intervalSeconds: 0.5,
    signal,
  });
}
