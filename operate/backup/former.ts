/** Puts the former data back after a restore in the stack's place that was cut off, or failed. */
import { say } from "../act/plan.ts";
import type { OperatedStack } from "../stack.ts";
import { handsOn } from "./hands.ts";
import { type Phase, readNote } from "./note.ts";
import { putBack, settle } from "./takeover.ts";

/** In these one of both serves, as it is meant to. */
const nothingUnderWay: readonly Phase[] = ["copied", "waits", "accepting"];
/** In these the former data is not in its place for certain. */
const underWay: readonly Phase[] = ["swapping", "undoing", "back"];

/**
 * Where restored data was on its way, the former serves again; where it serves already, it stays.
 * @throws with what keeps the former data from serving
 */
export async function haveFormerData(stack: OperatedStack): Promise<void> {
  const note = await readNote(stack);
  if (note === undefined || nothingUnderWay.includes(note.phase)) return;
  if (!underWay.includes(note.phase)) {
    say(
      "the restored data serves already, and stays: npm run restore -- --in-place does the rest, --undo puts the former data back",
    );
    return;
  }
  const hands = handsOn(stack);
  const back = await putBack(hands, note);
  try {
    await settle(hands, back);
  } catch (error) {
    // Without the backup member the stack serves on; it must not keep other operations from it
    say(
      `the data from before the restore serves, but not all is done: ${(error as Error).message}. npm run restore -- --undo does the rest`,
    );
  }
}
