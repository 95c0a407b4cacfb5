import assert from "node:assert/strict";
import { roles } from "../../../../infra/roles.ts";
import { publishedPortProblems, sharedPortProblems } from "../../../../infra/rules/ports.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { type Cases, settingsWith, tiersOf } from "../../../support/unit/fixtures.ts";

const published = (loadBalancer: Readonly<Record<string, unknown>>) =>
  publishedPortProblems(settingsWith({ loadBalancer })).map(formatProblem);

const tiers = tiersOf(settingsWith());
const worker = { name: "worker", instances: 2, poolSize: 1, drainSeconds: 3, stopGraceSeconds: 25 };
const shared = (held: readonly string[], ports: Readonly<Record<string, number>> = {}) =>
  sharedPortProblems(
    [{ name: "node-1", roles: held, backend: "10.2.0.11" }],
    [...tiers.map((tier) => ({ ...tier, port: ports[tier.name] ?? tier.port })), worker],
  ).map(formatProblem);

describe("rules on published ports", () => {
  const refused: Cases = [
    [
      "one for a pair of load balancers, and three",
      { publishedPorts: [8080], publishedStatsPorts: [8404, 8405, 8406] },
      [
        "hastack:loadBalancer.publishedPorts: has 1 port for 2 load balancers, use one for each",
        "hastack:loadBalancer.publishedStatsPorts: has 3 ports for 2 load balancers, use one for each",
      ],
    ],
    [
      "a duplicate, told once",
      { publishedPorts: [8080, 8080], publishedStatsPorts: [8080, 8405] },
      ["hastack:loadBalancer.publishedPorts: 8080 is a duplicate, use another"],
    ],
  ];
  for (const [what, loadBalancer, problems] of refused) {
    it(`W5: refuse ${what}`, () => assert.deepEqual(published(loadBalancer), problems));
  }

  it("take none, and one for each", () => {
    assert.deepEqual(published({ publishedPorts: [] }), []);
    assert.deepEqual(published({ publishedPorts: [8080, 8081] }), []);
  });
});

describe("rules on ports of one machine", () => {
  it("take the layout of three machines, where nearly all roles share one", () => {
    const held = roles.filter((role) => role !== "arbiter");
    assert.deepEqual(shared([...held, "storefront", "admin", "worker"]), []);
  });

  it("W5: refuse a brick beside the arbiter, which would be two votes of three", () => {
    assert.deepEqual(shared(["brick", "arbiter"]), [
      "hastack:machines.node-1.roles: brick and arbiter both listen on ports 24007 and 49152, put them on two machines",
    ]);
  });

  it("W5: refuse two tiers with one port, and a tier with a role's port", () => {
    const fix = "put them on two machines, or give the tier another port in its hastack.yaml";
    assert.deepEqual(shared(["storefront", "admin"], { admin: 3000 }), [
      `hastack:machines.node-1.roles: storefront and admin both listen on port 3000, ${fix}`,
    ]);
    assert.deepEqual(shared(["database", "storefront", "admin"], { admin: 8008 }), [
      `hastack:machines.node-1.roles: database and admin both listen on port 8008, ${fix}`,
    ]);
    assert.deepEqual(shared(["storefront", "cache"], { admin: 3000 }), []);
  });
});
