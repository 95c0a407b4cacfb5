/** Puts back what an operation left. */
import { allMembers, type Member } from "../../infra/topology.ts";
import { haveFormerData } from "../backup/former.ts";
import { mendAll } from "../prove/harm.ts";
import { removeProof } from "../prove/leftovers.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import { memberNamed, type OperatedStack } from "../stack.ts";
import { undrain } from "./drain.ts";
import { setPause } from "./pause.ts";
import { say } from "./plan.ts";
import { setProcesses } from "./processes.ts";
import type { Undo } from "./undo.ts";
import { raise } from "./whole.ts";

/** @param lost what is done about a member that cannot be reached: an error, or it is left as it is */
export async function carryOut(
  stack: OperatedStack,
  list: readonly Undo[],
  lost: "fails" | "left",
): Promise<void> {
  for (const one of list) {
    if (one.do === "resume") {
      await setPause(stack, false);
      continue;
    }
    if (one.do === "raise") {
      await raise(stack, new AbortController().signal);
      continue;
    }
    if (one.do === "former-data") {
      await haveFormerData(stack);
      continue;
    }
    if (one.do === "remove-proof") {
      const isMended = mendAll(stack);
      await isMended.catch(() => {});
      await removeProof(stack);
      await isMended;
      continue;
    }
    const members =
      lost === "left"
        ? await reachable(stack, one.members)
        : one.members.map((name) => memberNamed(stack, name));
    if (one.do === "undrain") await undrain(stack, members);
    else for (const member of members) await setProcesses(stack, member, "start");
  }
}

/** One that is lost must not keep the others: its machine starts its processes when it is back. */
async function reachable(stack: OperatedStack, names: readonly string[]): Promise<Member[]> {
  const there = await Promise.all(
    names.map(async (name) => {
      const member = allMembers(stack.topology).find((one) => one.name === name);
      if (member === undefined) say(`${name} is no member any more`);
      if (member === undefined || member.absent) return [];
      const outcome = await onMachineOf(stack, member.machine, "true", { limitSeconds: 5 });
      if (!isUnreachable(outcome)) return [member];
      say(`${name} cannot be reached (${outcome.unreachable}), and was left as it is`);
      return [];
    }),
  );
  return there.flat();
}
