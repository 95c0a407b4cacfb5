import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Line, merged, type Source } from "../../../../operate/logs/merge.ts";

const at = (second: number, text: string): Line => ({
  time: `2026-11-27T14:00:0${second}.000000000Z`,
  text,
});

/** A log that says each line after so many milliseconds. */
const source = (name: string, ...lines: readonly (readonly [number, Line])[]): Source => ({
  name,
  lines: (async function* () {
    for (const [milliseconds, line] of lines) {
      await sleep(milliseconds);
      yield line;
    }
  })(),
});

async function textsOf(sources: readonly Source[], patience?: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const { name, text } of merged(sources, patience)) texts.push(`${name} ${text}`);
  return texts;
}

describe("logs of several members", () => {
  const slow = () => source("slow", [40, at(1, "first")], [0, at(4, "fourth")]);
  const fast = () => source("fast", [0, at(2, "second")], [0, at(3, "third")]);

  it("W9: are one, by time, also where one comes later than the other", async () => {
    const inOrder = ["slow first", "fast second", "fast third", "slow fourth"];
    assert.deepEqual(await textsOf([fast(), slow()]), inOrder);
    assert.deepEqual(await textsOf([slow(), source("silent"), fast()]), inOrder);
  });

  it("W9: that are followed do not wait for one that says nothing", async () => {
    const silent = source("silent", [300, at(0, "late")]);
    const texts = await textsOf([silent, fast()], 20);
    assert.deepEqual(texts, ["fast second", "fast third", "silent late"]);
  });

  it("W9: that are followed are in order where they come within the patience", async () => {
    assert.equal((await textsOf([fast(), slow()], 200))[0], "slow first");
  });

  it("W9: that are followed come as fast as they are written, although one says nothing", async () => {
    const lines = Array.from({ length: 100 }, (_, index) => [0, at(index % 10, "old")] as const);
    const sources = [source("busy", ...lines), source("silent", [6000, at(9, "late")])];
    const started = performance.now();
    const seconds: number[] = [];
    for await (const { text } of merged(sources, 200))
      if (text === "old") seconds.push((performance.now() - started) / 1000);
    assert.equal(seconds.length, 100);
    // A hundred lines that wait one after the other take twenty seconds
    assert.ok((seconds.at(-1) ?? 9) < 5, `${seconds.at(-1)} s`);
  });

  it("W9: are told although one neither says anything nor ends", async () => {
    const never: Source = {
      name: "never",
      lines: (async function* () {
        await sleep(6_000);
        yield* [] as Line[];
      })(),
    };
    let seconds = 0;
    const started = performance.now();
    for await (const { text } of merged([never, fast()], 300)) {
      if (text === "third") seconds = (performance.now() - started) / 1000;
    }
    assert.ok(seconds > 0.2 && seconds < 5, `${seconds} s`);
  });

  it("W9: lines of one time stay in their member's order", async () => {
    const same = source("one", [0, at(1, "a")], [0, at(1, "b")]);
    assert.deepEqual(await textsOf([same, source("two", [0, at(1, "c")])]), [
      "one a",
      "one b",
      "two c",
    ]);
  });
});
