import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planRestart } from "../operate/act/restart.ts";
import { memberNamed, openStack } from "../operate/stack.ts";

const usage = "npm run restart -- MEMBER [--stack NAME] [--yes]";

/** `npm run restart -- MEMBER`: drained, restarted, healthy, and given its requests again. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  const [wanted, ...others] = names;
  if (wanted === undefined || others.length > 0) throw new Error(`use: ${usage}`);
  const stack = openStack(name);
  const member = memberNamed(stack, wanted);
  return operate(stack, { what: `restart ${wanted}`, yes }, () => planRestart(stack, member));
}
