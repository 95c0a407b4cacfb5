import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { SshPlatform } from "../../../../../infra/platform/ssh/ssh.ts";
import { first, planWith, renamed } from "../../../../support/unit/fixtures.ts";
import { recordMachines, threeMachines } from "../../../../support/unit/machine-stack.ts";
import { type Recording, type Registration, record } from "../../../../support/unit/mocks.ts";
import { differences } from "../../../../support/unit/stack.ts";

const environmentOf = ({ inputs }: Registration) => inputs.environment as Record<string, string>;
/** Commands that go to a machine; the release is packed on the operator's. */
const onMachines = (recording: Recording) =>
  recording.ofType("Command").filter((one) => environmentOf(one).MACHINE !== undefined);

describe("the ssh platform", () => {
  let recording: Recording;
  before(async () => {
    recording = await recordMachines();
  });

  it("W1: makes one command for each member, under its component, and none of Docker's", () => {
    const parents: Readonly<Record<string, string>> = {
      "lb-1": "LoadBalancer load-balancer",
      "db-2": "DatabasePair database",
      "etcd-3": "Quorum quorum",
      "storefront-2": "AppServers app",
      "admin-1": "AppServers app",
      "cache-1": "Cache cache",
    };
    for (const [name, parent] of Object.entries(parents)) {
      assert.equal(recording.get("Command", name).parent, parent);
    }
    const kinds = new Set(recording.all.filter(({ custom }) => custom).map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ["Command", "RandomPassword"]);
  });

  it("has what belongs to a machine under the machine", () => {
    const { all } = recording;
    assert.deepEqual(recording.names("Machine"), ["node-1", "node-2", "node-3"]);
    for (const { label, parent } of all.filter(({ name }) =>
      /-(programs|base|packages|release)$/.test(name),
    )) {
      assert.match(parent ?? "", /^Machine node-\d$/, label);
    }
  });

  it("W6: runs one machine's commands one after the other", () => {
    for (const { name } of threeMachines) {
      const placed = onMachines(recording)
        .filter((one) => environmentOf(one).MACHINE === name)
        .filter((one) => !/-(programs|base|packages|release)$/.test(one.name))
        .sort((one, other) => one.asked - other.asked);
      assert.ok(placed.length > 2, name);
      for (const [index, one] of placed.entries()) {
        const before = index === 0 ? `${name}-base` : placed[index - 1]?.name;
        assert.ok(one.dependencies.includes(`Command ${before}`), `${one.name} after ${before}`);
      }
    }
  });

  it("prepares machines side by side: programs wait for nothing, packages for their own machine", () => {
    for (const { name } of threeMachines) {
      assert.deepEqual(recording.get("Command", `${name}-programs`).dependencies, []);
      assert.deepEqual(recording.get("Command", `${name}-base`).dependencies, [
        `Command ${name}-programs`,
      ]);
    }
    for (const one of onMachines(recording).filter(({ name }) => name.endsWith("-packages"))) {
      const { MACHINE } = environmentOf(one);
      for (const label of one.dependencies) {
        const other = recording.get("Command", label.replace("Command ", ""));
        assert.equal(environmentOf(other).MACHINE, MACHINE, one.label);
      }
    }
  });

  it("has packages and release there before the member that needs them", () => {
    assert.ok(recording.get("Command", "db-1").dependencies.includes("Command db-1-packages"));
    for (const name of ["storefront-1", "migrations"]) {
      const { dependencies } = recording.get("Command", name);
      assert.ok(dependencies.includes("Command node-1-release"), name);
    }
    assert.ok(recording.get("Command", "node-1-release").dependencies.includes("Command release"));
  });

  it("W8: places the members of a pair one after the other", () => {
    const pairs = [
      ["lb-1", "lb-2"],
      ["etcd-1", "etcd-2"],
      ["storefront-1", "storefront-2"],
      ["db-1-principals", "db-2"],
    ] as const;
    for (const [one, other] of pairs) {
      const { dependencies } = recording.get("Command", other);
      assert.ok(dependencies.includes(`Command ${one}`), `${other} after ${one}`);
    }
  });

  it("N2: opens each machine's firewall before anything is placed, and closes it behind all", () => {
    for (const { name } of threeMachines) {
      const opened = recording.get("Command", `${name}-firewall`);
      const closed = recording.get("Command", `${name}-firewall-closed`);
      assert.equal(opened.parent, "Firewall firewall");
      assert.equal(closed.parent, "FirewallClosed firewall-closed");
      assert.equal(opened.inputs.create, "node platform/ssh/try-firewall.ts open REQUEST");
      assert.equal(closed.inputs.create, "node platform/ssh/try-firewall.ts close REQUEST");
      const rules = (one: Registration) => JSON.parse(environmentOf(one).REQUEST ?? "").rules;
      assert.equal(rules(opened), rules(closed));
      const placed = onMachines(recording)
        .filter((one) => environmentOf(one).MACHINE === name)
        .filter((one) => !/-(programs|base|packages|release)$/.test(one.name))
        .sort((one, other) => one.asked - other.asked)
        .map((one) => one.name);
      assert.equal(placed[0], `${name}-firewall`);
      assert.equal(placed.at(-1), `${name}-firewall-closed`);
      // On no machine anything is closed before all are through
      for (const last of ["etcd-3-only-tls", "lb-2"]) {
        assert.ok(closed.asked > recording.get("Command", last).asked, `${name} after ${last}`);
      }
    }
  });

  it("W4: can take away whatever it places, from where it is", () => {
    for (const one of onMachines(recording)) {
      const { REMOVAL, TARGET, MACHINE } = environmentOf(one);
      assert.equal(one.inputs.delete !== undefined, REMOVAL !== undefined, one.label);
      assert.equal(JSON.parse(TARGET ?? "").name, MACHINE, one.label);
      assert.equal(one.deleteBeforeReplace, true, one.label);
    }
    const calls: Readonly<Record<string, string>> = {
      "lb-1": "remove",
      "db-1": "remove",
      "storefront-1": "remove",
      "cache-1": "remove",
      "node-1-firewall": "remove_firewall",
      "node-1-base": "remove_base",
      "node-1-programs": "unship",
      "node-1-uploads": "unmount_volume",
      "brick-1": "remove_brick",
      "uploads-volume": "remove_volume",
    };
    for (const [name, call] of Object.entries(calls)) {
      const { inputs } = recording.get("Command", name);
      assert.equal(inputs.delete, `node platform/ssh/run.ts ${call} REMOVAL`, name);
    }
  });

  it("W8: replaces a member that moves to another machine", async () => {
    const [first, second, third] = threeMachines;
    const moved = [
      first,
      second,
      { ...third, roles: ["quorum", "arbiter"] },
      {
        ...third,
        name: "node-4",
        address: "10.3.0.14",
        backend: "10.2.0.14",
        frontend: "10.1.0.14",
        roles: ["cache"],
      },
    ];
    const after = await recordMachines({ changes: { machines: moved } });
    const machineOf = (one: Recording) => environmentOf(one.get("Command", "cache-1")).MACHINE;
    assert.deepEqual([machineOf(recording), machineOf(after)], ["node-3", "node-4"]);
    const { replaceOnChanges, deleteBeforeReplace } = after.get("Command", "cache-1");
    assert.ok(replaceOnChanges.includes("environment.MACHINE"));
    assert.equal(deleteBeforeReplace, true);
  });

  it("W8: lets a renamed tier's instance take over the one of the old name, which goes first", async () => {
    const machines = threeMachines.map((one) => ({
      ...one,
      roles: one.roles.map((role) => (role === "storefront" ? "shop-front" : role)),
    }));
    const after = await recordMachines({ changes: { machines }, text: renamed });
    const aliased = after.ofType("Command").filter(({ aliases }) => aliases.length > 0);
    assert.deepEqual(
      aliased.map(({ name, aliases }) => [name, ...aliases]),
      [
        ["shop-front-1-certificates", "storefront-1-certificates"],
        ["shop-front-2-certificates", "storefront-2-certificates"],
        ["shop-front-1", "storefront-1"],
        ["shop-front-2", "storefront-2"],
      ],
    );
    for (const one of onMachines(after)) {
      const { name, replaceOnChanges, deleteBeforeReplace } = one;
      // What it is replaced by is what states of earlier releases do not have
      assert.equal(replaceOnChanges.includes("environment.NAME"), aliased.includes(one), name);
      assert.equal(deleteBeforeReplace, true, name);
    }
    const [was, is] = [
      recording.get("Command", "storefront-1"),
      after.get("Command", "shop-front-1"),
    ];
    assert.deepEqual(
      [environmentOf(was).NAME, environmentOf(is).NAME],
      ["storefront-1", "shop-front-1"],
    );
    assert.equal(JSON.parse(environmentOf(was).REMOVAL ?? "").member, "storefront-1");
    assert.ok(after.get("Command", "shop-front-2").dependencies.includes("Command shop-front-1"));
  });

  it("N3: gives secrets by standard input alone, where no reviewer sees them", () => {
    for (const { label, inputs, shown } of recording.ofType("Command")) {
      const { stdin, ...rest } = inputs;
      assert.doesNotMatch(JSON.stringify(rest), /mock-password/, label);
      const hex = Buffer.from("mock-password").toString("hex");
      assert.ok(!JSON.stringify(shown).includes(hex), label);
      assert.ok(!JSON.stringify(rest).includes(hex), label);
    }
    const { inputs, shown } = recording.get("Command", "db-1");
    assert.match(String(inputs.stdin), /^postgres_password [0-9a-f]+$/m);
    assert.equal(shown.stdin, "(secret)");
  });

  it("N3: names the private key's file, and never holds what is in it", () => {
    for (const one of onMachines(recording)) {
      assert.equal(
        JSON.parse(environmentOf(one).TARGET ?? "").identityFile,
        ".hastack/lab/id_ed25519",
      );
      assert.doesNotMatch(JSON.stringify(one.inputs), /BEGIN [A-Z ]*PRIVATE KEY/);
    }
  });

  it("W3: asks for the same again, and names no path of the operator's machine", async () => {
    assert.deepEqual(differences(recording, await recordMachines()), []);
    for (const { label, inputs } of recording.all) {
      assert.ok(!JSON.stringify(inputs).includes(process.cwd()), label);
    }
  });

  it("W3: shows the programs that a machine gets in one place, line by line", () => {
    const { REQUEST = "" } = environmentOf(recording.get("Command", "node-2-programs"));
    const { programs } = JSON.parse(REQUEST);
    assert.match(programs.gate, /^gate\(\) \{$/m);
    for (const one of onMachines(recording).filter(({ name }) => !name.endsWith("-programs"))) {
      for (const [name, text] of Object.entries<string>(programs)) {
        assert.ok(!JSON.stringify(one.inputs).includes(JSON.stringify(text).slice(1, -1)), name);
      }
    }
  });

  it("W3: changes nothing but the load balancers for a setting of theirs", async () => {
    const changed = await recordMachines({ changes: { loadBalancer: { balance: "leastconn" } } });
    assert.deepEqual(differences(recording, changed), ["Command lb-1", "Command lb-2"]);
  });

  it("W8: changes only what runs a release for a new one", async () => {
    const changed = differences(recording, await recordMachines({ hash: "ba9876543210" }));
    assert.deepEqual(changed, [
      "Command admin-1",
      "Command admin-2",
      "Command migrations",
      "Command node-1-release",
      "Command node-2-release",
      "Command release",
      "Command storefront-1",
      "Command storefront-2",
    ]);
  });

  it("W4: keeps data directories only where keepData is on", async () => {
    const without = await recordMachines({ changes: { keepData: false } });
    const goes = (one: Recording) =>
      JSON.parse(environmentOf(one.get("Command", "db-1")).REMOVAL ?? "").data;
    assert.match(JSON.stringify(goes(without)), /\/var\/lib\/postgresql/);
    assert.deepEqual(goes(recording), []);
  });

  it("S2: refuses to place what mounts a directory that nobody has shared", async () => {
    const { settings, topology } = planWith({ platform: "ssh", machines: threeMachines });
    await record(() => {
      const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
      const targets = threeMachines.map(({ name, address, user, hostKey }) => ({
        name,
        address,
        port: 22,
        user,
        hostKey,
      }));
      const platform = new SshPlatform(settings, topology, { targets, architecture: "x64" });
      const shared = [{ name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" }];
      const task = {
        name: "task",
        component: "Test",
        host: first(topology.members.database),
        shared,
      };
      assert.throws(
        () =>
          platform.runOnce(
            { ...task, script: "true", files: [], secrets: {} },
            { parent, dependsOn: [] },
          ),
        { message: "uploads: share the directory before node-1 mounts it" },
      );
    });
  });
});
