/** The operator's commands, typed by hand while clients go on. */
import assert from "node:assert/strict";
import { lastWords, type Outcome } from "../../lib/run.ts";
import { assertNoneFailed, show, underLoad } from "./measure.ts";
import { type Promised, slack } from "./promises.ts";
import type { TestStack } from "./test-stack.ts";
import { missingWrites, patientVisits } from "./traffic.ts";

/** Commands that ask nothing, as they only look. */
const looks = ["journal", "status", "drift"];

/** What a machine that is busy with the tests makes of no time at all, seconds. */
const busySeconds = 3;

/** Most that a single operation takes; one for all machines may say otherwise. */
const operationSeconds = 240;

/** `npm run NAME -- ARGUMENTS`. Never throws: look at `code`. */
export function command(
  stack: TestStack,
  [name = "", ...args]: readonly string[],
  limitSeconds = operationSeconds,
): Promise<Outcome> {
  const options = ["--stack", stack.name, ...(looks.includes(name) ? [] : ["--yes"])];
  return stack.npm(["run", "--silent", name, "--", ...args, ...options], limitSeconds);
}

/** A command that must succeed. @returns what it said */
export async function mustCommand(
  stack: TestStack,
  words: readonly string[],
  limitSeconds?: number,
): Promise<string> {
  const outcome = await command(stack, words, limitSeconds);
  assert.equal(outcome.code, 0, lastWords(outcome, 40));
  return outcome.stdout.trim();
}

/** A command under load: no request fails, every acknowledged write is there, and nobody waits for long. */
export async function operation(
  stack: TestStack,
  words: readonly string[],
  costs: Promised,
  limitSeconds?: number,
): Promise<void> {
  const act = async () => {
    console.log(`      ${await mustCommand(stack, words, limitSeconds)}`);
  };
  const report = await underLoad(stack, act, 1, patientVisits);
  show(words.join(" "), report, costs);
  assertNoneFailed(report);
  assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
  for (const kind of ["reads", "writes"] as const) {
    const most = Math.max(costs[kind] * slack, busySeconds);
    assert.ok(report[kind].gapSeconds <= most, `${kind} stood still for longer than ${most} s`);
  }
}
