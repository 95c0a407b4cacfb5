import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planReboot } from "../operate/act/reboot.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run reboot [-- MACHINE…] [--stack NAME] [--yes]";

/** `npm run reboot`: machines start anew, one after the other, each whole before the next. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  const stack = openStack(name);
  const what = ["reboot", ...names].join(" ");
  return operate(stack, { what, yes }, () => planReboot(stack, names));
}
