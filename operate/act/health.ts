/** Whether a member is whole again, as its own program says on its machine. */
import { backupHealth } from "../../infra/render/backup.ts";
import { cacheHealth } from "../../infra/render/cache.ts";
import { etcdHealth } from "../../infra/render/etcd.ts";
import { statsSocket } from "../../infra/render/haproxy.ts";
import { loopback } from "../../infra/render/instance-proxy.ts";
import { vrrpStateFile } from "../../infra/render/keepalived.ts";
import { patroniHealth } from "../../infra/render/patroni.ts";
import type { Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { folderOf } from "../folder.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** How long one look may take. */
const lookSeconds = 10;

/** Shell text that succeeds where a member is healthy; run in the folder of its files. */
export function healthCommand({ application, topology }: OperatedStack, member: Member): string {
  const tier = application.tiers.find(({ name }) => name === member.role);
  if (tier?.port !== undefined)
    return `curl -fsS --max-time 3 http://${loopback}:${tier.port}${tier.health.path} > /dev/null`;
  switch (member.role) {
    case "loadBalancer":
      return `echo 'show info' | socat -t 1 - UNIX-CONNECT:${statsSocket} | grep -q '^Uptime' && grep -qEx 'MASTER|BACKUP' ${vrrpStateFile} && pgrep -x keepalived > /dev/null`;
    case "quorum":
      return etcdHealth(topology, member);
    case "database":
      return patroniHealth(member);
    case "cache":
      return cacheHealth(member);
    case "backup":
      return backupHealth;
    default:
      // A worker: its processes run, which their start says
      return "true";
  }
}

/** @returns why it is not healthy, or nothing */
export async function illnessOf(stack: OperatedStack, member: Member): Promise<string | undefined> {
  const script = `cd ${folderOf(stack, member)} && {\n${healthCommand(stack, member)}\n}`;
  const options = { limitSeconds: lookSeconds };
  const outcome = await onMachineOf(stack, member.machine, script, options);
  if (isUnreachable(outcome)) return outcome.unreachable;
  if (outcome.code === 0) return undefined;
  return `${outcome.stdout}${outcome.stderr}`.trim() || `it ended with ${outcome.code}`;
}

/** Names of those that are healthy now. */
export async function healthyOf(
  stack: OperatedStack,
  members: readonly Member[],
): Promise<string[]> {
  const ills = await Promise.all(members.map((one) => illnessOf(stack, one)));
  return members.filter((_one, at) => ills[at] === undefined).map(({ name }) => name);
}

/** Waits until a member is healthy. @throws with its last words once the time is up */
export async function gate(
  stack: OperatedStack,
  member: Member,
  signal: AbortSignal,
  limitSeconds = 120,
): Promise<void> {
  await until(`${member.name} is healthy`, {
    probe: () => illnessOf(stack, member),
    done: (why) => why === undefined,
    describe: String,
    limitSeconds,
    intervalSeconds: 0.5,
    signal,
  });
}
