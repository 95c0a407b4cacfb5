/** Machines start anew, one after the other; on Docker a member's container is its machine. */
import { runDocker } from "../../infra/platform/docker/engine.ts";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import { until } from "../../lib/until.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import type { Plan } from "./plan.ts";
import { type Deed, placesNamed, planRolling } from "./rolling.ts";

/** A server checks its memory for minutes before it boots. */
const bootSeconds = 900;

/** Every process of a container may take its grace. */
const stopSeconds = 660;

/** Tells one start of a machine from the next: that of its kernel, and of its first process. */
const startSign = "cat /proc/sys/kernel/random/boot_id && cut -d' ' -f22 /proc/1/stat";

async function signOf(stack: OperatedStack, machine: string): Promise<string | undefined> {
  const outcome = await onMachineOf(stack, machine, startSign, { limitSeconds: 5 });
  return isUnreachable(outcome) || outcome.code !== 0 ? undefined : outcome.stdout;
}

/** Starts a machine anew. @returns once it lets in again @throws where it does not in 15 minutes */
export async function startAnew(
  stack: OperatedStack,
  machine: string,
  signal: AbortSignal,
): Promise<void> {
  const before = await signOf(stack, machine);
  if (before === undefined) throw new Error(`${machine} does not answer`);
  if (stack.settings.platform === "docker")
    await runDocker(["restart", dockerNames(stack.name).container(machine)], "", stopSeconds);
  else {
    // The call's own connection may end with the machine
    const outcome = await onMachineOf(stack, machine, "systemctl reboot", { limitSeconds: 30 });
    if (!isUnreachable(outcome) && outcome.code > 0 && outcome.code < 128)
      throw new Error(`${machine} does not reboot: ${outcome.stderr.trim()}`);
  }
  await until(`${machine}, which was told to reboot, is back`, {
    probe: () => signOf(stack, machine),
    done: (now) => now !== undefined && now !== before,
    describe: (now) => (now === undefined ? "it does not answer" : "it has not gone down yet"),
    limitSeconds: bootSeconds,
    intervalSeconds: 1,
    signal,
  });
}

/** @param names of machines or members @default all machines @throws Refusal */
export function planReboot(stack: OperatedStack, names: readonly string[]): Promise<Plan> {
  const deed: Deed = {
    doing: stack.settings.platform === "docker" ? "restarting its container" : "rebooting",
    run: ({ machine }, signal) => startAnew(stack, machine, signal),
  };
  return planRolling(stack, placesNamed(stack, names), deed, []);
}
