import { readOperationCall } from "../operate/act/call.ts";
import { planUndrain } from "../operate/act/drain.ts";
import { membersNamed } from "../operate/act/named.ts";
import { operate } from "../operate/act/operation.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run undrain -- MEMBER|MACHINE [--stack NAME] [--yes]";

/** `npm run undrain -- NAME`: a member, or all of a machine, gets what it got before. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, names } = readOperationCall(args, usage);
  const [wanted, ...others] = names;
  if (wanted === undefined || others.length > 0) throw new Error(`use: ${usage}`);
  const stack = openStack(name);
  const members = membersNamed(stack, wanted);
  return operate(stack, { what: `undrain ${wanted}`, yes }, () => planUndrain(stack, members));
}
