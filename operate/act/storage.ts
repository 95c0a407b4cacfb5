/** Shared files on GlusterFS: nothing may go that another one lacks the newest of. */
import type { Member } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { readHeal } from "../status/storage.ts";

/** One that hangs is given up by GlusterFS after 5 s. */
const lookSeconds = 20;

const keepers = ({ topology: { members } }: OperatedStack): readonly Member[] => [
  ...members.brick,
  ...members.arbiter,
];

/** @returns why shared files are not whole on all their machines, or nothing */
export async function whatIsToHeal(stack: OperatedStack): Promise<string | undefined> {
  const [member] = keepers(stack);
  if (member === undefined) return undefined;
  for (const name of stack.application.shared) {
    const script = `gluster --mode=script volume heal hastack-${name} info`;
    const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds: lookSeconds });
    if (isUnreachable(outcome)) return `${member.machine}: ${outcome.unreachable}`;
    const bricks = readHeal(outcome.stdout);
    if (outcome.code !== 0 || bricks.length === 0)
      return `${name}: ${`${outcome.stdout}${outcome.stderr}`.trim() || "GlusterFS is silent"}`;
    for (const { at, connected, toHeal } of bricks) {
      if (!connected) return `${name}: the brick ${at} is not connected`;
      if (toHeal !== 0) return `${name}: ${toHeal ?? "unknown"} files to heal at ${at}`;
    }
  }
  return undefined;
}

/** Waits until shared files are whole. @throws with what is to heal, once the time is up */
export async function heals(
  stack: OperatedStack,
  signal: AbortSignal,
  limitSeconds = 600,
): Promise<void> {
  await until("shared files are whole", {
    probe: () => whatIsToHeal(stack),
    done: (why) => why === undefined,
    describe: String,
    limitSeconds,
    intervalSeconds: 1,
    signal,
  });
}
