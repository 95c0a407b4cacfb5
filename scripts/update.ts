import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { packagesIn, planUpdate } from "../operate/act/update.ts";
import { stackState } from "../operate/drift/state.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run update [-- MACHINE…] [--stack NAME] [--yes]";

/** `npm run update`: newer Debian packages, one machine after the other, each whole before the next. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  const stack = openStack(name);
  const what = ["update", ...names].join(" ");
  return operate(stack, { what, yes }, async () => {
    const { resources } = await stackState(name);
    return planUpdate(stack, packagesIn(resources), names);
  });
}
