/** A member's processes, stopped and started by the supervisor of its machine. */
import type { Member } from "../../infra/topology.ts";
import { folderOf } from "../folder.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** A process may take its grace, of at most ten minutes; most take seconds. */
const limitSeconds = 660;

export type Deed = "stop" | "start" | "hold" | "release" | "isHeld";

/** Order of stopping as the container itself has it; `$1` is one process, or nothing for all. */
const s6 = {
  stop: `grep '^s6-svc' services/.s6-svscan/SIGTERM | grep "/$1\\$" | sh`,
  start: `grep '^s6-svc' services/.s6-svscan/SIGTERM | grep "/$1\\$" | sed 's/.* //' | tac |
  while read -r service; do s6-svc -wu -T 5000 -u "$service"; done`,
  /** What is so is not started by the supervisor's own start, either. */
  mark: `for one in services/*; do : > "$one/down"; done`,
  unmark: "rm -f services/*/down",
  isMarked: `ls services/*/down > /dev/null 2>&1`,
};

const systemd = {
  stop: `units | xargs systemctl stop`,
  start: `units | xargs systemctl reset-failed 2> /dev/null
units | xargs systemctl start`,
  mark: "units | xargs systemctl disable --quiet",
  unmark: `for one in units/*; do systemctl enable --quiet "$PWD/$one"; done`,
  isMarked: "! units | xargs systemctl is-enabled --quiet",
};

/**
 * Stops or starts a member's processes; `hold` stops them so that nothing but `release` starts them again,
 * a boot neither. Where that is done already, nothing happens.
 * @param only one of them @default all
 * @throws with the machine and what it said
 */
export async function setProcesses(
  stack: OperatedStack,
  member: Member,
  action: Exclude<Deed, "isHeld">,
  only?: string,
): Promise<void> {
  const script = processesScript(stack, member, action, only);
  await mustOn(stack, member, script, `${action} ${only ?? "its processes"}`);
}

/** Shell text for the member's machine that does so, or with `isHeld` succeeds where it is. */
export function processesScript(
  stack: OperatedStack,
  member: Member,
  action: Deed,
  only?: string,
): string {
  const folder = folderOf(stack, member);
  const isDocker = stack.settings.platform === "docker";
  const { stop, start, mark, unmark, isMarked } = isDocker ? s6 : systemd;
  const deeds: Readonly<Record<Deed, string>> = {
    stop,
    start,
    // systemd would forget how a unit is stopped that is disabled before
    hold: isDocker ? `${mark}\n${stop}` : `${stop}\n${mark}`,
    release: `${unmark}\n${start}`,
    isHeld: isMarked,
  };
  return isDocker
    ? `set -- '${only ?? "[^/]*"}'; cd ${folder} && {\n${deeds[action]}\n}`
    : `units() { ls ${folder}/units${only === undefined ? "" : ` | grep -x hastack-${only}.service`}; }
cd ${folder} && {\n${deeds[action]}\n}`;
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
