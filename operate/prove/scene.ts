/** A stack as it is before a fault: who does what. */
import type { Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { askCluster, leaderOf, standbyOf } from "../act/patroni.ts";
import { memberNamed, type OperatedStack } from "../stack.ts";
import type { Picture } from "../status/picture.ts";

export interface Scene {
  readonly stack: OperatedStack;
  readonly primary: Member;
  readonly standby: Member;
  /** The load balancer that holds the addresses. */
  readonly active: Member;
  /** The member of etcd that leads the others. */
  readonly etcdLeader: Member;
}

/** Who is what, as a look has found it. @throws with what is missing */
export async function sceneOf(stack: OperatedStack, picture: Picture): Promise<Scene> {
  const cluster = await askCluster(stack);
  const [primary, standby] = [leaderOf(cluster)?.name, standbyOf(cluster)?.name];
  const active = picture.members.find(({ marks }) => (marks.holds?.length ?? 0) > 0)?.name;
  const leader = picture.members.find(({ marks }) => marks.leader)?.name;
  const named = (name: string | undefined, what: string) => {
    if (name === undefined)
      throw new Error(`the stack has no ${what} just now: see npm run status`);
    return memberNamed(stack, name);
  };
  return {
    stack,
    primary: named(primary, "primary"),
    standby: named(standby, "synchronous standby"),
    active: named(active, "load balancer with its addresses"),
    etcdLeader: named(leader, "leader of etcd"),
  };
}

/** Between two looks while the load goes on: each is a login, which takes a machine's processor. */
export const lookSeconds = 2;

/** Waits until another member is the primary, or the time is up: what then stands still is what is judged. */
export async function anotherPrimary(
  { stack, primary }: Scene,
  limitSeconds: number,
  signal?: AbortSignal,
): Promise<void> {
  await until("there is another primary", {
    probe: async () => leaderOf(await askCluster(stack))?.name,
    done: (name) => name !== undefined && name !== primary.name,
    limitSeconds,
    intervalSeconds: lookSeconds,
    ...(signal && { signal }),
  }).catch(() => signal?.throwIfAborted());
}
