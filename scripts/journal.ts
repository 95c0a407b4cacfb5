import { printable } from "../lib/printable.mjs";
import { readOperationCall } from "../operate/act/call.ts";
import { describeEntry, readJournal } from "../operate/act/journal.ts";
import { describeHolder, isGone, lockHolder } from "../operate/act/lock.ts";
import { describeUndo, whatIsLeft } from "../operate/act/undo.ts";
import { isStoppedSince, orStopped } from "../operate/act/whole.ts";
import { openStack } from "../operate/stack.ts";

/** `npm run journal`: what operators did to the stack, the oldest first, and who is at it now. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name } = readOperationCall(args, "npm run journal [-- --stack NAME]", {
    names: 0,
  });
  const stack = openStack(name);
  const tell = (text: string) => process.stdout.write(`${printable(text)}\n`);
  for (const entry of await orStopped(stack, readJournal(stack))) tell(describeEntry(entry));
  const [holder, left] = await Promise.all([lockHolder(stack), whatIsLeft(stack)]);
  if (holder && !isGone(holder)) tell(`\n${describeHolder(holder)}`);
  else if (left?.stays) tell(`\n${isStoppedSince}`);
  else if (left)
    tell(
      `\n${left.what} was cut off; the next operation will ${left.undo.map(describeUndo).join(", ")}`,
    );
  return 0;
}
