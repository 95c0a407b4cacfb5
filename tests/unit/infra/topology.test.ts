import assert from "node:assert/strict";
import fc from "fast-check";
import { addressPlan, hostAddress } from "../../../infra/addresses.ts";
import { planTopology } from "../../../infra/plan.ts";
import { SettingsError } from "../../../infra/settings.ts";
import { allMembers, type Machine, type Topology } from "../../../infra/topology.ts";
import { agency, first, planWith, renamed, settingsWith } from "../../support/unit/fixtures.ts";
import { numberOf, rangeOf, subnets } from "../../support/unit/subnets.ts";

const networks = (frontend: readonly [string, string], backend: readonly [string, string]) => ({
  network: {
    frontend: { subnet: frontend[0], vip: frontend[1] },
    backend: { subnet: backend[0], vip: backend[1] },
  },
});
const goodBackend = ["10.2.0.0/24", "10.2.0.100"] as const;

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
    assert.deepEqual(addresses(topology.tiers.storefront ?? []), {
      "storefront-1": "172.28.11.41",
      "storefront-2": "172.28.11.42",
    });
    assert.deepEqual(addresses(topology.tiers.admin ?? []), {
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

  it("O3: gives the machine of backups a way out only where they are kept outside, too", () => {
    const s3 = { endpoint: "s3.example", bucket: "backups", keyId: "key" };
    const member = (changes: Readonly<Record<string, unknown>>) => {
      const { topology } = planWith({ members: { backup: 1 }, ...changes });
      const { frontend, backend } = first(topology.members.backup);
      return [backend, frontend];
    };
    assert.deepEqual(member({}), ["10.2.0.121", undefined]);
    const outside = { backup: { s3 }, backupS3Secret: "secret" };
    assert.deepEqual(member(outside), ["10.2.0.121", "10.1.0.121"]);
  });

  it("W8: members keep their names and addresses when another one is added", () => {
    const before = planWith().topology.machines;
    const after = planWith({ tiers: { storefront: { instances: 3 } } }).topology.machines;
    for (const one of before) assert.deepEqual(after.find(sameName(one)), one);
    assert.equal(after.length, before.length + 1);
  });

  it("gives seven tiers a block of addresses each, in the application's order", () => {
    const tiers = Array.from({ length: 7 }, (_, index) => ({
      name: `tier-${"abcdefg"[index]}`,
      instances: 9,
      poolSize: 1,
      drainSeconds: 3,
      stopGraceSeconds: 25,
      ...(index > 0 && { port: 3000 + index }),
    }));
    const settings = settingsWith({
      database: { maxConnections: 141 },
      network: {
        frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.100" },
        backend: { subnet: "10.2.0.0/24", vip: "10.2.0.100" },
      },
    });
    const topology = planTopology(settings, tiers);
    const named = Object.entries(topology.tiers).map(([name, instances]) => [
      name,
      instances[0]?.backend,
      instances.at(-1)?.backend,
      instances.at(-1)?.name,
      instances[0]?.port,
    ]);
    assert.deepEqual(named, [
      ["tier-a", "10.2.0.41", "10.2.0.49", "tier-a-9", undefined],
      ["tier-b", "10.2.0.51", "10.2.0.59", "tier-b-9", 3001],
      ["tier-c", "10.2.0.71", "10.2.0.79", "tier-c-9", 3002],
      ["tier-d", "10.2.0.81", "10.2.0.89", "tier-d-9", 3003],
      ["tier-e", "10.2.0.91", "10.2.0.99", "tier-e-9", 3004],
      ["tier-f", "10.2.0.101", "10.2.0.109", "tier-f-9", 3005],
      ["tier-g", "10.2.0.111", "10.2.0.119", "tier-g-9", 3006],
    ]);
    assert.equal(topology.members.cache[0]?.backend, "10.2.0.61");
  });

  it("W8: tiers keep the addresses that the stack sets, whatever comes before them", () => {
    const worker = "tiers:\n  - { name: worker, command: [work] }\n";
    const text = agency.replace("tiers:\n", worker);
    const firsts = (changes: Readonly<Record<string, unknown>>) =>
      Object.entries(planWith(changes, text).topology.tiers).map(([name, [one]]) => [
        name,
        one?.backend,
      ]);
    assert.deepEqual(firsts({}), [
      ["worker", "10.2.0.41"],
      ["storefront", "10.2.0.51"],
      ["admin", "10.2.0.71"],
    ]);
    const set = { storefront: { firstHost: 41 }, admin: { firstHost: 51 } };
    assert.deepEqual(firsts({ tiers: set }), [
      ["worker", "10.2.0.71"],
      ["storefront", "10.2.0.41"],
      ["admin", "10.2.0.51"],
    ]);
    assert.deepEqual(firsts({ tiers: { admin: set.admin } }), [
      ["worker", "10.2.0.41"],
      ["storefront", "10.2.0.71"],
      ["admin", "10.2.0.51"],
    ]);
  });

  it("W8: knows each instance's name from before its tier was renamed", () => {
    const { tiers } = planWith({}, renamed).topology;
    const names = Object.values(tiers).flatMap((all) =>
      all.map((one) => [one.name, one.formerName]),
    );
    assert.deepEqual(names, [
      ["shop-front-1", "storefront-1"],
      ["shop-front-2", "storefront-2"],
      ["admin-1", undefined],
      ["admin-2", undefined],
    ]);
  });

  it("W5: refuses all that is wrong at once, and what follows from it only then", () => {
    const changes = {
      ...networks(["10.1.0.7/24", "10.1.0.100"], goodBackend),
      members: { quorum: 2, database: 1 },
    };
    assert.throws(() => planWith({ ...changes, database: { maxConnections: 20 } }), {
      message: `the configuration is not valid:
  hastack:members.quorum: 2 has no majority when one is lost, use 3
  hastack:members.database: 1 is not one primary and one standby, use 2
  hastack:network.frontend.subnet: 10.1.0.7/24 has host bits set, use 10.1.0.0/24`,
    });
  });

  describe("whatever is accepted", () => {
    it("D2, D4, L4: loses neither the quorum, the database nor the VIPs with any one machine", function () {
      this.timeout(60_000);
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

function assertSurvives({ members }: Topology, lost: Machine): void {
  const { quorum, database, loadBalancer } = members;
  const left = (held: readonly { machine: string }[]) =>
    held.filter((one) => one.machine !== lost.name).length;
  assert.ok(left(quorum) > quorum.length / 2, `a majority without ${lost.name}`);
  assert.ok(left(database) >= 1, `a database member without ${lost.name}`);
  assert.ok(left(loadBalancer) >= 1, `a load balancer without ${lost.name}`);
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
    cache: fc.constantFrom(0, 1, 1, 1, 2),
  }),
  tiers: fc.record({
    storefront: fc.record({ instances: fc.integer({ min: 0, max: 10 }) }),
    admin: fc.record({ instances: fc.integer({ min: 0, max: 10 }) }),
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
  const varied = ["loadBalancer", "quorum", "cache"] as const;
  for (const role of varied) {
    const counts = new Set(plans.map(({ settings }) => settings.members[role]));
    assert.ok(counts.size > 1, `${role} varies`);
  }
  for (const name of ["storefront", "admin"]) {
    const counts = new Set(plans.map(({ topology }) => topology.tiers[name]?.length));
    assert.ok(counts.size > 1, `${name} varies`);
  }
  return plans;
}

function acceptedTopologies(): Topology[] {
  return acceptedPlans().map(({ topology }) => topology);
}
