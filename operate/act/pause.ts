/** Pause and resume of automatic failover. */
import { until } from "../../lib/until.ts";
import type { OperatedStack } from "../stack.ts";
import { askCluster, tellPatroni } from "./patroni.ts";
import type { Plan } from "./plan.ts";

/** Sets it by the first member of the database that can be asked. @throws when none can */
export async function setPause(stack: OperatedStack, pause: boolean): Promise<void> {
  const why: string[] = [];
  for (const member of stack.topology.members.database) {
    try {
      // Null takes a key away
      await tellPatroni(stack, member, ["PATCH", "/config", { pause: pause || null }], 10);
      return;
    } catch (error) {
      why.push((error as Error).message);
    }
  }
  throw new Error(why.join("\n"));
}

export async function planPause(stack: OperatedStack, pause: boolean): Promise<Plan> {
  const { pause: before = false } = await askCluster(stack);
  return {
    costs: pause
      ? [
          "No primary is made by itself until npm run resume: should this one be lost, writes stand still until then, or until npm run switchover -- MEMBER promotes one by hand.",
        ]
      : before
        ? ["Automatic failover is on again: where there is no primary, one is made within seconds."]
        : [],
    async run() {
      if (before === pause) return pause ? "it is paused already" : "it was not paused";
      await setPause(stack, pause);
      await seen(stack, pause);
      return pause ? "automatic failover is paused" : "automatic failover is on";
    },
  };
}

/** Members look at etcd once per loop. */
async function seen(stack: OperatedStack, pause: boolean): Promise<void> {
  await until("Patroni's members show what etcd took", {
    probe: () => askCluster(stack),
    done: ({ pause: now = false }) => now === pause,
    limitSeconds: 10,
    intervalSeconds: 0.5,
  });
}
