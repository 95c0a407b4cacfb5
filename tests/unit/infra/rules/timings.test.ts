import assert from "node:assert/strict";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { timingProblems } from "../../../../infra/rules/timings.ts";
import { type Cases, settingsWith, tiersOf } from "../../../support/unit/fixtures.ts";

const problemsOf = (changes: Readonly<Record<string, unknown>>) => {
  const settings = settingsWith(changes);
  return timingProblems(settings, tiersOf(settings)).map(formatProblem);
};
const slowChecks = { checkIntervalMilliseconds: 2000, checkFastIntervalMilliseconds: 500 };

describe("rules on times", () => {
  const refused: Cases = [
    [
      "a drain that takes the whole grace of a stop, by its tier",
      {
        tiers: {
          storefront: { drainSeconds: 25 },
          admin: { stopGraceSeconds: 5, drainSeconds: 6 },
        },
      },
      [
        "hastack:tiers.storefront.drainSeconds: 25 leaves requests no time before stopGraceSeconds (25) is over, use less",
        "hastack:tiers.admin.drainSeconds: 6 leaves requests no time before stopGraceSeconds (5) is over, use less",
      ],
    ],
    [
      "a drain that is over before the load balancers have seen it",
      { loadBalancer: slowChecks, tiers: { admin: { drainSeconds: 4 } } },
      [
        "hastack:tiers.storefront.drainSeconds: 3 is over before the load balancers' health checks have seen it, use 4 or shorter check intervals",
      ],
    ],
    [
      "a lease that Patroni would change its own times for",
      { database: { ttlSeconds: 20, loopWaitSeconds: 1, retryTimeoutSeconds: 10 } },
      [
        "hastack:database.ttlSeconds: 20 is less than loopWaitSeconds + 2 × retryTimeoutSeconds, use 21 or more",
      ],
    ],
  ];
  for (const [what, changes, problems] of refused) {
    it(`W5: refuse ${what}`, () => assert.deepEqual(problemsOf(changes), problems));
  }

  const accepted: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["the defaults", {}],
    ["a drain that just leaves a second", { tiers: { storefront: { drainSeconds: 24 } } }],
    [
      "a drain that the checks just see",
      { loadBalancer: { checkIntervalMilliseconds: 1500, checkFastIntervalMilliseconds: 500 } },
    ],
    [
      "a lease that just fits",
      { database: { ttlSeconds: 21, loopWaitSeconds: 1, retryTimeoutSeconds: 10 } },
    ],
  ];
  for (const [what, changes] of accepted) {
    it(`take ${what}`, () => assert.deepEqual(problemsOf(changes), []));
  }

  it("take a short drain of a worker, which no load balancer checks", () => {
    const worker = {
      name: "worker",
      instances: 2,
      poolSize: 1,
      drainSeconds: 1,
      stopGraceSeconds: 25,
    };
    assert.deepEqual(timingProblems(settingsWith({ loadBalancer: slowChecks }), [worker]), []);
    assert.equal(timingProblems(settingsWith(), [{ ...worker, port: 80 }]).length, 1);
  });
});
