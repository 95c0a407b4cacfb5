import { readOperationCall } from "../operate/act/call.ts";
import { describeEntry, readJournal } from "../operate/act/journal.ts";
import { describeHolder, lockHolder } from "../operate/act/lock.ts";
import { openStack } from "../operate/stack.ts";

/** `npm run journal`: what operators did to the stack, the oldest first, and who is at it now. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name } = readOperationCall(args, "npm run journal [-- --stack NAME]", {
    names: 0,
  });
  const stack = openStack(name);
  for (const entry of await readJournal(stack)) process.stdout.write(`${describeEntry(entry)}\n`);
  const holder = await lockHolder(stack);
  if (holder) process.stdout.write(`\n${describeHolder(holder)}\n`);
  return 0;
}
