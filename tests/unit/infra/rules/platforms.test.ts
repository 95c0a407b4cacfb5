import assert from "node:assert/strict";
import { platformProblems } from "../../../../infra/rules/platforms.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import type { Cases } from "../../../support/unit/fixtures.ts";

const problemsOf = (values: Readonly<Record<string, unknown>>) =>
  platformProblems(values).map(formatProblem);

describe("rules on settings of one platform", () => {
  const refused: Cases = [
    [
      "machines, and how they are reached, on docker",
      { platform: "docker", machines: [], ssh: {} },
      [
        "hastack:machines: is for the platform ssh only, leave it out (hastack:members says how many the platform makes)",
        "hastack:ssh: is for the platform ssh only, leave it out",
      ],
    ],
    [
      "numbers of members and instances on machines",
      {
        platform: "ssh",
        machines: [],
        members: {},
        tiers: { web: { instances: 2, poolSize: 3 }, admin: { poolSize: 2, firstHost: 41 } },
      },
      [
        "hastack:members: is for the platform docker only, leave it out (hastack:machines says who has which role)",
        "hastack:tiers.web.instances: is for the platform docker only, leave it out (hastack:machines says where each tier runs)",
        "hastack:tiers.admin.firstHost: is for the platform docker only, leave it out (hastack:machines says which addresses there are)",
      ],
    ],
    [
      "ports of the engine's machine, on machines",
      { platform: "ssh", machines: [], loadBalancer: { publishedPorts: [], balance: "leastconn" } },
      [
        "hastack:loadBalancer.publishedPorts: is for the platform docker only, leave it out (the load balancers have addresses of their own)",
      ],
    ],
    [
      "a management network on docker",
      { platform: "docker", network: { management: { subnet: "10.3.0.0/24" } } },
      [
        "hastack:network.management: is for the platform ssh only, leave it out (containers are managed by their engine)",
      ],
    ],
    [
      "no machines",
      { platform: "ssh" },
      ["hastack:machines: is missing, list the machines and their roles"],
    ],
  ];
  for (const [what, values, problems] of refused) {
    it(`W5: refuse ${what}`, () => assert.deepEqual(problemsOf(values), problems));
  }

  it("take what each platform has a use for", () => {
    const tiers = { web: { poolSize: 1 } };
    assert.deepEqual(problemsOf({ platform: "ssh", machines: [], ssh: {}, tiers }), []);
    const members = { quorum: 3 };
    assert.deepEqual(problemsOf({ platform: "docker", members, tiers }), []);
  });

  it("say nothing where the platform itself is not known, or a value is none", () => {
    assert.deepEqual(problemsOf({ platform: "podman", machines: [], members: {} }), []);
    assert.deepEqual(problemsOf({ platform: "docker", tiers: "x", loadBalancer: null }), []);
  });
});
