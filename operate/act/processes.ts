/** A member's processes, stopped and started by the supervisor of its machine. */
import type { Member } from "../../infra/topology.ts";
import { folderOf } from "../folder.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** A process may take its grace, of at most ten minutes; most take seconds. */
const limitSeconds = 660;

/** Order of stopping as the container itself has it; `$1` is one process, or nothing for all. */
const s6 = {
  stop: `grep '^s6-svc' services/.s6-svscan/SIGTERM | grep "/$1\\$" | sh`,
  start: `grep '^s6-svc' services/.s6-svscan/SIGTERM | grep "/$1\\$" | sed 's/.* //' | tac |
  while read -r service; do s6-svc -wu -T 5000 -u "$service"; done`,
};

const systemd = {
  stop: `units | xargs systemctl stop`,
  start: `units | xargs systemctl reset-failed 2> /dev/null
units | xargs systemctl start`,
};

/**
 * Stops or starts a member's processes. Where that is done already, nothing happens.
 * @param only one of them @default all
 * @throws with the machine and what it said
 */
export async function setProcesses(
  stack: OperatedStack,
  member: Member,
  action: "stop" | "start",
  only?: string,
): Promise<void> {
  const script = processesScript(stack, member, action, only);
  await mustOn(stack, member, script, `${action} ${only ?? "its processes"}`);
}

/** Shell text for the member's machine that does so. */
export function processesScript(
  stack: OperatedStack,
  member: Member,
  action: "stop" | "start",
  only?: string,
): string {
  const folder = folderOf(stack, member);
  return stack.settings.platform === "docker"
    ? `set -- '${only ?? "[^/]*"}'; cd ${folder} && ${s6[action]}`
    : `units() { ls ${folder}/units${only === undefined ? "" : ` | grep -x hastack-${only}.service`}; }
${systemd[action]}`;
}

/** Runs shell text on a member's machine that must succeed. @throws with what was tried, and what it said */
export async function mustOn(
  stack: OperatedStack,
  member: Member,
  script: string,
  what: string,
  seconds = limitSeconds,
): Promise<string> {
  const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds: seconds });
  if (isUnreachable(outcome)) throw new Error(`${member.name}: ${what}: ${outcome.unreachable}`);
  if (outcome.code === 0) return outcome.stdout;
  const said = `${outcome.stdout}\n${outcome.stderr}`.trim().split("\n").slice(-5).join("\n");
  throw new Error(`${member.name}: ${what} failed (${outcome.code}): ${said}`);
}
