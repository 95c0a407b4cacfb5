import assert from "node:assert/strict";
import { nameProblems } from "../../../../infra/rules/names.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import {
  agency,
  applicationWith,
  type Cases,
  renamed,
  settingsWith,
} from "../../../support/unit/fixtures.ts";

const problemsOf = (changes: Readonly<Record<string, unknown>>, text = agency) => {
  const settings = settingsWith(changes);
  return nameProblems(settings, applicationWith(text, settings).tiers).map(formatProblem);
};
const onMachine = (...roles: readonly string[]) => ({
  platform: "ssh",
  machines: [{ name: "node-1", backend: "10.2.0.11", roles }],
});

describe("rules on names of roles and tiers", () => {
  const refused: Cases = [
    [
      "a tier that the application has not",
      { tiers: { shop: { poolSize: 3 }, storefront: {} } },
      ["hastack:tiers.shop: is not a tier of the application, use storefront or admin"],
    ],
    [
      "a misspelt tier",
      { tiers: { storfront: { instances: 3 }, Admin: {} } },
      [
        "hastack:tiers.storfront: is not a tier of the application, did you mean storefront?",
        "hastack:tiers.Admin: is not a tier of the application, did you mean admin?",
      ],
    ],
    [
      "a machine's role that there is not",
      onMachine("cache", "cash", "worker"),
      [
        "hastack:machines.node-1.roles: cash is neither a role nor a tier of the application, did you mean cache?",
        "hastack:machines.node-1.roles: worker is neither a role nor a tier of the application, use loadBalancer, quorum, database, cache, brick, arbiter, nfs, backup, storefront or admin",
      ],
    ],
  ];
  for (const [what, changes, problems] of refused) {
    it(`W5: refuse ${what}`, () => assert.deepEqual(problemsOf(changes), problems));
  }

  it("W5: refuse the former name of a tier, and tell the new one", () => {
    assert.deepEqual(problemsOf({ tiers: { storefront: { poolSize: 3 } } }, renamed), [
      "hastack:tiers.storefront: is not a tier of the application, use its new name shop-front",
    ]);
    assert.deepEqual(problemsOf(onMachine("cache", "storefront"), renamed), [
      "hastack:machines.node-1.roles: storefront is neither a role nor a tier of the application, use its new name shop-front",
    ]);
  });

  it("take every role and every tier", () => {
    assert.deepEqual(problemsOf({ tiers: { storefront: {}, admin: {} } }), []);
    const all = ["loadBalancer", "quorum", "database", "cache", "brick", "arbiter", "nfs"];
    assert.deepEqual(problemsOf(onMachine(...all, "storefront", "admin")), []);
  });
});
