import assert from "node:assert/strict";
import { duplicates, formatProblem } from "../../../../infra/rules/problem.ts";

describe("a problem as a line of text", () => {
  const why = "is not enough";
  const fix = "use 3";

  it("has the setting, the value, what is wrong, and what to do", () => {
    assert.equal(
      formatProblem({ path: "members.quorum", value: 2, why, fix }),
      "hastack:members.quorum: 2 is not enough, use 3",
    );
  });

  it("has no value where none is to be shown, and shows a 0", () => {
    assert.equal(formatProblem({ path: "a", why, fix }), "hastack:a: is not enough, use 3");
    assert.equal(
      formatProblem({ path: "a", value: 0, why, fix }),
      "hastack:a: 0 is not enough, use 3",
    );
  });

  it("has the file or machine in place of the setting, where it is about one", () => {
    const source = "app/hastack.yaml";
    assert.equal(
      formatProblem({ source, path: "tiers.web", why, fix }),
      "app/hastack.yaml: tiers.web: is not enough, use 3",
    );
    assert.equal(
      formatProblem({ source: "machine db-1", path: "", why, fix }),
      "machine db-1: is not enough, use 3",
    );
  });

  it("duplicates are each told once", () => {
    assert.deepEqual(duplicates([1, 2, 1, 3, 1, 2]), [1, 2]);
    assert.deepEqual(duplicates(["a", "b"]), []);
  });
});
