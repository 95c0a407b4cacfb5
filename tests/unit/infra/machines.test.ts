import assert from "node:assert/strict";
import fc from "fast-check";
import { targets } from "../../../infra/inventory.ts";
import { planTopology } from "../../../infra/plan.ts";
import { type Settings, SettingsError } from "../../../infra/settings.ts";
import type { Topology } from "../../../infra/topology.ts";
import {
  hostKeyOf,
  inventoryOf,
  machineSettings,
  refusal,
  shippedConfiguration,
  threeMachines,
  tiersOf,
} from "../../support/unit/fixtures.ts";

type Machine = Readonly<Record<string, unknown>> & { readonly roles: readonly string[] };
type Change = (machines: readonly Machine[]) => readonly unknown[];

const machinesOf = (configuration: Readonly<Record<string, unknown>>) =>
  configuration["hastack:machines"] as readonly Machine[];

/** The problems that the example of three machines is refused with, when it is changed. */
function problemsOf(
  change: Change,
  changes: Readonly<Record<string, unknown>> = {},
  inventory?: string,
): readonly string[] {
  const machines = change(machinesOf(threeMachines()));
  return refusal(() => plan(machineSettings({ machines, ...changes }, threeMachines(), inventory)));
}

/** The topology of settings, with the tiers that they ask for. */
const plan = (settings: Settings) => planTopology(settings, tiersOf(settings));

const unchanged: Change = (machines) => machines;

/** A machine with other values in place of its own. */
const edit =
  (name: string, values: object): Change =>
  (machines) =>
    machines.map((one) => (one.name === name ? { ...one, ...values } : one));

/** A machine without a value. */
const without =
  (name: string, key: string): Change =>
  (machines) =>
    machines.map((one) =>
      one.name === name ? Object.fromEntries(Object.entries(one).filter(([k]) => k !== key)) : one,
    );

const addRole =
  (name: string, ...added: readonly string[]): Change =>
  (machines) =>
    machines.map((one) => (one.name === name ? { ...one, roles: [...one.roles, ...added] } : one));

const dropRole =
  (role: string, ...names: readonly string[]): Change =>
  (machines) =>
    machines.map((one) =>
      names.includes(String(one.name))
        ? { ...one, roles: one.roles.filter((held) => held !== role) }
        : one,
    );

const all =
  (...changes: readonly Change[]): Change =>
  (machines) =>
    changes.reduce<readonly Machine[]>((now, change) => change(now) as Machine[], machines);

const network = (frontend: readonly [string, string], backend: readonly [string, string]) => ({
  network: {
    frontend: { subnet: frontend[0], vip: frontend[1] },
    backend: { subnet: backend[0], vip: backend[1] },
  },
});

describe("a topology of machines that are there already", () => {
  it("W1: has the members of the shipped stack of seven, by role and in the machines' order", () => {
    const topology = plan(machineSettings());
    assert.deepEqual(membersOf(topology), {
      loadBalancer: { "lb-1": "lb-1", "lb-2": "lb-2" },
      quorum: { "etcd-1": "app-1", "etcd-2": "app-2", "etcd-3": "witness-1" },
      database: { "db-1": "db-1", "db-2": "db-2" },
      storefront: { "storefront-1": "app-1", "storefront-2": "app-2" },
      admin: { "admin-1": "app-1", "admin-2": "app-2" },
      cache: { "cache-1": "witness-1" },
      brick: { "brick-1": "app-1", "brick-2": "app-2" },
      arbiter: { "arbiter-1": "witness-1" },
      nfs: {},
      backup: { "backup-1": "witness-1" },
    });
    assert.deepEqual(
      topology.members.loadBalancer.map((one) => [one.frontend, one.backend]),
      [
        ["172.30.10.11", "172.30.11.11"],
        ["172.30.10.12", "172.30.11.12"],
      ],
    );
    assert.deepEqual(topology.machines[6], {
      name: "witness-1",
      roles: ["quorum", "arbiter", "cache", "backup"],
      backend: "172.30.11.17",
      management: "172.30.12.17",
    });
  });

  it("W1: has the members of the example of three", () => {
    const topology = plan(machineSettings({}, threeMachines()));
    assert.deepEqual(membersOf(topology), {
      loadBalancer: { "lb-1": "node-1", "lb-2": "node-2" },
      quorum: { "etcd-1": "node-1", "etcd-2": "node-2", "etcd-3": "node-3" },
      database: { "db-1": "node-1", "db-2": "node-2" },
      storefront: { "storefront-1": "node-1", "storefront-2": "node-2" },
      admin: { "admin-1": "node-1", "admin-2": "node-2" },
      cache: { "cache-1": "node-3" },
      brick: { "brick-1": "node-1", "brick-2": "node-2" },
      arbiter: { "arbiter-1": "node-3" },
      nfs: {},
      backup: { "backup-1": "node-3" },
    });
    for (const { machine, backend } of topology.members.brick) {
      assert.equal(backend, topology.machines.find(({ name }) => name === machine)?.backend);
    }
  });

  it("W1: the shipped stack says what a stack of small machines needs", () => {
    const settings = machineSettings();
    const { platform, keepData, application, database, ssh } = settings;
    assert.deepEqual(
      { platform, keepData, sampleData: application.settings.sampleData },
      { platform: "ssh", keepData: true, sampleData: true },
    );
    assert.equal(database.sharedBuffersMegabytes, 128);
    assert.deepEqual(ssh, { inventory: ".hastack/inventory/lab.yaml" });
    assert.deepEqual(
      targets(settings).map(
        ({ name, address, port, user }) => `${name} ${user}@${address} ${port}`,
      ),
      ["lb-1", "lb-2", "app-1", "app-2", "db-1", "db-2", "witness-1"].map(
        (name, index) => `${name} deploy@172.30.12.${11 + index} undefined`,
      ),
    );
  });

  it("W8: members keep their names when a machine is added at the end", () => {
    const [, , third] = machinesOf(shippedConfiguration("lab"));
    const addresses = { backend: "172.30.11.18", management: "172.30.12.18" };
    const more = { ...third, name: "app-3", address: "172.30.12.18", ...addresses };
    const machines = [
      ...machinesOf(shippedConfiguration("lab")),
      { ...more, roles: ["storefront", "admin"] },
    ];
    const before = membersOf(plan(machineSettings()));
    const database = { maxConnections: 200 };
    const after = membersOf(plan(machineSettings({ machines, database })));
    assert.deepEqual(after, {
      ...before,
      storefront: { ...before.storefront, "storefront-3": "app-3" },
      admin: { ...before.admin, "admin-3": "app-3" },
    });
  });

  describe("W5: refuses how roles are spread", () => {
    const refused: readonly [string, Change, readonly string[]][] = [
      [
        "an even quorum",
        (machines) => [
          ...machines,
          { name: "node-4", address: "n4", backend: "10.20.0.14", roles: ["quorum"] },
        ],
        [
          "hastack:machines: role quorum is on 4 machines (node-1, node-2, node-3, node-4): 4 is even and survives no more losses than 3, use 3",
        ],
      ],
      [
        "a quorum of two",
        dropRole("quorum", "node-3"),
        [
          "hastack:machines: role quorum is on 2 machines (node-1, node-2): 2 has no majority when one is lost, use 3",
        ],
      ],
      [
        "one database member",
        dropRole("database", "node-2"),
        [
          "hastack:machines: role database is on 1 machine (node-1): 1 is not one primary and one standby, use 2",
        ],
      ],
      [
        "three database members",
        addRole("node-3", "database"),
        [
          "hastack:machines: role database is on 3 machines (node-1, node-2, node-3): 3 is not one primary and one standby, use 2",
          "hastack:machines.node-3.roles: backup is beside database: whoever is root there could destroy the database and its backups, give the role to another machine",
        ],
      ],
      [
        "one load balancer",
        dropRole("loadBalancer", "node-1"),
        [
          "hastack:machines: role loadBalancer is on 1 machine (node-2): 1 leaves no second load balancer to take over the virtual IPs, use 2",
        ],
      ],
      [
        "tiers without a machine",
        all(dropRole("storefront", "node-1", "node-2"), dropRole("admin", "node-1", "node-2")),
        [
          "hastack:machines: tier storefront is on 0 machines (none): 0 leaves the tier without an instance, use 2",
          "hastack:machines: tier admin is on 0 machines (none): 0 leaves the tier without an instance, use 2",
        ],
      ],
      [
        "two caches",
        addRole("node-1", "cache"),
        [
          "hastack:machines: role cache is on 2 machines (node-1, node-3): 2 caches would each miss half of the changes, use 1 (or 0 to go without)",
        ],
      ],
      [
        "every file once",
        dropRole("brick", "node-2"),
        [
          "hastack:machines: role brick is on 1 machine (node-1): 1 does not keep every file twice, use 2",
        ],
      ],
      [
        "bricks without an arbiter",
        dropRole("arbiter", "node-3"),
        [
          "hastack:machines: role arbiter is on 0 machines (none): 0 is not the one arbiter that two bricks need, use 1",
        ],
      ],
      [
        "a brick beside the arbiter, which would be two votes of three",
        all(dropRole("arbiter", "node-3"), addRole("node-2", "arbiter")),
        [
          "hastack:machines.node-2.roles: brick and arbiter both listen on ports 24007 and 49152, put them on two machines",
        ],
      ],
      [
        "both database members on one machine",
        all(dropRole("database", "node-2"), addRole("node-1", "database")),
        [
          "hastack:machines: role database is on 1 machine (node-1): 1 is not one primary and one standby, use 2",
          "hastack:machines.node-1.roles: database is a duplicate, and two members on one machine would be lost together, put them on two machines",
        ],
      ],
      [
        "a role twice on one machine",
        addRole("node-1", "storefront", "storefront"),
        ["hastack:machines.node-1.roles: storefront is a duplicate, name it once"],
      ],
    ];
    for (const [what, change, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(change), problems));
    }

    it("each of several problems at once", () => {
      const change = all(
        dropRole("quorum", "node-3"),
        without("node-1", "frontend"),
        without("node-2", "address"),
      );
      assert.deepEqual(problemsOf(change, { tiers: { admin: { drainSeconds: 25 } } }), [
        "hastack:machines: role quorum is on 2 machines (node-1, node-2): 2 has no majority when one is lost, use 3",
        "hastack:tiers.admin.drainSeconds: 25 leaves requests no time before stopGraceSeconds (25) is over, use less",
        "hastack:machines.node-1.frontend: is missing, and the role loadBalancer needs it, give the machine's address in the frontend network",
        "hastack:machines: node-2 has no address, give it as `address`, there or in the inventory (hastack:ssh.inventory)",
      ]);
    });
  });

  describe("W5: refuses where machines are", () => {
    const refused: readonly [string, Change, readonly string[]][] = [
      [
        "a name that is there twice",
        edit("node-2", { name: "node-1" }),
        ["hastack:machines.node-1.name: node-1 is a duplicate, use another"],
      ],
      [
        "a load balancer without a frontend address",
        without("node-1", "frontend"),
        [
          "hastack:machines.node-1.frontend: is missing, and the role loadBalancer needs it, give the machine's address in the frontend network",
        ],
      ],
      [
        "addresses outside their subnets",
        edit("node-1", { frontend: "203.0.114.11", backend: "10.21.0.11" }),
        [
          "hastack:machines.node-1.frontend: 203.0.114.11 is outside 203.0.113.0/24, use an address inside it",
          "hastack:machines.node-1.backend: 10.21.0.11 is outside 10.20.0.0/24, use an address inside it",
        ],
      ],
      [
        "addresses that are the virtual IPs",
        edit("node-1", { frontend: "203.0.113.100", backend: "10.20.0.100" }),
        [
          "hastack:machines.node-1.frontend: 203.0.113.100 belongs to the virtual IP, use another",
          "hastack:machines.node-1.backend: 10.20.0.100 belongs to the virtual IP, use another",
        ],
      ],
      [
        "an address for two machines",
        edit("node-3", { backend: "10.20.0.11" }),
        ["hastack:machines.node-3.backend: 10.20.0.11 belongs to node-1, use another"],
      ],
      [
        "addresses that mean a whole subnet",
        edit("node-1", { frontend: "203.0.113.0", backend: "10.20.0.255" }),
        [
          "hastack:machines.node-1.frontend: 203.0.113.0 is the network address of 203.0.113.0/24, use another",
          "hastack:machines.node-1.backend: 10.20.0.255 is the broadcast address of 10.20.0.0/24, use another",
        ],
      ],
      [
        "machines that nothing says where to reach",
        all(without("node-1", "address"), without("node-3", "address")),
        [
          "hastack:machines: node-1 and node-3 have no address, give it as `address`, there or in the inventory (hastack:ssh.inventory)",
        ],
      ],
      [
        "two machines that are reached at one place",
        edit("node-2", { address: "node-1.example.net" }),
        [
          "hastack:machines.node-2.address: node-1.example.net is the address of node-1, use another",
        ],
      ],
      [
        "a machine that is reached where the site moves",
        edit("node-2", { address: "203.0.113.100" }),
        [
          "hastack:machines.node-2.address: 203.0.113.100 is a virtual IP, which moves, use the machine's own address",
        ],
      ],
      [
        "the pools of roles on shared machines",
        (machines) => [
          ...machines,
          ...[4, 5].map((number) => ({
            name: `node-${number}`,
            address: `node-${number}`,
            backend: `10.20.0.1${number}`,
            roles: ["storefront", "admin"],
          })),
        ],
        [
          "hastack:database.maxConnections: 100 is less than the 135 connections that all pools may open, use 135, or smaller pools (hastack:tiers.NAME.poolSize)",
        ],
      ],
    ];
    for (const [what, change, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(change), problems));
    }
  });

  describe("W5: refuses what is known of host keys", () => {
    it("machines without one", () => {
      const none = `{ machines: { node-2: { hostKey: ${hostKeyOf("x")} } } }`;
      assert.deepEqual(problemsOf(unchanged, {}, none), [
        "hastack:machines: node-1 and node-3 have no host key, collect it into hastack:ssh.inventory (.hastack/inventory/three-machines.yaml) by npm run host-keys -- --stack test",
      ]);
    });

    const types =
      "ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa";
    const good = hostKeyOf("node-1");
    const texts: Readonly<Record<string, string>> = {
      "a fingerprint": "SHA256:pWj2lQ0u6RQWdo0mq2VgkD3EivkCYUkJ6z2nQ7SFK2E",
      "a type that is not accepted": good.replace("ssh-ed25519", "ssh-dss"),
      "a key of another type than it says": good.replace("ssh-ed25519", "ssh-rsa"),
      "a key without its type": good.split(" ")[1] ?? "",
      "a key that is cut off": good.slice(0, 20),
      "what is not base64": `${good.slice(0, -4)}!!!!`,
      "a line of known_hosts": `node-1 ${good}`,
      "two keys": `${good}\n${hostKeyOf("another")}`,
    };
    for (const [what, hostKey] of Object.entries(texts)) {
      it(what, () => {
        assert.deepEqual(
          problemsOf(edit("node-1", { hostKey }), {}, inventoryOf(["node-2", "node-3"])),
          [
            `hastack:machines.node-1.hostKey: ${JSON.stringify(hostKey)} is not an SSH host key, use its type (${types}) and the key`,
          ],
        );
      });
    }
  });

  describe("W5: refuses networks", () => {
    const backend = ["10.20.0.0/24", "10.20.0.100"] as const;
    const refused: readonly [string, Readonly<Record<string, unknown>>, readonly string[]][] = [
      [
        "a VIP outside its subnet",
        network(["203.0.113.0/24", "203.0.112.100"], backend),
        [
          "hastack:network.frontend.vip: 203.0.112.100 is outside 203.0.113.0/24, use an address inside it",
        ],
      ],
      [
        "a VIP that means a whole subnet",
        network(["203.0.113.0/24", "203.0.113.255"], backend),
        [
          "hastack:network.frontend.vip: 203.0.113.255 is the broadcast address of 203.0.113.0/24, use another",
        ],
      ],
      [
        "subnets that hold too few, and too many",
        network(["203.0.113.8/30", "203.0.113.9"], ["8.0.0.0/7", "9.0.0.9"]),
        [
          "hastack:network.frontend.subnet: 203.0.113.8/30 has prefix length 30, use 8 to 29",
          "hastack:network.backend.subnet: 8.0.0.0/7 has prefix length 7, use 8 to 29",
        ],
      ],
      [
        "one network for both",
        network(["10.20.0.0/22", "10.20.0.100"], backend),
        [
          "hastack:network.backend.subnet: 10.20.0.0/24 overlaps the frontend's 10.20.0.0/22, use another",
        ],
      ],
    ];
    for (const [what, changes, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(unchanged, changes), problems));
    }

    it("but no VIP only because a container could get its address", () => {
      for (const vip of ["203.0.113.1", "203.0.113.69", "203.0.113.128", "203.0.113.254"]) {
        assert.deepEqual(problemsOf(unchanged, network(["203.0.113.0/24", vip], backend)), []);
      }
    });

    it("but no small subnet that holds all that is in it", () => {
      const small = network(["203.0.113.8/29", "203.0.113.14"], backend);
      assert.deepEqual(problemsOf(unchanged, small), []);
    });
  });

  describe("accepts", () => {
    const accepted: readonly [string, Change][] = [
      ["the example as it is", unchanged],
      ["a stack without a cache", dropRole("cache", "node-3")],
      [
        "one instance of a tier",
        all(dropRole("storefront", "node-1"), dropRole("admin", "node-2")),
      ],
      [
        "a load balancer on each machine",
        all(addRole("node-3", "loadBalancer"), edit("node-3", { frontend: "203.0.113.13" })),
      ],
      [
        "machines behind one address, told apart by their ports",
        all(
          edit("node-1", { address: "gate.example.net", port: 2201 }),
          edit("node-2", { address: "gate.example.net", port: 2202 }),
        ),
      ],
      [
        "a host key with a comment",
        edit("node-1", { hostKey: `${hostKeyOf("node-1")} root@node-1` }),
      ],
    ];
    for (const [what, change] of accepted) {
      it(what, () => assert.deepEqual(problemsOf(change), []));
    }
  });

  it("D2, D4, L4, S2: whatever is accepted survives the loss of any one machine", () => {
    const plans = fc.sample(drawnMachines, 500);
    const lab = shippedConfiguration("lab");
    const database = { maxConnections: 1000 };
    const { frontend, backend } = machineSettings().network;
    const changes = { database, network: { frontend, backend } };
    const topologies = plans.flatMap((machines) => {
      try {
        return [plan(machineSettings({ machines, ...changes }, lab))];
      } catch (error) {
        assert.ok(error instanceof SettingsError, String(error));
        return [];
      }
    });
    assert.ok(topologies.length > 20, `only ${topologies.length} were accepted`);
    assert.ok(
      topologies.length < plans.length / 2,
      `as many as ${topologies.length} were accepted`,
    );
    for (const topology of topologies) {
      for (const lost of topology.machines) assertSurvives(topology, lost.name);
    }
  });
});

function membersOf(topology: Topology) {
  const named = (members: readonly { name: string; machine: string }[]) =>
    Object.fromEntries(members.map(({ name, machine }) => [name, machine]));
  const { members, tiers } = topology;
  return Object.fromEntries(
    Object.entries({ ...members, ...tiers }).map(([role, held]) => [role, named(held)]),
  );
}

function assertSurvives(topology: Topology, lost: string): void {
  const { quorum, database, loadBalancer, brick, arbiter } = topology.members;
  const left = (members: readonly { machine: string }[]) =>
    members.filter((one) => one.machine !== lost).length;
  assert.ok(left(quorum) > quorum.length / 2, `a majority without ${lost}`);
  assert.ok(left(database) >= 1, `a database member without ${lost}`);
  assert.ok(left(loadBalancer) >= 1, `a load balancer without ${lost}`);
  assert.ok(left(brick) >= 1, `a copy of every file without ${lost}`);
  assert.ok(left([...brick, ...arbiter]) >= 2, `a majority of the storage without ${lost}`);
}

/** How often each role is drawn: most often as it should be. */
const drawnCounts: Readonly<Record<string, readonly number[]>> = {
  loadBalancer: [1, 2, 2, 2, 3, 3],
  quorum: [2, 3, 3, 3, 3, 5],
  database: [2, 2, 2, 2, 2, 3],
  storefront: [0, 1, 2, 2, 3, 3],
  admin: [1, 2],
  cache: [0, 1, 1, 1, 1, 2],
  brick: [1, 2, 2, 2, 2, 2],
  arbiter: [1, 1, 1, 1, 1, 2],
};

const drawnRoles = Object.keys(drawnCounts);

/** Places of a role among so many machines; now and then two of them on one. */
function drawnPlaces(role: string, machines: number): fc.Arbitrary<number[]> {
  const place = fc.nat({ max: machines - 1 });
  return fc.constantFrom(...(drawnCounts[role] ?? [])).chain((count) => {
    const length = { minLength: Math.min(count, machines), maxLength: count };
    return fc.oneof(
      { weight: 9, arbitrary: fc.uniqueArray(place, length) },
      { weight: 1, arbitrary: fc.array(place, length) },
    );
  });
}

/** Three to seven machines with roles thrown at them. */
const drawnMachines = fc.integer({ min: 3, max: 7 }).chain((count) =>
  fc.tuple(...drawnRoles.map((role) => drawnPlaces(role, count))).map((places) =>
    Array.from({ length: count }, (_, index) => ({
      name: `node-${index}`,
      address: `192.0.2.${index + 1}`,
      frontend: `172.30.10.${index + 1}`,
      backend: `172.30.11.${index + 1}`,
      roles: drawnRoles.flatMap((role, at) =>
        (places[at] ?? []).filter((one) => one === index).map(() => role),
      ),
    })).filter((machine) => machine.roles.length > 0),
  ),
);
