import { readOperationCall } from "../operate/act/call.ts";
import { findDrift } from "../operate/drift/drift.ts";
import { statusOf, textOf } from "../operate/drift/report.ts";
import { stackState } from "../operate/drift/state.ts";
import { openStack } from "../operate/stack.ts";
import { orUntold } from "../operate/untold.ts";
import { pulumiEnvironment } from "./launcher/environment.ts";
import { heldBy } from "./launcher/recovery.ts";

const usage = "npm run drift [-- --stack NAME] [--json]";

/**
 * `npm run drift [-- --stack NAME] [--json]`: what was changed by hand since the last `up`. It ends with
 * 0 where nothing was, 1 where something was, 2 where not all could be looked at.
 */
export const main = (args: readonly string[]): Promise<number> => orUntold(() => look(args));

async function look(args: readonly string[]): Promise<number> {
  const { stack: name, options } = readOperationCall(args, usage, {
    own: { json: { type: "boolean" } },
    names: 0,
  });
  const stack = openStack(name);
  if (await isHeld(name)) return 2;
  const drift = await findDrift(stack, await stackState(name));
  if (drift.compared === 0) {
    const why = "no up of it was made from this checkout, so there is nothing to compare with";
    process.stderr.write(`${name}: ${why}\n`);
    return 2;
  }
  // What an `up` did meanwhile is no drift
  if (await isHeld(name)) return 2;
  const shown = options.json ? `${JSON.stringify(drift, null, 2)}\n` : textOf(drift, name);
  process.stdout.write(shown);
  return statusOf(drift);
}

async function isHeld(stack: string): Promise<boolean> {
  const lock = await heldBy(stack, pulumiEnvironment());
  if (lock === undefined) return false;
  process.stderr.write(
    `${stack}: another command works on it (process ${lock.pid}, since ${lock.timestamp}); try again when it has ended\n`,
  );
  return true;
}
