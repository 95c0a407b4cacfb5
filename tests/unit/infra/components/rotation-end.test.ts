import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RotationEnd } from "../../../../infra/components/rotation-end.ts";
import {
  type Generations,
  generationsCheck,
  generationsFile,
  renderGenerations,
} from "../../../../infra/generations.ts";
import { mustRun, run } from "../../../../lib/run.ts";
import { platforms, recordAlone, type Surroundings } from "../../../support/unit/alone.ts";
import { describeStack, taskOf, workloadOf } from "../../../support/unit/stack.ts";

describe("RotationEnd", () => {
  const build = ({ platform, topology, options }: Surroundings) =>
    new RotationEnd("rotation-end", { platform, topology, generations: { cache: [1] } }, options);

  it("N3: is one task, on the member that is told of a step first, with what that one is told", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, build);
      assert.deepEqual(recording.childrenOf("RotationEnd", "rotation-end"), [
        "Command rotation-end",
      ]);
    }
    const stack = await describeStack();
    const { host, files } = taskOf(stack, "rotation-end");
    const told = workloadOf(stack, host.name).files.find(({ path }) => path === generationsFile);
    assert.ok(told);
    assert.deepEqual(
      files.map(({ content }) => content),
      [told.content],
    );
  });

  it("N3: has the member take the next step, and that one alone", async () => {
    const { script } = taskOf(await describeStack(), "rotation-end");
    const folder = mkdtempSync(join(tmpdir(), "hastack-rotation-"));
    const [fresh, task] = [join(folder, ".new"), join(folder, "task")];
    const write = (where: string, cache: Generations) =>
      writeFileSync(join(where, generationsFile), renderGenerations({ cache, web: [1] }));
    /** As `up` goes through the member. */
    const begin = async (step: Generations) => {
      write(fresh, step);
      const { code } = await run(["sh", "-c", generationsCheck], { cwd: fresh });
      if (code === 0) write(folder, step);
      return code === 0;
    };
    const end = async (step: Generations) => {
      write(task, step);
      await mustRun(["sh", "-euc", script], {
        cwd: task,
        env: { ...process.env, WORKLOAD: folder },
      });
    };
    try {
      for (const path of [fresh, task]) mkdirSync(path);
      write(folder, [1]);
      await end([1]);
      for (const [step, next] of [
        [
          [1, 2],
          [2, 1],
        ],
        [[2, 1], [2]],
        [[2], [2, 3]],
      ] as const) {
        assert.equal(await begin(step), true, `${step}`);
        assert.equal(await begin(next), false, `${next} while ${step} has not ended`);
        assert.equal(await begin(step), true, `${step} again`);
        await end(step);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
