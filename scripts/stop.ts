import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planStop } from "../operate/act/stop.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run stop [-- --stack NAME] [--yes]";

/** `npm run stop`: the whole stack is down, with all its data, until `npm run resume`. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes } = readOperationCall(args, usage, { names: 0 });
  const stack = openStack(name);
  return operate(stack, { what: "stop", yes }, () => planStop(stack, yes));
}
