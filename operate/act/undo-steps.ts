/** Puts back what an operation left. */
import { memberNamed, type OperatedStack } from "../stack.ts";
import { undrain } from "./drain.ts";
import { setPause } from "./pause.ts";
import { setProcesses } from "./processes.ts";
import type { Undo } from "./undo.ts";
import { raise } from "./whole.ts";

export async function carryOut(stack: OperatedStack, list: readonly Undo[]): Promise<void> {
  for (const one of list) {
    if (one.do === "resume") {
      await setPause(stack, false);
      continue;
    }
    if (one.do === "raise") {
      await raise(stack, new AbortController().signal);
      continue;
    }
    const members = one.members.map((name) => memberNamed(stack, name));
    if (one.do === "undrain") await undrain(stack, members);
    else for (const member of members) await setProcesses(stack, member, "start");
  }
}
