import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planResume, startQuorum } from "../operate/act/stop.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run resume [-- --stack NAME] [--yes]";

/** `npm run resume`: after `stop` the stack runs again, after `pause` there is failover by itself again. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes } = readOperationCall(args, usage, { names: 0 });
  const stack = openStack(name);
  await startQuorum(stack);
  return operate(stack, { what: "resume", yes, stopped: "leave" }, () => planResume(stack));
}
