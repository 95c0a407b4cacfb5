import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  endedFile,
  type Generations,
  generationsCheck,
  generationsFile,
  isStep,
  loginOf,
  renderGenerations,
} from "../../../infra/generations.ts";
import { run } from "../../../lib/run.ts";

/**
 * What a member says to new generations.
 * @param ended the last ones whose `up` has come to its end @default it is not told
 */
async function check(before: Generations | undefined, after: Generations, ended?: Generations) {
  const folder = mkdtempSync(join(tmpdir(), "hastack-generations-"));
  const fresh = join(folder, "new");
  try {
    mkdirSync(fresh);
    const others = { web: [3] };
    if (before) {
      const text = renderGenerations({ ...others, cache: before });
      writeFileSync(join(folder, generationsFile), text);
    }
    if (ended) {
      const text = renderGenerations({ ...others, cache: ended });
      writeFileSync(join(folder, endedFile), text);
    }
    writeFileSync(join(fresh, generationsFile), renderGenerations({ cache: after, ...others }));
    return await run(["sh", "-c", generationsCheck], { cwd: fresh });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("generations of a password", () => {
  it("N3: are one, or two neighbours", () => {
    for (const good of [[1], [1, 2], [2, 1], [7]]) assert.ok(isStep(good), String(good));
    for (const bad of [
      [1, 3],
      [2, 2],
    ])
      assert.ok(!isStep(bad), String(bad));
  });

  it("N3: take two logins in turns", () => {
    assert.deepEqual(
      [1, 2, 3, 4].map((one) => loginOf("app_web", one)),
      ["app_web", "app_web_2", "app_web", "app_web_2"],
    );
  });

  it("N3: a member takes each step, forth and back, and the first that it is told", async () => {
    const steps = [[1], [1, 2], [2, 1], [2], [2, 3], [3, 2], [12], [12, 13]];
    for (const [index, step] of steps.slice(1, 6).entries()) {
      const before = steps[index] ?? [];
      for (const [one, other] of [
        [before, step],
        [step, before],
        [step, step],
      ] as const) {
        assert.equal((await check(one, other)).code, 0, `${one} to ${other}`);
      }
    }
    assert.equal((await check(undefined, [5])).code, 0);
    assert.equal((await check([2, 1], [2, 3])).code, 0);
  });

  it("W5, N3: and refuses one that was left out", async () => {
    for (const [before, after] of [
      [[1], [2]],
      [[1], [2, 1]],
      [[2], [1]],
      [[1, 2], [2]],
      [[1], [12]],
      [[12], [1, 2]],
    ] as const) {
      const { code, stdout } = await check(before, after);
      assert.equal(code, 1, `${before} to ${after}`);
      assert.match(
        stdout,
        new RegExp(
          `^hastack:credentials.cache: change it by one step at a time.*now it is \\[${before.join(", ")}\\]`,
          "i",
        ),
      );
    }
  });

  it("N3: a member refuses the next step until the last one has ended, and names what to do", async () => {
    for (const [ended, begun, next] of [
      [[1], [1, 2], [2, 1]],
      [[1, 2], [2, 1], [2]],
      [[2, 1], [2], [2, 3]],
      // Backwards, too
      [[2, 1], [1, 2], [1]],
      [[2], [2, 1], [1, 2]],
    ] as const) {
      const { code, stdout } = await check(begun, next, ended);
      assert.equal(code, 1, `${ended}, begun ${begun}, to ${next}`);
      assert.equal(
        stdout,
        `hastack:credentials.cache: the up of its last step has not come to its end, and some still have what was before. Set [${begun.join(", ")}] again (or [${ended.join(", ")}], to go back) and run up until it ends, then take the next step\n`,
      );
      for (const good of [begun, ended])
        assert.equal((await check(begun, good, ended)).code, 0, `${begun} to ${good}`);
      assert.equal((await check(begun, next, begun)).code, 0, `${begun} to ${next}, ended`);
    }
  });
});
