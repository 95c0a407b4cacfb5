import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planPause } from "../operate/act/pause.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run pause [-- --stack NAME] [--yes]";

/** `npm run pause`: no failover by itself, until `npm run resume`. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  if (names.length > 0) throw new Error(`use: ${usage}`);
  const stack = openStack(name);
  return operate(stack, { what: "pause", yes }, () => planPause(stack, true));
}
