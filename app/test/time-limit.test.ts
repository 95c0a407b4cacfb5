import assert from "node:assert/strict";
import Mocha from "mocha";
import { inTime, itInTime, TimeLimitMissed } from "./support/time-limit.ts";

/** Runs one such test by itself. @returns how often it was tried, and its failures */
async function run(work: (attempt: number) => void): Promise<{ tries: number; failures: number }> {
  const mocha = new Mocha({ reporter: class {} as never });
  let tries = 0;
  const { it: ours } = globalThis;
  globalThis.it = ((title: string, body: Mocha.AsyncFunc) =>
    mocha.suite.addTest(new Mocha.Test(title, body))) as unknown as typeof ours;
  try {
    itInTime("one", async () => {
      tries += 1;
      work(tries);
    });
  } finally {
    globalThis.it = ours;
  }
  const failures = await new Promise<number>((resolve) => mocha.run(resolve));
  return { tries, failures };
}

describe("tests that watch a clock", () => {
  it("A9: a wrong answer fails at once, also after a limit was missed", async () => {
    const wrong = () => assert.equal("stale", "fresh");
    assert.deepEqual(await run(wrong), { tries: 1, failures: 1 });
    const later = (attempt: number) => (attempt === 1 ? inTime(2, 1) : wrong());
    assert.deepEqual(await run(later), { tries: 2, failures: 1 });
  });

  it("A9: a time limit may be missed twice, and no more", async () => {
    const missed = (times: number) => (attempt: number) => inTime(attempt <= times ? 9 : 0, 9);
    assert.deepEqual(await run(missed(0)), { tries: 1, failures: 0 });
    assert.deepEqual(await run(missed(2)), { tries: 3, failures: 0 });
    assert.deepEqual(await run(missed(3)), { tries: 3, failures: 1 });
    assert.throws(() => inTime(1, 1), TimeLimitMissed);
  });
});
