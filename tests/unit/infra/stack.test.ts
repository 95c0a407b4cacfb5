import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { planTopology } from "../../../infra/plan.ts";
import { serviceFiles } from "../../../infra/platform/docker/s6.ts";
import type { ManagedFile } from "../../../infra/platform/platform.ts";
import { readSettings } from "../../../infra/settings.ts";
import type { WebStack } from "../../../infra/stack.ts";
import { agency, asPulumiGives, leastConfiguration, tiersOf } from "../../support/unit/fixtures.ts";
import { mockPassword, type Recording, secret } from "../../support/unit/mocks.ts";
import { deliveryScript, taskScript } from "../../support/unit/requests.ts";
import { describeStack, differences, imagesOf, recordStack } from "../../support/unit/stack.ts";

/** Asserts that one thing is only asked for once another is there. */
function assertAfter(recording: Recording, later: string, earlier: string): void {
  const find = (label: string) => {
    const [type = "", name = ""] = label.split(" ");
    return recording.get(type, name);
  };
  assert.ok(find(later).asked > find(earlier).done, `${later} waits for ${earlier}`);
}

describe("WebStack", () => {
  it("has no shell text that a shell cannot read", async () => {
    const stack = await describeStack();
    const scripts = [
      ...stack.workloads.flatMap(({ files, processes, health }) => {
        const all: readonly ManagedFile[] = [...files, ...serviceFiles(processes)];
        return [
          deliveryScript("/etc/hastack", all),
          health?.command ?? "",
          ...all.map(({ content }) => content).filter((text) => text.startsWith("#!/bin/sh")),
          ...all.flatMap(({ check }) => check ?? []),
        ];
      }),
      ...stack.tasks.flatMap((task) => [task.script, taskScript(task)]),
    ];
    assert.ok(scripts.length > 60, `${scripts.length} scripts`);
    for (const script of scripts) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: script, encoding: "utf8" });
      assert.equal(status, 0, `${stderr}\n${script}`);
    }
  });

  it("W1: has no process, file or health check that knows in which folder its files are", async () => {
    const { workloads, tasks } = await describeStack();
    for (const { host, processes, files, health } of workloads) {
      assert.ok(!JSON.stringify([processes, files, health]).includes("/etc/hastack"), host.name);
    }
    for (const { name, script, files } of tasks) {
      assert.ok(!JSON.stringify([script, files]).includes("/etc/hastack"), name);
    }
  });

  it("W1: is a tree of components, each under the stack", async () => {
    assert.deepEqual((await recordStack()).childrenOf("WebStack", "hastack"), [
      "AppServers app",
      "Authority authority",
      "Backup backup",
      "Cache cache",
      "Credentials credentials",
      "DatabaseBridge database-bridge",
      "DatabasePair database",
      "DatabaseSettings settings",
      "EtcdOnlyTls etcd-only-tls",
      "Firewall firewall",
      "FirewallClosed firewall-closed",
      "FormerRoles former-roles",
      "LoadBalancer load-balancer",
      "Migrations migrations",
      "PlaintextBridge bridge",
      "PlaintextEnd plaintext-end",
      "Quorum quorum",
      "RotationEnd rotation-end",
      "SharedStorage storage",
    ]);
  });

  it("W1: types its components hastack:index:NAME and sends none of their arguments", async () => {
    for (const { custom, type, kind, inputs } of (await recordStack()).all) {
      if (custom) continue;
      assert.equal(type, `hastack:index:${kind}`);
      assert.deepEqual(inputs, {}, kind);
    }
  });

  it("W1: has every resource under a component", async () => {
    for (const { label, parent, custom } of (await recordStack()).all) {
      if (label === "WebStack hastack") continue;
      assert.match(parent ?? "nothing", custom ? /^(?!WebStack)[A-Z]/ : /^WebStack/, label);
    }
  });

  it("W3: brings the parts up in the order in which they stand on each other", async () => {
    const recording = await recordStack();
    const steps = [
      "Network backend",
      "Command lb-1-bridge",
      "Command lb-2-bridge",
      "Volume etcd-1-files",
      "Command etcd-3-gate",
      "Command etcd-users",
      "Command db-1-bridge",
      "Command db-2-bridge",
      "Volume db-1-files",
      "Command db-2-gate",
      "Command db-2-principals",
      "Command database-settings",
      "Command migrations",
      "Volume storefront-1-files",
      "Command storefront-2-gate",
      "Volume admin-1-files",
      "Command admin-2-gate",
      "Volume lb-1-files",
      "Command lb-2-gate",
      "Command db-1-plaintext-end",
    ];
    for (const [index, step] of steps.entries()) {
      if (index > 0) assertAfter(recording, step, steps[index - 1] ?? "");
    }
    assertAfter(recording, "Command migrations", "Volume uploads");
    // A step of a rotation is refused before anybody has it, and has ended once all have
    assertAfter(recording, "Volume cache-1-files", "Command etcd-users");
    for (const last of ["lb-2-gate", "etcd-3-only-tls"])
      assertAfter(recording, "Command rotation-end", `Command ${last}`);
  });

  it("W8: changes one member at a time, each after the gate of the one before", async () => {
    const recording = await recordStack();
    const chains = [
      ["etcd-1", "etcd-2", "etcd-3"],
      ["db-1", "db-2"],
      ["storefront-1", "storefront-2", "admin-1", "admin-2"],
      ["lb-1", "lb-2"],
    ];
    for (const [before, member] of chains.flatMap(pairs)) {
      const gate = before === "db-1" ? "Command db-1-principals" : `Command ${before}-gate`;
      for (const type of ["Container", "Command"]) {
        const name = type === "Container" ? member : `${member}-files`;
        const { dependencies } = recording.get(type, name);
        assert.ok(dependencies.includes(gate), `${type} ${name} depends on ${gate}`);
      }
    }
  });

  it("W3: starts the instances of an application without migrations behind the database, too", async () => {
    const text = agency.replace(/^migrations:\n.*\n/m, "").replace(/^cache: true$/m, "");
    const recording = await recordStack({ text });
    assert.deepEqual(recording.childrenOf("Migrations", "migrations"), []);
    assertAfter(recording, "Container storefront-1", "Command database-settings");
    assertAfter(recording, "Container storefront-1", "Volume uploads");
  });

  it("W8: has a gate for each member, which waits for its container and its files", async () => {
    const recording = await recordStack();
    for (const { name } of recording.ofType("Container")) {
      const { dependencies } = recording.get("Command", `${name}-gate`);
      assert.deepEqual(
        dependencies.filter((label) => !/^RandomPassword |authority-|-certificates$/.test(label)),
        [`Container ${name}`, `Command ${name}-files`],
      );
    }
  });

  it("W8: takes no member's output as another one's input", async () => {
    const recording = await recordStack();
    const members = recording.names("Container");
    for (const { name, inputs } of recording.ofType("Container")) {
      for (const other of members.filter((one) => one !== name)) {
        assert.ok(!JSON.stringify(inputs).includes(`id-of-${other}`), `${name} without ${other}`);
      }
    }
  });

  describe("secrets", () => {
    it("N3: shows none of them in any input, neither bare nor coded", async () => {
      for (const { label, kind, shown } of (await recordStack()).all) {
        if (kind === "RandomPassword") continue;
        const text = JSON.stringify(shown);
        for (const code of ["utf8", "hex", "base64"] as const) {
          const trace = Buffer.from("mock-password").toString(code).replace(/.=*$/, "");
          assert.ok(!text.includes(trace), `${label} shows a password`);
        }
      }
    });

    it("N3: hands each of them on by standard input only, to those that need it", async () => {
      const users = new Map<string, string[]>();
      for (const { name, inputs, shown } of (await recordStack()).ofType("Command")) {
        const hidden = Object.keys(shown).filter((key) => shown[key] === secret);
        assert.deepEqual(
          hidden.filter((key) => key !== "stdin"),
          [],
          name,
        );
        const { stdin: _, ...open } = shown;
        assert.ok(!JSON.stringify(open).includes(secret), `${name} hides something else`);
        assert.equal(hidden.includes("stdin"), "stdin" in inputs, `${name} hides its input`);
        // Authorities' keys; the component's own test looks at them
        if (name.endsWith("-certificates")) continue;
        for (const line of String(inputs.stdin ?? "")
          .split("\n")
          .filter(Boolean)) {
          const [key = "", code = ""] = line.split(" ");
          // Certificates; the component's own test looks at whose they are
          if (/^(tls|ca)_/.test(key)) continue;
          const value = Buffer.from(code, "hex").toString();
          users.set(value, [...(users.get(value) ?? []), name]);
        }
      }
      const databases = ["db-1-files", "db-1-principals", "db-2-files", "db-2-principals"];
      const principals = ["db-1-principals", "db-2-principals"];
      const tier = (name: string) => [`${name}-1-files`, `${name}-2-files`];
      const expected: Record<string, string[]> = {
        postgres: databases,
        replicator: databases,
        rewinder: databases,
        migrator: [...principals, "migrations"],
        storefront: [...principals, ...tier("storefront")],
        admin: [...principals, ...tier("admin")],
        etcdRoot: ["etcd-users", ...[1, 2, 3].map((number) => `etcd-${number}-only-tls`)],
        etcdPatroni: ["etcd-users", "db-1-files", "db-2-files"],
        patroniApi: ["db-1-files", "db-2-files", "database-settings"],
        statistics: tier("lb"),
        cookieSecret: [...tier("storefront"), ...tier("admin"), "migrations"],
        "sessionSecret-storefront": tier("storefront"),
        "sessionSecret-admin": tier("admin"),
        cache: ["cache-1-files", ...tier("storefront"), ...tier("admin")],
        adminPassword: ["migrations"],
      };
      for (const [principal, names] of Object.entries(expected)) {
        const found = users.get(mockPassword(principal)) ?? [];
        assert.deepEqual(found.sort(), names.sort(), principal);
        users.delete(mockPassword(principal));
      }
      for (const [value, names] of users) {
        if (value.startsWith("-----BEGIN CERTIFICATE-----")) continue;
        const [, member] = /^mock-\S+-of-(\S+)-certificates$/.exec(value) ?? [];
        assert.ok(member, value);
        const tasks = { "etcd-1": "etcd-users", "db-1": "database-settings" }[member];
        const others = names.filter((name) => !name.startsWith(member) && name !== tasks);
        assert.deepEqual(others, [], value);
      }
    });

    it("N3: gives the password of the statistics page out as a secret", async () => {
      const { credentials } = (await recordStack()).result as WebStack;
      assert.equal(await pulumi.isSecret(credentials.of("statistics")), true);
    });

    it("N3: a rotation delivers new files and looks at the members again; it replaces none", async () => {
      const changed = differences(await recordStack(), await recordStack({ generation: 2 }));
      assert.deepEqual(changed, [
        ...["admin-1", "admin-2", "cache-1"].flatMap(deliveryAndGate),
        "Command database-settings",
        "Command db-1-files",
        "Command db-1-gate",
        "Command db-1-principals",
        "Command db-2-files",
        "Command db-2-gate",
        "Command db-2-principals",
        ...[1, 2, 3].map((number) => `Command etcd-${number}-only-tls`),
        "Command etcd-users",
        ...["lb-1", "lb-2"].flatMap(deliveryAndGate),
        "Command migrations",
        ...["storefront-1", "storefront-2"].flatMap(deliveryAndGate),
      ]);
    });
  });

  describe("what a reviewer sees", () => {
    it("W3: files in the clear, line by line", async () => {
      const recording = await recordStack();
      const texts = (name: string) => {
        const { files } = JSON.parse(environment(recording, name).REQUEST ?? "{}");
        return Object.values<{ content: string }>(files).flatMap(({ content }) =>
          content.split("\n"),
        );
      };
      const lines: Record<string, string> = {
        "lb-1-files":
          "  server storefront-1 10.2.0.41:3000 verifyhost 10-2-0-41-3000.instance tcp-ut 2s check",
        "etcd-1-files": "initial-cluster-token: hastack-test",
        "db-1-files": "    synchronous_mode: true",
        "storefront-1-files": 'HASTACK_INSTANCE="storefront-1"',
        "database-settings": '  "synchronous_mode": true,',
        migrations: 'PGUSER="migrator"',
        "cache-1-files": "maxmemory-policy volatile-ttl",
      };
      for (const [name, line] of Object.entries(lines)) {
        assert.ok(texts(name).includes(line), `${name} shows ${line}`);
      }
    });

    it("W3: a changed setting of HAProxy as new files and gates of the load balancers only", async () => {
      const after = await recordStack({ changes: { loadBalancer: { balance: "leastconn" } } });
      assert.deepEqual(differences(await recordStack(), after), [
        ...["lb-1", "lb-2"].flatMap(deliveryAndGate),
      ]);
      const { files } = JSON.parse(environment(after, "lb-2-files").REQUEST ?? "{}");
      assert.match(files["haproxy.cfg"].content, /^ {2}balance leastconn$/m);
    });

    it("W3: a new release as a new image, migrations and instances, and nothing else", async () => {
      const after = await recordStack({ hash: "ba9876543210" });
      const before = await recordStack();
      const instances = ["admin-1", "admin-2", "storefront-1", "storefront-2"];
      assert.deepEqual(
        differences(before, after),
        [
          ...instances.flatMap(deliveryAndGate),
          ...instances.map((name) => `Container ${name}`),
          "Command migrations",
          "Command release",
          ...[before, after].flatMap((one) => imagesOf(one, "release")).map(({ label }) => label),
        ].sort(),
      );
    });

    it("W8: an added instance as that instance, and as new files of the load balancers", async () => {
      const after = await recordStack({ changes: { tiers: { storefront: { instances: 3 } } } });
      assert.deepEqual(
        differences(await recordStack(), after),
        [
          "Command storefront-3-certificates",
          "Container storefront-3",
          "Volume storefront-3-files",
          ...["storefront-3", "lb-1", "lb-2"].flatMap(deliveryAndGate),
        ].sort(),
      );
    });

    it("W3: the same stack as no change at all", async () => {
      const again = await recordStack({ changes: {} });
      assert.deepEqual(differences(await recordStack(), again), []);
    });

    it("W3: every resource in a preview of a new stack, with nothing unknown but ids", async () => {
      const preview = await recordStack({ preview: true });
      const labels = (recording: Recording) => recording.all.map((one) => one.label).sort();
      assert.deepEqual(labels(preview), labels(await recordStack()));
      const unknowns = preview.all.flatMap(({ shown }) => unknownPaths(shown));
      assert.deepEqual([...new Set(unknowns)].sort(), [
        "environment.CONTAINER_ID",
        "environment.FILES",
        "environment.IMAGE",
        "image",
        "stdin",
      ]);
    });
  });

  describe("W5: refuses before anything is described", () => {
    const refused: readonly [Readonly<Record<string, unknown>>, string][] = [
      [
        { "hastack:members": { quorum: 4 } },
        "hastack:members.quorum: 4 is even and survives no more losses than 3, use 3",
      ],
      [
        { "hastack:members": { loadBalancer: 1 } },
        "hastack:members.loadBalancer: 1 leaves no second load balancer to take over the virtual IPs, use 2",
      ],
      [
        { "hastack:members": { database: 1 } },
        "hastack:members.database: 1 is not one primary and one standby, use 2",
      ],
      [
        { "hastack:tiers": { storefront: { poolSize: 50 } } },
        "hastack:database.maxConnections: 100 is less than the 235 connections that all pools may open, use 235, or smaller pools (hastack:tiers.NAME.poolSize)",
      ],
      [{ "hastack:keepdata": true }, "hastack:keepdata: is not a setting, did you mean keepData?"],
    ];
    for (const [changes, problem] of refused) {
      it(problem, () => {
        const configuration = asPulumiGives({ ...leastConfiguration, ...changes });
        const settings = () => readSettings("test", configuration);
        assert.throws(() => planTopology(settings(), tiersOf(settings())), {
          message: `the configuration is not valid:\n  ${problem}`,
        });
      });
    }
  });
});

const deliveryAndGate = (name: string) => [`Command ${name}-files`, `Command ${name}-gate`];

function pairs(chain: readonly string[]): [string, string][] {
  return chain.slice(1).map((name, index) => [chain[index] ?? "", name]);
}

function environment(recording: Recording, command: string): Record<string, string> {
  return recording.get("Command", command).shown.environment as Record<string, string>;
}

function unknownPaths(value: unknown, path: readonly string[] = []): string[] {
  if (value === "(unknown)") return [path.join(".")];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => unknownPaths(inner, [...path, key]));
}
