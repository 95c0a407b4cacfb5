import { interrupted } from "../lib/interrupted.ts";
import { printable } from "../lib/printable.mjs";
import { readOperationCall } from "../operate/act/call.ts";
import { say } from "../operate/act/plan.ts";
import { backupWish, checkWish, drillWish, wish } from "../operate/backup/backup.ts";
import { lookAtBackups, textOfList } from "../operate/backup/list.ts";
import { checkedId, followRequest, GoesOn } from "../operate/backup/request.ts";
import { type OperatedStack, openStack } from "../operate/stack.ts";

const usage =
  "npm run backup [-- --full | --list [--json] | --check | --drill | --follow REQUEST] [--stack NAME]";

const own = {
  full: { type: "boolean" },
  list: { type: "boolean" },
  check: { type: "boolean" },
  drill: { type: "boolean" },
  follow: { type: "string" },
  json: { type: "boolean" },
} as const;

/**
 * `npm run backup`: a differential backup now, or a full one; what can be restored; whether the backups are whole;
 * a restore that tries them. It ends with 1 where something is not well, 2 where its end was not awaited.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, options } = readOperationCall(args, usage, { own, names: 0 });
  const { json, ...deeds } = options;
  const asked = Object.keys(deeds);
  if (asked.length > 1) throw new Error(`--${asked.join(", --")}: one at a time; use: ${usage}`);
  if (json && !deeds.list) throw new Error(`--json is of --list; use: ${usage}`);
  const stack = openStack(name);
  if (deeds.list) return list(stack, json === true);
  if (deeds.follow !== undefined) return follow(stack, checkedId(String(deeds.follow)));
  const wanted = deeds.check
    ? checkWish
    : deeds.drill
      ? drillWish
      : backupWish(deeds.full ? "full" : "diff");
  return wish(stack, wanted, interrupted());
}

async function list(stack: OperatedStack, json: boolean): Promise<number> {
  const listed = await lookAtBackups(stack);
  process.stdout.write(json ? `${JSON.stringify(listed, null, 2)}\n` : textOfList(listed));
  return listed.why === undefined && listed.gaps.length === 0 && listed.backups.length > 0 ? 0 : 1;
}

/** What another command has asked for, to its end. */
async function follow(stack: OperatedStack, id: string): Promise<number> {
  try {
    const result = await followRequest(stack, id, { signal: interrupted() });
    process.stdout.write(`${printable(JSON.stringify(result, null, 2))}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof GoesOn)) throw error;
    say(error.message);
    return 2;
  }
}
