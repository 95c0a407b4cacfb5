import { readOperationCall } from "../operate/act/call.ts";
import { describeEntry, readJournal } from "../operate/act/journal.ts";
import { describeHolder, lockHolder } from "../operate/act/lock.ts";
import { describeUndo, whatIsLeft } from "../operate/act/undo.ts";
import { openStack } from "../operate/stack.ts";

/** `npm run journal`: what operators did to the stack, the oldest first, and who is at it now. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name } = readOperationCall(args, "npm run journal [-- --stack NAME]", {
    names: 0,
  });
  const stack = openStack(name);
  for (const entry of await readJournal(stack)) process.stdout.write(`${describeEntry(entry)}\n`);
  const [holder, left] = await Promise.all([lockHolder(stack), whatIsLeft(stack)]);
  if (holder) process.stdout.write(`\n${describeHolder(holder)}\n`);
  else if (left?.stays)
    process.stdout.write("\nthe stack is stopped; npm run resume starts it again\n");
  else if (left)
    process.stdout.write(
      `\n${left.what} was cut off; the next operation will ${left.undo.map(describeUndo).join(", ")}\n`,
    );
  return 0;
}
