import { parseArgs } from "node:util";
import { printable } from "../lib/printable.mjs";
import { findDrift } from "../operate/drift/drift.ts";
import { statusOf, textOf } from "../operate/drift/report.ts";
import { stackState } from "../operate/drift/state.ts";
import { openStack } from "../operate/stack.ts";
import { pulumiEnvironment } from "./launcher/environment.ts";
import { heldBy } from "./launcher/recovery.ts";
import { defaultStack } from "./launcher/stack.ts";

/**
 * `npm run drift [-- --stack NAME] [--json]`: what was changed by hand since the last `up`. It ends with
 * 0 where nothing was, 1 where something was, 2 where not all could be looked at.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await look(args);
  } catch (error) {
    process.stderr.write(`${printable((error as Error).message)}\n`);
    return 2;
  }
}

async function look(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      stack: { type: "string", short: "s", default: defaultStack },
      json: { type: "boolean" },
    },
  });
  const stack = openStack(values.stack);
  if (await isHeld(values.stack)) return 2;
  const drift = await findDrift(stack, await stackState(values.stack));
  if (drift.compared === 0) {
    const why = "no up of it was made from this checkout, so there is nothing to compare with";
    process.stderr.write(`${values.stack}: ${why}\n`);
    return 2;
  }
  // What an `up` did meanwhile is no drift
  if (await isHeld(values.stack)) return 2;
  const shown = values.json ? `${JSON.stringify(drift, null, 2)}\n` : textOf(drift, values.stack);
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
