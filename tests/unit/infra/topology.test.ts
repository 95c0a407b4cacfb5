import assert from "node:assert/strict";
import fc from "fast-check";
import { addressPlan, hostAddress } from "../../../infra/addresses.ts";
import { type Role, roles, SettingsError } from "../../../infra/settings.ts";
import {
  addressProblems,
  type Machine,
  machineProblems,
  planTopology,
  poolProblems,
  type Topology,
} from "../../../infra/topology.ts";
import { planWith, settingsWith } from "../../support/unit/fixtures.ts";
import { numberOf, rangeOf, subnets } from "../../support/unit/subnets.ts";

/** The problems that planning ends with, the way the program meets them. */
function problemsOf(changes: Readonly<Record<string, unknown>>): readonly string[] {
  const settings = settingsWith(changes);
  try {
    planTopology(settings);
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    return error.problems;
  }
  return [];
}

const networks = (frontend: readonly [string, string], backend: readonly [string, string]) => ({
  network: {
    frontend: { subnet: frontend[0], vip: frontend[1] },
    backend: { subnet: backend[0], vip: backend[1] },
  },
});
const goodFrontend = ["10.1.0.0/24", "10.1.0.100"] as const;
const goodBackend = ["10.2.0.0/24", "10.2.0.100"] as const;

const machine = (name: string, held: readonly Role[], rest: Partial<Machine> = {}): Machine => ({
  name,
  roles: held,
  backend: "10.2.0.61",
  ...rest,
});

describe("topology", () => {
  it("W1: plans a machine, a member and fixed addresses for each member of dev", () => {
    const { topology } = planWith({
      network: {
        frontend: { subnet: "172.28.10.0/24", vip: "172.28.10.100" },
        backend: { subnet: "172.28.11.0/24", vip: "172.28.11.100" },
      },
    });
    const addresses = (members: readonly { name: string; backend: string }[]) =>
      Object.fromEntries(members.map(({ name, backend }) => [name, backend]));
    assert.deepEqual(
      topology.members.loadBalancer.map(({ name, frontend, backend }) => [name, frontend, backend]),
      [
        ["lb-1", "172.28.10.11", "172.28.11.11"],
        ["lb-2", "172.28.10.12", "172.28.11.12"],
      ],
    );
    assert.deepEqual(addresses(topology.members.quorum), {
      "etcd-1": "172.28.11.21",
      "etcd-2": "172.28.11.22",
      "etcd-3": "172.28.11.23",
    });
    assert.deepEqual(addresses(topology.members.database), {
      "db-1": "172.28.11.31",
      "db-2": "172.28.11.32",
    });
    assert.deepEqual(addresses((topology.tiers.storefront ?? [])), {
      "storefront-1": "172.28.11.41",
      "storefront-2": "172.28.11.42",
    });
    assert.deepEqual(addresses((topology.tiers.admin ?? [])), {
      "admin-1": "172.28.11.51",
      "admin-2": "172.28.11.52",
    });
    assert.deepEqual(addresses(topology.members.cache), { "cache-1": "172.28.11.61" });
    assert.equal(topology.machines.length, 12);
    assert.equal(topology.stack, "test");
  });

  it("N1: puts only load balancers into the frontend", () => {
    const { topology } = planWith();
    const inFrontend = topology.machines.filter((one) => one.frontend !== undefined);
    assert.deepEqual(
      inFrontend.map((one) => one.name),
      ["lb-1", "lb-2"],
    );
  });

  it("W8: members keep their names and addresses when another one is added", () => {
    const before = planWith().topology.machines;
    const after = planWith({ members: { storefront: 3 } }).topology.machines;
    for (const one of before) assert.deepEqual(after.find(sameName(one)), one);
    assert.equal(after.length, before.length + 1);
  });

  describe("W5: refuses, with the setting, its value and the fix", () => {
    const refused: readonly [string, Readonly<Record<string, unknown>>, readonly string[]][] = [
      [
        "an even quorum",
        { members: { quorum: 4 } },
        ["hastack:members.quorum: 4 is even and survives no more losses than 3, use 3"],
      ],
      [
        "a quorum of one",
        { members: { quorum: 1 } },
        ["hastack:members.quorum: 1 cannot outvote a lost one, use 3"],
      ],
      [
        "a quorum of two",
        { members: { quorum: 2 } },
        ["hastack:members.quorum: 2 cannot outvote a lost one, use 3"],
      ],
      [
        "no quorum at all",
        { members: { quorum: 0 } },
        ["hastack:members.quorum: 0 cannot outvote a lost one, use 3"],
      ],
      [
        "one load balancer",
        { members: { loadBalancer: 1 } },
        ["hastack:members.loadBalancer: 1 leaves the virtual IPs without a second holder, use 2"],
      ],
      [
        "one database member",
        { members: { database: 1 } },
        ["hastack:members.database: 1 is not a primary and a standby, use 2"],
      ],
      [
        "three database members",
        { members: { database: 3 } },
        ["hastack:members.database: 3 is not a primary and a standby, use 2"],
      ],
      [
        "tiers without a machine",
        { members: { storefront: 0, admin: 0 } },
        [
          "hastack:members.storefront: 0 leaves the role without a machine, use 2",
          "hastack:members.admin: 0 leaves the role without a machine, use 2",
        ],
      ],
      [
        "two caches",
        { members: { cache: 2 } },
        [
          "hastack:members.cache: 2 would each know half of what changed, use 1 (or 0 to go without)",
        ],
      ],
      [
        "a login at the mail server without its password",
        { smtp: { host: "mail.example", user: "travel", from: "a@example.org" } },
        [
          "hastack:smtp.user: travel has no password; give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out",
        ],
      ],
      [
        "a password of nobody",
        { smtp: { host: "mail.example", from: "a@example.org" }, smtpPassword: "secret" },
        [
          "hastack:smtpPassword: there is no hastack:smtp.user whose it is; name one, or leave it out",
        ],
      ],
      [
        "more members than the address plan holds",
        { members: { storefront: 10 } },
        ["hastack:members.storefront: 10 is more than the address plan holds, use at most 9"],
      ],
      [
        "pools larger than max_connections",
        { database: { maxConnections: 74 } },
        [
          "hastack:database.maxConnections: 74 is less than the 75 that all pools may open, use 75 or smaller pools (hastack:application)",
        ],
      ],
      [
        "a drain that takes the whole grace of a stop",
        { application: { drainSeconds: 25 } },
        [
          "hastack:application.drainSeconds: 25 leaves requests no time before stopGraceSeconds (25) is over, use less",
        ],
      ],
      [
        "a drain that is over before the load balancers have seen it",
        { loadBalancer: { checkIntervalMilliseconds: 2000, checkFastIntervalMilliseconds: 500 } },
        [
          "hastack:application.drainSeconds: 3 is over before the load balancers' checks have seen it, use 4 or shorter check intervals",
        ],
      ],
      [
        "a lease that Patroni would make its own times fit to",
        { database: { ttlSeconds: 20, loopWaitSeconds: 1, retryTimeoutSeconds: 10 } },
        [
          "hastack:database.ttlSeconds: 20 is less than loopWaitSeconds + 2 × retryTimeoutSeconds, use 21 or more",
        ],
      ],
      [
        "a VIP outside its subnet",
        networks(["10.1.0.0/24", "10.3.0.100"], goodBackend),
        [
          "hastack:network.frontend.vip: 10.3.0.100 is outside 10.1.0.0/24, use an address inside it",
        ],
      ],
      [
        "a VIP where passing containers get their addresses",
        networks(goodFrontend, ["10.2.0.0/24", "10.2.0.128"]),
        [
          "hastack:network.backend.vip: 10.2.0.128 is where members or passing containers get their addresses, use 10.2.0.70 to 10.2.0.127",
        ],
      ],
      [
        "a VIP where members get their addresses",
        networks(["10.1.0.0/24", "10.1.0.69"], goodBackend),
        [
          "hastack:network.frontend.vip: 10.1.0.69 is where members or passing containers get their addresses, use 10.1.0.70 to 10.1.0.127",
        ],
      ],
      [
        "overlapping subnets",
        networks(["10.2.0.0/16", "10.2.0.90"], goodBackend),
        [
          "hastack:network.backend.subnet: 10.2.0.0/24 overlaps the frontend's 10.2.0.0/16, use another",
        ],
      ],
      [
        "host bits in a subnet",
        networks(["10.1.0.7/24", "10.1.0.100"], goodBackend),
        ["hastack:network.frontend.subnet: 10.1.0.7/24 names a host, use 10.1.0.0/24"],
      ],
      [
        "a subnet too small for the address plan, and one too large",
        networks(["10.1.0.0/25", "10.1.0.100"], ["10.8.0.0/15", "10.8.0.100"]),
        [
          "hastack:network.frontend.subnet: 10.1.0.0/25 has prefix length 25, use 16 to 24",
          "hastack:network.backend.subnet: 10.8.0.0/15 has prefix length 15, use 16 to 24",
        ],
      ],
      [
        "published ports for one load balancer of two",
        { loadBalancer: { publishedPorts: [8080], publishedStatsPorts: [8404, 8405, 8406] } },
        [
          "hastack:loadBalancer.publishedPorts: has 1 for 2 load balancers, use one for each",
          "hastack:loadBalancer.publishedStatsPorts: has 3 for 2 load balancers, use one for each",
        ],
      ],
      [
        "a published port that is there twice, each told once",
        {
          loadBalancer: { publishedPorts: [8080, 8080], publishedStatsPorts: [8080, 8405] },
        },
        ["hastack:loadBalancer.publishedPorts: 8080 is there twice, use another"],
      ],
    ];
    for (const [what, changes, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(changes), problems));
    }

    it("all of them at once", () => {
      const changes = {
        ...networks(["10.1.0.7/24", "10.1.0.100"], goodBackend),
        members: { quorum: 2, database: 1 },
      };
      assert.throws(() => planTopology(settingsWith(changes)), {
        message: `the configuration cannot stand:
  hastack:members.quorum: 2 cannot outvote a lost one, use 3
  hastack:members.database: 1 is not a primary and a standby, use 2
  hastack:network.frontend.subnet: 10.1.0.7/24 names a host, use 10.1.0.0/24`,
      });
    });
  });

  describe("accepts the values at the edge of each rule", () => {
    const accepted: readonly [string, Readonly<Record<string, unknown>>][] = [
      ["five members of the quorum", { members: { quorum: 5 } }],
      ["nine of a role", { members: { quorum: 9 } }],
      ["three load balancers", { members: { loadBalancer: 3 } }],
      ["no cache", { members: { cache: 0 } }],
      ["a mail server without a login", { smtp: { host: "mail.example", from: "a@example.org" } }],
      ["one instance of a tier", { members: { storefront: 1, admin: 1 } }],
      ["pools that just fit", { database: { maxConnections: 75 } }],
      ["a drain that just leaves a second", { application: { drainSeconds: 24 } }],
      [
        "a drain that the checks just see",
        { loadBalancer: { checkIntervalMilliseconds: 1500, checkFastIntervalMilliseconds: 500 } },
      ],
      [
        "a lease that just fits",
        { database: { ttlSeconds: 21, loopWaitSeconds: 1, retryTimeoutSeconds: 10 } },
      ],
      ["the first VIP of its range", networks(["10.1.0.0/24", "10.1.0.70"], goodBackend)],
      ["the last VIP of its range", networks(["10.1.0.0/24", "10.1.0.127"], goodBackend)],
      ["a subnet of the largest size", networks(["10.1.0.0/16", "10.1.0.100"], goodBackend)],
      ["neighbouring subnets", networks(goodFrontend, ["10.1.1.0/24", "10.1.1.100"])],
      ["no published ports", { loadBalancer: { publishedPorts: [] } }],
      ["a published port for each", { loadBalancer: { publishedPorts: [8080, 8081] } }],
    ];
    for (const [what, changes] of accepted) {
      it(what, () => assert.deepEqual(problemsOf(changes), []));
    }
  });

  describe("rules on machines that have several roles", () => {
    it("W5: refuses two database members on one machine", () => {
      assert.deepEqual(machineProblems([machine("node-1", ["database", "database"])]), [
        "hastack:machines.node-1.roles: two database members would be lost together, put them on two machines",
      ]);
    });

    it("W5: refuses two quorum members on one machine", () => {
      assert.deepEqual(machineProblems([machine("node-1", ["quorum", "quorum"])]), [
        "hastack:machines.node-1.roles: two quorum members would be lost together, put them on two machines",
      ]);
    });

    it("W5: refuses a load balancer that is not in the frontend", () => {
      assert.deepEqual(machineProblems([machine("node-1", ["loadBalancer"])]), [
        "hastack:machines.node-1.frontend: is missing, and a load balancer is where visitors come in; give one",
      ]);
    });

    it("accepts the layout of three machines, where all roles share one", () => {
      const held = roles.filter((role) => role !== "arbiter");
      const all = machine("node-1", held, { frontend: "10.1.0.61" });
      assert.deepEqual(machineProblems([all]), []);
    });

    it("W5: refuses one address for two machines, and a machine on a virtual IP", () => {
      const settings = settingsWith();
      const machines = [
        machine("node-1", ["database"], { backend: "10.2.0.100" }),
        machine("node-2", ["database"], { backend: "10.2.0.62" }),
        machine("node-3", ["quorum"], { backend: "10.2.0.62" }),
        machine("node-4", ["loadBalancer"], { frontend: "10.1.0.100", backend: "10.2.0.64" }),
      ];
      assert.deepEqual(addressProblems(settings, machines), [
        "hastack:machines.node-4.frontend: 10.1.0.100 belongs to the virtual IP, use another",
        "hastack:machines.node-1.backend: 10.2.0.100 belongs to the virtual IP, use another",
        "hastack:machines.node-3.backend: 10.2.0.62 belongs to node-2, use another",
      ]);
    });

    it("W5: refuses a machine outside its subnet", () => {
      const outside = machine("node-1", ["quorum"], { backend: "10.9.0.5" });
      assert.deepEqual(addressProblems(settingsWith(), [outside]), [
        "hastack:machines.node-1.backend: 10.9.0.5 is outside 10.2.0.0/24, use an address inside it",
      ]);
    });

    it("W5: counts the pools of roles on shared machines", () => {
      const settings = settingsWith({ database: { maxConnections: 44 } });
      const shared = [machine("node-1", ["storefront", "admin"])];
      assert.deepEqual(poolProblems(settings, shared), [
        "hastack:database.maxConnections: 44 is less than the 45 that all pools may open, use 45 or smaller pools (hastack:application)",
      ]);
    });
  });

  describe("whatever is accepted", () => {
    it("D2, D4, L4: loses neither the quorum, the database nor the VIPs with any one machine", () => {
      for (const topology of acceptedTopologies()) {
        for (const lost of topology.machines) assertSurvives(topology, lost);
      }
    });

    it("D6: gives every machine an address of its own, inside its subnet and apart from the rest", () => {
      for (const topology of acceptedTopologies()) {
        for (const name of ["frontend", "backend"] as const) assertAddresses(topology, name);
      }
    });

    it("has a machine for every member, and a member for every role of a machine", () => {
      for (const topology of acceptedTopologies()) {
        const members = allMembers(topology);
        const held = topology.machines.flatMap((one) => one.roles);
        assert.equal(members.length, held.length);
        assert.equal(new Set(members.map((one) => one.name)).size, members.length);
        for (const member of members) assert.ok(topology.machines.some(sameMachine(member)));
      }
    });
  });
});

const sameName = (one: Machine) => (other: Machine) => other.name === one.name;
const sameMachine = (member: { machine: string; backend: string }) => (one: Machine) =>
  one.name === member.machine && one.backend === member.backend;

function allMembers(topology: Topology) {
  const { loadBalancers, quorum, database, storefront, admin, cache } = topology;
  return [...loadBalancers, ...quorum, ...database, ...storefront, ...admin, ...cache];
}

function assertSurvives({ quorum, database, loadBalancers }: Topology, lost: Machine): void {
  const left = (members: readonly { machine: string }[]) =>
    members.filter((one) => one.machine !== lost.name).length;
  assert.ok(left(quorum) > quorum.length / 2, `a majority without ${lost.name}`);
  assert.ok(left(database) >= 1, `a database member without ${lost.name}`);
  assert.ok(left(loadBalancers) >= 1, `a load balancer without ${lost.name}`);
}

function assertAddresses({ machines, network }: Topology, name: NetworkName): void {
  const { subnet, vip } = network[name];
  const { first } = rangeOf(subnet);
  const addresses = machines.flatMap((one) => one[name] ?? []);
  const gateway = hostAddress(subnet, 1);
  const all = [...addresses, vip, gateway];
  assert.equal(new Set(all).size, all.length, `${name} addresses of ${subnet} are distinct`);
  for (const address of [...addresses, vip]) {
    const host = numberOf(address) - first;
    assert.ok(host > 1 && host < addressPlan.firstDynamicHost, `${address} in ${subnet}`);
  }
}

type NetworkName = "frontend" | "backend";

/** Settings that are drawn wide enough for about half of them to break some rule. */
const drawnSettings = fc.record({
  members: fc.record({
    loadBalancer: fc.integer({ min: 1, max: 4 }),
    quorum: fc.integer({ min: 1, max: 9 }),
    database: fc.constantFrom(2, 2, 2, 1, 3),
    storefront: fc.integer({ min: 0, max: 10 }),
    admin: fc.integer({ min: 0, max: 10 }),
    cache: fc.constantFrom(0, 1, 1, 1, 2),
  }),
  database: fc.record({ maxConnections: fc.integer({ min: 100, max: 900 }) }),
  network: fc
    .tuple(subnets(16, 24), subnets(16, 24), fc.integer({ min: 60, max: 130 }))
    .map(([front, back, host]) => ({
      frontend: { subnet: front, vip: hostAddress(front, host) },
      backend: { subnet: back, vip: hostAddress(back, host) },
    })),
});

let plans: ReturnType<typeof planWith>[] | undefined;

/** Drawn plans that the rules let pass; drawn once. */
function acceptedPlans(): ReturnType<typeof planWith>[] {
  plans ??= fc.sample(drawnSettings, 4000).flatMap((drawn) => {
    try {
      return [planWith(drawn)];
    } catch (error) {
      assert.ok(error instanceof SettingsError, String(error));
      return [];
    }
  });
  assert.ok(plans.length > 10, `only ${plans.length} drawn plans were accepted`);
  const varied = ["loadBalancer", "quorum", "storefront", "admin", "cache"] as const;
  for (const role of varied) {
    const counts = new Set(plans.map(({ settings }) => settings.members[role]));
    assert.ok(counts.size > 1, `${role} varies`);
  }
  return plans;
}

function acceptedTopologies(): Topology[] {
  return acceptedPlans().map(({ topology }) => topology);
}
