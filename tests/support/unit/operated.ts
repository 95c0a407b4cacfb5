/** A stack as commands open it, of a stand-in machine alone. */
import type { OperatedStack } from "../../../operate/stack.ts";
import type { StandIn } from "./machines.ts";

/** It has no members, and of its settings those by which its machine is reached. */
export function stackOn({ target }: StandIn): OperatedStack {
  const { identityFile, ...machine } = target;
  const settings = { platform: "ssh", machines: [machine], ssh: { identityFile } };
  return { name: "unit", settings } as unknown as OperatedStack;
}
