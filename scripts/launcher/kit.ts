/** After an `up`: whether a recovery kit would bring back what there is now. */
import { printable } from "../../lib/printable.mjs";
import { reminderOf } from "../../operate/kit/judge.ts";
import { openStack } from "../../operate/stack.ts";

/** Says so where there is no kit, or an older one. What cannot be told here is the status's. */
export async function remindOfKit(name: string): Promise<void> {
  try {
    const reminder = await reminderOf(openStack(name));
    if (reminder !== undefined) process.stderr.write(`hastack: ${printable(reminder)}\n`);
  } catch {
    // It did what it was asked for
  }
}
