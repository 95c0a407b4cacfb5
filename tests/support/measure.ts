/** Breaking something under load: what the clients saw, judged against the promise. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { healed } from "./members.ts";
import { mostSeconds, type Promised } from "./promises.ts";
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
export function show(
  what: string,
  { reads, databaseReads, writes }: Report,
  promised?: Promised,
): void {
  const beside = (seconds: number | undefined) =>
    seconds === undefined ? "" : ` (promised ${seconds} s)`;
  const line = (name: string, seen: typeof reads, promise: number | undefined) =>
    `${name}: longest gap ${seen.gapSeconds.toFixed(2)} s${beside(promise)} until ${seen.gapEnd.toISOString().slice(11, 19)}, ` +
    `${seen.good} good, ${seen.failed} failed ${seen.failed ? `over ${seen.failingSeconds} s ${JSON.stringify(seen.failures)}` : ""}`;
  console.log(`      ${what}`);
  console.log(`        ${line("reads         ", reads, promised?.reads)}`);
  console.log(`        ${line("database reads", databaseReads, promised?.reads)}`);
  console.log(`        ${line("writes        ", writes, promised?.writes)}`);
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

const kinds = ["reads", "databaseReads", "writes"] as const;

/** Every request had its answer. */
export function assertNoneFailed(report: Report, of: readonly (typeof kinds)[number][] = kinds) {
  for (const kind of of) {
    const { failed, failures } = report[kind];
    assert.equal(failed, 0, `${kind}: ${JSON.stringify(failures)}`);
  }
}

/** What was seen is within the promise, with the slack of a test, and there were writes at all. */
export function assertWithin(report: Report, promised: Promised): void {
  assert.ok(report.acknowledged.length > 0, "no write was acknowledged at all");
  for (const kind of kinds) {
    const { gapSeconds, failures, failingSeconds } = report[kind];
    const most = mostSeconds(promised, kind === "writes" ? "writes" : "reads");
    assert.ok(gapSeconds <= most, `${kind} stood still for ${gapSeconds} s: at most ${most} s`);
    const failing = `${kind} failed over ${failingSeconds} s: ${JSON.stringify(failures)}`;
    assert.ok(failingSeconds <= most, `${failing}: at most ${most} s`);
  }
  if (promised.noneFails) assertNoneFailed(report);
}
