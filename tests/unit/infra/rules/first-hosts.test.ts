import assert from "node:assert/strict";
import { firstHostProblems } from "../../../../infra/rules/first-hosts.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { refusal, settingsWith, tiersOf } from "../../../support/unit/fixtures.ts";

const problemsOf = (tiers: Readonly<Record<string, unknown>>) => {
  const settings = settingsWith({ tiers });
  return firstHostProblems(settings, tiersOf(settings)).map(formatProblem);
};

describe("rules on where tiers' addresses begin", () => {
  it("W5: refuse two tiers in one place", () =>
    assert.deepEqual(problemsOf({ storefront: { firstHost: 71 }, admin: { firstHost: 71 } }), [
      "hastack:tiers.admin.firstHost: 71 is where storefront begins, use another, or leave it out",
    ]));

  it("W5: refuse what is no block's first number", () => {
    const lines = refusal(() => settingsWith({ tiers: { admin: { firstHost: 42 } } }));
    assert.deepEqual(lines, [
      "hastack:tiers.admin.firstHost: 42 is not valid, it must be 41, 51, 71, 81, 91, 101 or 111",
    ]);
  });

  it("take tiers that change places, one that is set alone, and none", () => {
    assert.deepEqual(problemsOf({ storefront: { firstHost: 51 }, admin: { firstHost: 41 } }), []);
    assert.deepEqual(problemsOf({ admin: { firstHost: 41 } }), []);
    assert.deepEqual(problemsOf({}), []);
  });
});
