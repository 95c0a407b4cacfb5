import { interrupted } from "../lib/interrupted.ts";
import { printable } from "../lib/printable.mjs";
import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { type Plan, say } from "../operate/act/plan.ts";
import { readMoment } from "../operate/backup/moment.ts";
import { describeMoment } from "../operate/backup/note.ts";
import { GoesOn } from "../operate/backup/request.ts";
import {
  beside,
  planAccept,
  planDiscard,
  planInPlace,
  planUndo,
} from "../operate/backup/restore.ts";
import { type OperatedStack, openStack } from "../operate/stack.ts";

const usage =
  "npm run restore -- --to TIME|newest [--beside | --in-place] | --in-place | --undo | --accept | --discard [--stack NAME] [--yes]";

const own = {
  to: { type: "string" },
  beside: { type: "boolean" },
  "in-place": { type: "boolean" },
  undo: { type: "boolean" },
  accept: { type: "boolean" },
  discard: { type: "boolean" },
} as const;

const ends: Readonly<Record<string, (stack: OperatedStack) => Promise<Plan>>> = {
  undo: planUndo,
  accept: planAccept,
  discard: planDiscard,
};

/**
 * `npm run restore`: a moment of the past beside the stack, which serves on; in its place, after a question; and
 * back again until it is accepted.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, yes, options } = readOperationCall(args, usage, { own, names: 0 });
  const { to, ...deeds } = options;
  const [deed = "beside", ...others] = Object.keys(deeds);
  if (others.length > 0)
    throw new Error(`--${deed}, --${others.join(", --")}: one at a time; use: ${usage}`);
  const end = ends[deed];
  if (end && to !== undefined) throw new Error(`--to is not of --${deed}; use: ${usage}`);
  if (deed === "beside" && to === undefined) throw new Error(`say to which time; use: ${usage}`);
  const moment = to === undefined ? undefined : readMoment(String(to));
  const stack = openStack(name);
  if (moment !== undefined) say(`to ${describeMoment(moment)}`);
  if (deed === "beside") return show(stack, moment ?? "");
  const what = `restore --${deed}${moment === undefined ? "" : ` --to ${moment}`}`;
  return operate(stack, { what, yes }, () => (end ? end(stack) : planInPlace(stack, moment, yes)));
}

async function show(stack: OperatedStack, moment: string): Promise<number> {
  try {
    process.stdout.write(`${printable(await beside(stack, moment, interrupted()))}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof GoesOn)) throw error;
    say(error.message);
    return 2;
  }
}
