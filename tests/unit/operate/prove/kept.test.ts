import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { inHastack } from "../../../../lib/paths.ts";
import { isWanted, keepProof, proofToResume } from "../../../../operate/prove/kept.ts";
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

  it("is the last one that began", () => {
    keepProof({ ...some, chosen: ["later"], began: "2026-11-29T00:00:00.000Z" });
    assert.deepEqual(proofToResume(stack).chosen, ["later"]);
  });
});
