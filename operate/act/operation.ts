/**
 * The frame of every operation: the lock, what was left by one that was cut off, what it will cost, the
 * question, the journal, and what puts back the state before where it does not end well.
 */
import { createInterface } from "node:readline/promises";
import { signals } from "../../lib/interrupted.ts";
import { printable } from "../../lib/printable.mjs";
import { defaultStack } from "../../scripts/launcher/stack.ts";
import type { OperatedStack } from "../stack.ts";
import { note } from "./journal.ts";
import { type Holder, holderOf, type Lock, takeLock } from "./lock.ts";
import { type Plan, Refusal, say, Unfinished } from "./plan.ts";
import { NoStore } from "./store.ts";
import { clearLeft, describeUndo, noteLeft, type Undo, whatIsLeft } from "./undo.ts";
import { carryOut } from "./undo-steps.ts";
import { isStopped, isStoppedSince } from "./whole.ts";

export interface OperationOptions {
  /** As it was called, for the journal: `drain storefront-1`. */
  readonly what: string;
  readonly yes: boolean;
  /** What is done about a stack that is stopped. @default refuse */
  readonly stopped?: Stopped;
}

/** `leave` it so: the operation itself is about that. */
type Stopped = "refuse" | "leave" | "start";

/**
 * Runs an operation.
 * @param plan looks at the stack @throws Refusal
 * @returns the command's exit status
 */
export async function operate(
  stack: OperatedStack,
  { what, yes, stopped }: OperationOptions,
  plan: () => Promise<Plan>,
): Promise<number> {
  const holder = holderOf(what);
  const lock = await lockOrAsk(stack, holder, yes);
  if (lock === "refused") return 1;
  try {
    if (lock) await undoLeft(stack, stopped);
    const planned = await plan();
    for (const cost of planned.costs) say(cost);
    const { question } = planned;
    const isAsked = question !== undefined || stack.name !== defaultStack;
    if (isAsked && !(await agreed(question ?? `${what} on ${stack.name}?`, yes))) return 1;
    return await carry(stack, holder, planned, lock);
  } finally {
    await lock?.release().catch(() => {});
  }
}

/** Without etcd there is no lock; whether there is another operator then only people know. */
async function lockOrAsk(
  stack: OperatedStack,
  holder: Holder,
  yes: boolean,
): Promise<Lock | undefined | "refused"> {
  try {
    return await takeLock(stack, holder);
  } catch (error) {
    if (!(error instanceof NoStore)) throw error;
    if (await isStopped(stack)) throw new Refusal(isStoppedSince);
    say(`no lock and no journal: etcd cannot be asked.\n${error.message}`);
    say("Nothing keeps another operator from this stack now, and nothing of this is noted.");
    return (await agreed("Go on without?", yes)) ? undefined : "refused";
  }
}

/** Asks the operator. @param yes it is answered already @returns whether it is agreed to */
export async function agreed(question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) {
    say(`${question} Nobody can be asked here: give --yes`);
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

/** Undoes what a command that is no more has left. @throws with what could not be undone, which stays noted */
export async function undoLeft(stack: OperatedStack, stopped: Stopped = "refuse"): Promise<void> {
  const left = await whatIsLeft(stack);
  if (left === undefined) return;
  if (left.stays) {
    if (stopped === "refuse")
      throw new Refusal(`${isStoppedSince} (${left.what} by ${left.operator})`);
    if (stopped === "leave") return;
    await carryOut(stack, left.undo, "left");
    return clearLeft(stack);
  }
  say(`${left.what} by ${left.operator} was cut off: ${left.undo.map(describeUndo).join(", ")}`);
  await carryOut(stack, left.undo, "left");
  await clearLeft(stack);
  const until = new Date().toISOString();
  await note(stack, left, {
    until,
    outcome: "undone",
    result: "cut off; a later one put back what it left",
  });
}

async function carry(
  stack: OperatedStack,
  holder: Holder,
  { undo = [], run, last, hasOutput = false }: Plan,
  lock: Lock | undefined,
): Promise<number> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error("it was interrupted"));
  for (const name of signals) process.on(name, interrupt);
  const end = async (outcome: "done" | "failed" | "undone", result: string) => {
    const isTold = outcome === "done" && !hasOutput;
    (isTold ? process.stdout : process.stderr).write(`${printable(result)}\n`);
    if (!lock) return;
    const until = new Date().toISOString();
    await note(stack, holder, { until, outcome, result }).catch((error: Error) =>
      say(`this could not be noted: ${error.message}`),
    );
  };
  try {
    if (lock) await note(stack, holder);
    if (lock && undo.length > 0) await noteLeft(stack, holder, undo);
    const result = await run(lock ? AbortSignal.any([stop.signal, lock.lost]) : stop.signal);
    lock?.lost.throwIfAborted();
    if (lock && undo.length > 0)
      await (last ? noteLeft(stack, holder, undo, true) : clearLeft(stack));
    await end("done", result);
    if (last) {
      await lock?.release();
      await last();
    }
    return 0;
  } catch (error) {
    const why = whyOf(error as Error, stop.signal, lock?.lost);
    if (error instanceof Unfinished && !lock?.lost.aborted) {
      if (lock && undo.length > 0) await clearLeft(stack);
      await end("failed", why);
      return 1;
    }
    // What is left is another's by now
    if (undo.length === 0 || lock?.lost.aborted) await end("failed", why);
    else await end(...(await undone(stack, undo, why, lock)));
    return 1;
  } finally {
    for (const name of signals) process.off(name, interrupt);
  }
}

/** Node's own calls say only that they were aborted, and not why. */
function whyOf({ name, message }: Error, ...signals: readonly (AbortSignal | undefined)[]): string {
  const ended = signals.find((one) => one?.aborted);
  return name === "AbortError" && ended ? (ended.reason as Error).message : message;
}

/** What cannot be undone stays noted, for the next command. */
async function undone(
  stack: OperatedStack,
  undo: readonly Undo[],
  why: string,
  lock: Lock | undefined,
): Promise<["undone" | "failed", string]> {
  say(`${why}: ${undo.map(describeUndo).join(", ")}`);
  try {
    await carryOut(stack, undo, "fails");
    if (lock) await clearLeft(stack);
    return ["undone", `${why}; it was undone`];
  } catch (error) {
    const next = lock ? "the next command tries again" : "nothing remembers it";
    return ["failed", `${why}; it could not be undone (${(error as Error).message}): ${next}`];
  }
}
