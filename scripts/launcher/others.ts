/** An `up` and the operations on a stack do not cross: it takes their lock, and is in their journal. */
import { printable } from "../../lib/printable.mjs";
import { note } from "../../operate/act/journal.ts";
import { type Holder, holderOf, type Lock, takeLock } from "../../operate/act/lock.ts";
import { undoLeft } from "../../operate/act/operation.ts";
import { startQuorum } from "../../operate/act/stop.ts";
import { NoStore } from "../../operate/act/store.ts";
import { isStopped } from "../../operate/act/whole.ts";
import { type OperatedStack, openStack } from "../../operate/stack.ts";

const say = (text: string): void => void process.stderr.write(`hastack: ${printable(text)}\n`);

/**
 * Runs a command that may change a stack while nobody else does. A stack that is not there yet, or cannot
 * be asked, has no lock: the command may be what mends it.
 * @param run gives the command's exit code
 * @throws Held where an operation, or another such command, is under way
 */
export async function withoutOthers(
  name: string,
  command: string,
  run: () => Promise<number>,
): Promise<number> {
  const stack = opened(name);
  const holder = holderOf(command);
  const lock = stack && (await lockIfThere(stack, holder, isUp(command)));
  if (!stack || !lock) return run();
  try {
    await undoLeft(stack, isUp(command) ? "start" : "leave").catch(({ message }: Error) =>
      say(`what is left stays so: ${message}`),
    );
    await note(stack, holder).catch(() => {});
    const code = await run();
    const until = new Date().toISOString();
    const outcome = code === 0 ? "done" : "failed";
    // After destroy there is nothing to note it in
    await note(stack, holder, { until, outcome, result: `exit code ${code}` }).catch(() => {});
    return code;
  } finally {
    await lock.release().catch(() => {});
  }
}

/** Settings that cannot be read are the command's to complain about. */
function opened(name: string): OperatedStack | undefined {
  try {
    return openStack(name);
  } catch {
    return undefined;
  }
}

const isUp = (command: string): boolean => /^(up|update)\b/.test(command);

/** @param starts whether a stack that is stopped is started: else it would be half started, in any order */
async function lockIfThere(
  stack: OperatedStack,
  holder: Holder,
  starts: boolean,
): Promise<Lock | undefined> {
  try {
    return await takeLock(stack, holder);
  } catch (error) {
    if (!(error instanceof NoStore)) throw error;
    if (starts && error.isThere && (await isStopped(stack))) {
      say(`${stack.name} is stopped: it is started again first, as by npm run resume`);
      await startQuorum(stack);
      return takeLock(stack, holder);
    }
    if (error.isThere)
      say(`no lock keeps other operators from ${stack.name} now: ${error.message}`);
    return undefined;
  }
}
