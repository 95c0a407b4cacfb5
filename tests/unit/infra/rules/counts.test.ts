import assert from "node:assert/strict";
import { countProblems, singleInstanceWarnings } from "../../../../infra/rules/counts.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import {
  type Cases,
  machineSettings,
  planWith,
  settingsWith,
  tiersOf,
} from "../../../support/unit/fixtures.ts";

const problemsOf = (changes: Readonly<Record<string, unknown>>) => {
  const settings = settingsWith(changes);
  return countProblems(settings, tiersOf(settings)).map(formatProblem);
};

/** Machines with these roles, without what the rule does not look at. */
const onMachines = (...roles: readonly (readonly string[])[]) => {
  const machines = roles.map((held, index) => ({
    name: `node-${index + 1}`,
    backend: `10.2.0.${index + 11}`,
    roles: held,
  }));
  return problemsOf({ platform: "ssh", machines });
};
const everything = ["loadBalancer", "database", "quorum", "brick", "storefront", "admin"];

describe("rules on counts", () => {
  const refused: Cases = [
    [
      "an even quorum",
      { members: { quorum: 4 } },
      ["hastack:members.quorum: 4 is even and survives no more losses than 3, use 3"],
    ],
    [
      "a quorum of one",
      { members: { quorum: 1 } },
      ["hastack:members.quorum: 1 has no majority when one is lost, use 3"],
    ],
    [
      "a quorum of two",
      { members: { quorum: 2 } },
      ["hastack:members.quorum: 2 has no majority when one is lost, use 3"],
    ],
    [
      "no quorum",
      { members: { quorum: 0 } },
      ["hastack:members.quorum: 0 has no majority when one is lost, use 3"],
    ],
    [
      "one load balancer",
      { members: { loadBalancer: 1 } },
      [
        "hastack:members.loadBalancer: 1 leaves no second load balancer to take over the virtual IPs, use 2",
      ],
    ],
    [
      "one database member",
      { members: { database: 1 } },
      ["hastack:members.database: 1 is not one primary and one standby, use 2"],
    ],
    [
      "three database members",
      { members: { database: 3 } },
      ["hastack:members.database: 3 is not one primary and one standby, use 2"],
    ],
    [
      "tiers without an instance",
      { tiers: { storefront: { instances: 0 }, admin: { instances: 0 } } },
      [
        "hastack:tiers.storefront.instances: 0 leaves the tier without an instance, use 2",
        "hastack:tiers.admin.instances: 0 leaves the tier without an instance, use 2",
      ],
    ],
    [
      "two caches",
      { members: { cache: 2 } },
      [
        "hastack:members.cache: 2 caches would each miss half of the changes, use 1 (or 0 to go without)",
      ],
    ],
    [
      "more members and instances than the address plan has room for",
      { members: { quorum: 11 }, tiers: { storefront: { instances: 10 } } },
      [
        "hastack:members.quorum: 11 is more than the address plan has room for, use at most 9",
        "hastack:tiers.storefront.instances: 10 is more than the address plan has room for, use at most 9",
      ],
    ],
  ];
  for (const [what, changes, problems] of refused) {
    it(`W5: refuse ${what}`, () => assert.deepEqual(problemsOf(changes), problems));
  }

  const accepted: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["the least that a stack says", {}],
    ["five members of the quorum", { members: { quorum: 5 } }],
    ["nine of a role", { members: { quorum: 9 } }],
    ["nine of a tier", { tiers: { admin: { instances: 9 } } }],
    ["three load balancers", { members: { loadBalancer: 3 } }],
    ["no cache", { members: { cache: 0 } }],
    ["one instance of a tier", { tiers: { storefront: { instances: 1 } } }],
  ];
  for (const [what, changes] of accepted) {
    it(`take ${what}`, () => assert.deepEqual(problemsOf(changes), []));
  }

  it("W5: refuse an application of more tiers than the address plan has room for", () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        name: `tier-${"abcdefgh"[index]}`,
        instances: 2,
        poolSize: 1,
        drainSeconds: 3,
        stopGraceSeconds: 25,
      }));
    assert.deepEqual(countProblems(settingsWith(), many(7)), []);
    assert.deepEqual(countProblems(settingsWith(), many(8)).map(formatProblem), [
      "hastack:application.path: leads to an application of 8 tiers, and the address plan of the platform docker has room for 7, use at most 7 tiers, or the platform ssh",
    ]);
    const [first] = countProblems(machineSettings(), many(8)).map(formatProblem);
    assert.match(
      first ?? "",
      /tier tier-a is on 0 machines/,
      "machines have addresses of their own",
    );
  });

  it("W5: say where the members are, on machines", () => {
    assert.deepEqual(onMachines(everything, everything, ["quorum", "arbiter"]), []);
    assert.deepEqual(
      onMachines(
        everything,
        everything.filter((role) => role !== "brick"),
        ["quorum", "arbiter", "cache"],
        ["quorum", "cache", "loadBalancer"],
      ),
      [
        "hastack:machines: role quorum is on 4 machines (node-1, node-2, node-3, node-4): 4 is even and survives no more losses than 3, use 3",
        "hastack:machines: role cache is on 2 machines (node-3, node-4): 2 caches would each miss half of the changes, use 1 (or 0 to go without)",
        "hastack:machines: role brick is on 1 machine (node-1): 1 does not keep every file twice, use 2",
      ],
    );
    assert.deepEqual(onMachines(["cache"]).slice(-3), [
      "hastack:machines: role arbiter is on 0 machines (none): 0 is not the one arbiter that two bricks need, use 1",
      "hastack:machines: tier storefront is on 0 machines (none): 0 leaves the tier without an instance, use 2",
      "hastack:machines: tier admin is on 0 machines (none): 0 leaves the tier without an instance, use 2",
    ]);
  });

  describe("warn of a single instance, and what its loss means", () => {
    const warningsOf = (changes: Readonly<Record<string, unknown>>) => {
      const { settings, topology } = planWith(changes);
      return singleInstanceWarnings(settings, topology).map(formatProblem);
    };

    it("not where there are two", () => assert.deepEqual(warningsOf({}), []));

    it("of a tier that serves requests", () => {
      assert.deepEqual(warningsOf({ tiers: { admin: { instances: 1 } } }), [
        "hastack:tiers.admin.instances: 1 leaves the tier with a single instance: its requests fail while that is down, restarted or updated, use 2",
      ]);
    });

    it("of a worker", () => {
      const { settings, topology } = planWith({ tiers: { admin: { instances: 1 } } });
      const workers = (topology.tiers.admin ?? []).map(({ port, ...one }) => one);
      const tiers = { ...topology.tiers, admin: workers };
      assert.deepEqual(
        singleInstanceWarnings(settings, { ...topology, tiers }).map(formatProblem),
        [
          "hastack:tiers.admin.instances: 1 leaves the tier with a single instance: its work stands still while that is down, restarted or updated, use 2",
        ],
      );
    });

    it("on machines, with the one that it is on", () => {
      const { settings, topology } = planWith({ tiers: { admin: { instances: 1 } } });
      const placed = { ...settings, machines: machineSettings().machines };
      assert.deepEqual(singleInstanceWarnings(placed, topology).map(formatProblem), [
        "hastack:machines: tier admin is on one machine (admin-1): its requests fail while that is down, restarted or updated, put it on two machines",
      ]);
    });
  });
});
