import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { inHastack } from "../../../../lib/paths.ts";
import { isWanted } from "../../../../operate/prove/judge.ts";
import { keepProof, proofToResume } from "../../../../operate/prove/kept.ts";
import type { FaultResult } from "../../../../operate/prove/proof.ts";
import { drawnProof as proof } from "../../../support/unit/proof.ts";

describe("a proof that is kept", () => {
  const stack = `kept-${randomUUID()}`;
  const some = proof({ stack });
  const [first] = some.faults as [FaultResult];
  const runs = first.runs.length;
  after(() => rmSync(inHastack("prove", stack), { recursive: true }));

  it("goes on where it was cut off, and not once it has all its runs", () => {
    assert.throws(() => proofToResume(stack), /--resume: nothing was proved of kept-.* yet/);
    const half = { ...some, chosen: [first.name, "never tried"], runs };
    keepProof(half);
    assert.deepEqual(proofToResume(stack), JSON.parse(JSON.stringify(half)));
    keepProof({ ...half, chosen: [first.name], runs: runs + 1 });
    assert.equal(proofToResume(stack).runs, runs + 1);
    keepProof({ ...half, chosen: [first.name] });
    assert.throws(() => proofToResume(stack), /the last proof of kept-.* has all its runs/);
  });

  it("goes on, too, where a run did not count, a few times", () => {
    const [run] = first.runs;
    assert.ok(run);
    const late = { ...run, void: "late" };
    assert.equal(isWanted({ ...first, runs: [late] }, 1), true);
    assert.equal(isWanted({ ...first, runs: [late, run] }, 1), false);
    assert.equal(isWanted({ ...first, runs: [late, late, late] }, 1), false);
    assert.equal(isWanted(undefined, 1), true);
  });

  it("does not go on where the file is no proof, or of another stack", () => {
    const began = "2026-11-30T00:00:00.000Z";
    const file = `${inHastack("prove", stack)}/2026-11-30T00-00-00-000Z.json`;
    const damaged = [
      { ...some, began, runs: 1e9 },
      { ...some, began, chosen: "all" },
      { ...some, began, stack: "dev" },
      { ...some, began: "yesterday" },
      {
        ...some,
        began,
        faults: [{ ...first, promised: { reads: { failed: "<b>" }, writes: {} } }],
      },
    ];
    for (const text of ["", "{", ...damaged.map((one) => JSON.stringify(one))]) {
      writeFileSync(file, text);
      assert.throws(
        () => proofToResume(stack),
        /is no proof of kept-.*: remove it, or begin anew$/,
      );
    }
    rmSync(file);
  });

  it("is the last one that began", () => {
    keepProof({ ...some, chosen: ["later"], began: "2026-11-29T00:00:00.000Z" });
    assert.deepEqual(proofToResume(stack).chosen, ["later"]);
  });
});
