import assert from "node:assert/strict";
import { until } from "../../../lib/until.ts";

/** Long enough for several looks on a machine that is busy with something else. */
const soon = { limitSeconds: 0.5, intervalSeconds: 0.005 };
/** Never met: whoever waits for it has not seen what it waits for. */
const patient = { limitSeconds: 60, intervalSeconds: 0.005 };

/** A probe that gives these answers in turn, then the last one for ever. */
function answers<T>(...list: readonly (T | Error)[]): { probe: () => T; asked: () => number } {
  let count = 0;
  return {
    asked: () => count,
    probe: () => {
      const answer = list[Math.min(count++, list.length - 1)];
      if (answer instanceof Error) throw answer;
      return answer as T;
    },
  };
}

describe("until", () => {
  it("returns the answer that was awaited, and asks no more", async () => {
    const { probe, asked } = answers(1, 2, 3, 4);
    assert.equal(await until("three", { ...patient, probe, done: (one) => one === 3 }), 3);
    assert.equal(asked(), 3);
  });

  it("asks at once, before it waits", async () => {
    const start = Date.now();
    await until("now", { probe: () => true, done: Boolean, limitSeconds: 9, intervalSeconds: 9 });
    assert.ok(Date.now() - start < 8000);
  });

  it("takes a probe that throws as one more answer that is not the one awaited", async () => {
    const { probe } = answers(new Error("refused"), "up");
    assert.equal(await until("up", { ...patient, probe, done: (one) => one === "up" }), "up");
  });

  const failing: readonly [string, Parameters<typeof until<number>>[1], string][] = [
    [
      "names what was awaited, the limit and the last answer",
      { ...soon, probe: answers(1, 2).probe, done: () => false },
      "a primary: not within 0.5 s; last answer: 2",
    ],
    [
      "shows the last error where the probe threw",
      { ...soon, probe: answers<number>(1, new Error("refused")).probe, done: () => false },
      "a primary: not within 0.5 s; last answer: refused",
    ],
    [
      "shows the answer as the caller describes it",
      { ...soon, probe: () => 7, done: () => false, describe: (one) => `lag ${one}` },
      "a primary: not within 0.5 s; last answer: lag 7",
    ],
    [
      "adds the caller's hint",
      { ...soon, probe: () => 7, done: () => false, hint: () => "see the log" },
      "a primary: not within 0.5 s; last answer: 7\nsee the log",
    ],
    [
      "gives up at once when it is hopeless, and says why",
      {
        probe: () => 1,
        done: () => false,
        hopeless: () => "there is no such container",
        limitSeconds: 60,
      },
      "a primary: there is no such container; last answer: 1",
    ],
  ];
  for (const [what, wait, message] of failing) {
    it(what, async () => {
      await assert.rejects(until("a primary", wait), { message });
    });
  }

  it("takes the awaited answer even where it would be hopeless", async () => {
    const wait = { ...soon, probe: () => 1, done: () => true, hopeless: () => "gone" };
    assert.equal(await until("one", wait), 1);
  });

  it("ends as soon as its signal says so, with its reason", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("it was interrupted")), 20);
    const { signal } = stop;
    const wait = {
      probe: () => 1,
      done: () => false,
      limitSeconds: 60,
      intervalSeconds: 30,
      signal,
    };
    await assert.rejects(until("never", wait), { message: "it was interrupted" });
  });

  it("keeps to its limit", async () => {
    const start = Date.now();
    const wait = { probe: () => 1, done: () => false, limitSeconds: 0.2, intervalSeconds: 0.01 };
    await assert.rejects(until("never", wait));
    const took = Date.now() - start;
    assert.ok(took >= 190 && took < 5000, `${took} ms`);
  });
});
