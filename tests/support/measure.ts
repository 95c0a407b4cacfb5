/** Breaking something under load: what the clients saw, judged against the promise. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { healed } from "./members.ts";
import { noiseSeconds, type Promised, slack } from "./promises.ts";
import type { TestStack } from "./test-stack.ts";
import {
  missingWrites,
  type Report,
  type Site,
  Traffic,
  travelVisits,
  type Visits,
} from "./traffic.ts";

const quietSeconds = 2;

/**
 * Runs something under light load, and a little before and after it.
 * @param afterSeconds how long the load goes on at least
 * @param visits what the clients do
 */
export async function underLoad(
  site: Site,
  act: () => Promise<unknown>,
  afterSeconds = 3,
  visits: Visits = travelVisits,
): Promise<Report> {
  const traffic = new Traffic(site, visits);
  await sleep(quietSeconds * 1000);
  let failure: unknown;
  try {
    await act();
    await sleep(afterSeconds * 1000);
  } catch (error) {
    failure = error;
  }
  const report = await traffic.stop();
  if (failure) throw failure;
  return report;
}

/** Runs something and prints how long it took. */
export async function timed<T>(what: string, act: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const result = await act();
  console.log(`      ${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Prints what was measured beside what is promised. */
export function show(what: string, { reads, writes }: Report, promised?: Promised): void {
  const beside = (seconds: number | undefined) =>
    seconds === undefined ? "" : ` (promised ${seconds} s)`;
  const line = (name: string, seen: typeof reads, promise: number | undefined) =>
    `${name}: longest gap ${seen.gapSeconds.toFixed(2)} s${beside(promise)} until ${seen.gapEnd.toISOString().slice(11, 19)}, ` +
    `${seen.good} good, ${seen.failed} failed ${seen.failed ? JSON.stringify(seen.failures) : ""}`;
  console.log(`      ${what}`);
  console.log(`        ${line("reads ", reads, promised?.reads)}`);
  console.log(`        ${line("writes", writes, promised?.writes)}`);
}

/**
 * A fault: broken under load, then everything heals, and every acknowledged write is there once.
 * @param act breaks something and, where it does not mend by itself, waits and mends it
 */
export async function fault(
  stack: TestStack,
  what: string,
  promised: Promised,
  act: () => Promise<unknown>,
  afterSeconds = 3,
): Promise<Report> {
  const report = await underLoad(stack, act, afterSeconds);
  show(what, report, promised);
  await healed(stack);
  assert.deepEqual(await missingWrites(stack, report.acknowledged), [], "acknowledged writes");
  assertWithin(report, promised);
  return report;
}

/** The gaps are within the promise, with the slack of a test, and there were writes at all. */
export function assertWithin(report: Report, promised: Promised): void {
  assert.ok(report.acknowledged.length > 0, "no write was acknowledged at all");
  const bound = (seconds: number) => Math.max(seconds * slack, noiseSeconds);
  assert.ok(
    report.reads.gapSeconds <= bound(promised.reads),
    `reads stood still for ${report.reads.gapSeconds} s`,
  );
  assert.ok(
    report.writes.gapSeconds <= bound(promised.writes),
    `writes stood still for ${report.writes.gapSeconds} s`,
  );
}
