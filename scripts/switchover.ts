import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planSwitchover } from "../operate/act/switchover.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run switchover [-- MEMBER] [--stack NAME] [--yes]";

/** `npm run switchover`: the standby becomes the primary; where there is none, the member that is named. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  if (names.length > 1) throw new Error(`use: ${usage}`);
  const stack = openStack(name);
  const what = ["switchover", ...names].join(" ");
  return operate(stack, { what, yes }, () => planSwitchover(stack, names[0], { loss: yes }));
}
