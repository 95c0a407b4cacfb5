/** Whether the proof proves: what is broken in secret is found, and nothing is found where nothing is broken. */
import assert from "node:assert/strict";
import { missesOf, violationsOf } from "../../operate/prove/judge.ts";
import type { Proof } from "../../operate/prove/proof.ts";
import { ContainerPlace } from "../support/container-place.ts";
import { onlyInFull } from "../support/full.ts";
import { timed } from "../support/measure.ts";
import { healed } from "../support/members.ts";
import { type Mutant, mutants } from "../support/mutants.ts";
import { command } from "../support/operation.ts";
import { TestStack } from "../support/test-stack.ts";

const stack = new TestStack("e2e", new ContainerPlace("e2e"));
/** Of all mutants. That nothing is synced only a disk that forgets can show: power-loss.test.ts has one. */
const leastFound = 18;
/** So often nothing is found where nothing is broken. */
const trueRuns = 20;
const trueFaults = ["nothing", "postgres-killed", "haproxy-hung", "standby-cut-off"];

describe("what is broken in secret", function () {
  this.timeout("120m");
  const found: string[] = [];

  before(async function () {
    onlyInFull(this);
    await stack.create();
    await timed("up", () => stack.mustUp());
    await healed(stack);
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  for (const mutant of mutants)
    it(`${mutant.what}: tried by ${mutant.fault}`, async () => {
      const evidence = await evidenceOf(mutant);
      const isFound = mutant.found.test(evidence);
      if (isFound) found.push(mutant.what);
      console.log(
        `      ${isFound ? "found" : "NOT FOUND"}: ${evidence.slice(0, 300) || "nothing"}`,
      );
      await healed(stack);
    });

  it(`${leastFound} of ${mutants.length} are found, at least`, () => {
    console.log(`      found ${found.length} of ${mutants.length}`);
    assert.ok(found.length >= leastFound, found.join("; "));
  });

  it(`nothing that must never be is found in ${trueRuns} runs where nothing is broken`, async () => {
    const runs = String(trueRuns / trueFaults.length);
    const words = ["prove", "--only", trueFaults.join(","), "--runs", runs, "--json"];
    const { stdout, stderr } = await command(stack, words, 3000);
    console.log(stderr);
    const all = (JSON.parse(stdout) as Proof).faults.flatMap((one) => one.runs);
    assert.ok(all.length >= trueRuns, `${all.length} runs`);
    assert.deepEqual(all.flatMap(violationsOf), []);
  });

  /** All that a proof says of it. */
  async function evidenceOf({ fault, put }: Mutant): Promise<string> {
    const undo = await put(stack);
    try {
      const { stdout, stderr } = await command(stack, ["prove", "--only", fault, "--json"], 900);
      if (!stdout.trimStart().startsWith("{")) return stderr;
      return (JSON.parse(stdout) as Proof).faults
        .flatMap(({ promised, runs }) =>
          runs.flatMap((run) => [
            ...violationsOf(run).map(({ rule, what }) => `${rule}: ${what}`),
            ...missesOf(run, promised).map(({ of, measured }) => `missed ${of} ${measured}`),
          ]),
        )
        .join("; ");
    } finally {
      await undo();
    }
  }
});
