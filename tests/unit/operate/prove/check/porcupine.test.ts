import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { mustRun } from "../../../../../lib/run.ts";
import { canHaveHappened } from "../../../../../operate/prove/check/search.ts";
import type { Operation } from "../../../../../operate/prove/history.ts";
import { seedOfRun } from "../../../../support/drawn.ts";
import { buildGo, needsGo } from "../../../../support/unit/go-program.ts";
import { anyHistories, bentHistories, realHistories } from "../../../../support/unit/registers.ts";

/** With how many at least have to be linearizable, and not. */
const drawn = [
  { what: "of a real register", histories: realHistories(), least: [2000, 0] },
  {
    what: "of a real register, with one thing told otherwise",
    histories: bentHistories(),
    least: [300, 300],
  },
  { what: "of no register at all", histories: anyHistories(), least: [300, 300] },
] as const;

describe("the checker of registers and Porcupine", () => {
  let folder: string;
  let program: string;

  before(async function () {
    folder = mkdtempSync(join(tmpdir(), "porcupine-"));
    program = join(folder, "porcupine");
    await needsGo(this, "not compared");
    await buildGo("tests/support/porcupine", program);
  });

  after(() => rmSync(folder, { recursive: true }));

  async function saidByPorcupine(histories: readonly Operation[][]): Promise<boolean[]> {
    const input = histories.map((one) => `${JSON.stringify(one)}\n`).join("");
    const lines = (await mustRun([program], { input })).trimEnd().split("\n");
    return lines.map((line) => line === "true");
  }

  for (const { what, histories, least } of drawn)
    it(`say the same of each of 2000 histories ${what}`, async () => {
      const seed = seedOfRun();
      const all = fc.sample(histories, { numRuns: 2000, seed });
      const said = await saidByPorcupine(all);
      assert.equal(said.length, all.length);
      for (const [index, history] of all.entries())
        assert.equal(
          canHaveHappened(history, Number.POSITIVE_INFINITY),
          said[index],
          `HASTACK_TEST_SEED=${seed}: ${JSON.stringify(history)}`,
        );
      const linearizable = said.filter(Boolean).length;
      const counts = [linearizable, all.length - linearizable] as const;
      assert.ok(counts[0] >= least[0] && counts[1] >= least[1], `${counts}`);
    });
});
