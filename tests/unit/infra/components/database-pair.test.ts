import assert from "node:assert/strict";
import { DatabasePair } from "../../../../infra/components/database-pair.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import {
  describeStack,
  imageOf,
  recordStack,
  taskOf,
  workloadOf,
} from "../../../support/unit/stack.ts";

describe("DatabasePair", () => {
  it("D1: is two members, each followed by the principals", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("DatabasePair", "database"), [
      "Command db-1-files",
      "Command db-1-gate",
      "Command db-1-principals",
      "Command db-2-files",
      "Command db-2-gate",
      "Command db-2-principals",
      "Container db-1",
      "Container db-2",
      imageOf(recording, "database-pair").label,
      "Volume db-1-data",
      "Volume db-1-files",
      "Volume db-2-data",
      "Volume db-2-files",
    ]);
  });

  it("D6: gives the principals their passwords only once the member is healthy", async () => {
    const recording = await recordStack();
    for (const name of ["db-1", "db-2"]) {
      const { dependencies } = recording.get("Command", `${name}-principals`);
      assert.ok(dependencies.includes(`Command ${name}-gate`), name);
    }
  });

  it("W4: keeps its data on destroy exactly where keepData says so", async () => {
    for (const keepData of [true, false]) {
      const recording = await recordStack({ changes: { keepData } });
      for (const name of ["db-1-data", "db-2-data"]) {
        assert.equal(recording.get("Volume", name).retainOnDelete, keepData, name);
      }
    }
  });

  it("gives PostgreSQL more than a minute to stop, then lets Docker kill", async () => {
    const { inputs } = (await recordStack()).get("Container", "db-1");
    assert.equal(inputs.destroyGraceSeconds, 65);
    assert.equal(inputs.stopTimeout, 65);
  });

  it("D6: is in the backend only, and publishes nothing", async () => {
    const { inputs } = (await recordStack()).get("Container", "db-2");
    assert.deepEqual(inputs.networksAdvanced, [
      { name: "hastack-test-backend", ipv4Address: "10.2.0.32" },
    ]);
    assert.deepEqual(inputs.ports, []);
  });

  it("keeps PostgreSQL's files on the data volume", async () => {
    const { inputs } = (await recordStack()).get("Container", "db-1");
    assert.deepEqual(inputs.volumes, [
      { volumeName: "hastack-test-db-1-files", containerPath: "/etc/hastack" },
      { volumeName: "hastack-test-db-1-data", containerPath: "/var/lib/postgresql" },
    ]);
  });

  it("N3: runs Patroni as postgres, with its passwords in a file that only postgres reads", async () => {
    const { processes, files } = workloadOf(await describeStack(), "db-1");
    assert.deepEqual(
      processes.map(({ name, user }) => [name, user]),
      [
        ["patroni", "postgres"],
        ["standby-care", "postgres"],
      ],
    );
    const secret = files.filter(({ content }) => /@\{(\w+_password|tls_\w+)\}/.test(content));
    assert.deepEqual(
      secret.map(({ path, owner, mode }) => [path, owner, mode]),
      [
        ["tls/patroni-api.pem", "postgres", "0400"],
        ["tls/etcd-client.pem", "postgres", "0400"],
        ["tls/postgres.pem", "postgres", "0400"],
        ["tls/replicator.pem", "postgres", "0400"],
        ["tls/rewinder.pem", "postgres", "0400"],
        ["patroni.yml", "postgres", "0600"],
      ],
    );
  });

  it("N3: runs the principals' SQL as postgres, from a file that only postgres reads", async () => {
    const { user, files } = taskOf(await describeStack(), "db-1-principals");
    assert.equal(user, "postgres");
    assert.deepEqual(
      files.map(({ path, owner, mode }) => [path, owner, mode]),
      [
        ["principals.sql", "postgres", "0600"],
        ["database.sql", "postgres", undefined],
      ],
    );
  });

  it("makes Patroni read a changed file again without a restart of PostgreSQL", async () => {
    const { processes, files } = workloadOf(await describeStack(), "db-1");
    assert.equal(processes[0]?.reloadSignal, "SIGHUP");
    const read = files.filter(({ path }) => path === "patroni.yml" || path.startsWith("tls/"));
    assert.equal(read.length, 9);
    for (const { path, reloads, restarts } of read) {
      assert.deepEqual([reloads, restarts], ["patroni", undefined], path);
    }
  });
});

describe("DatabasePair on its own", () => {
  const build = ({
    platform,
    topology,
    certificates,
    settings,
    password,
    generated,
    options,
  }: Surroundings) =>
    new DatabasePair(
      "database",
      {
        platform,
        topology,
        certificates,
        database: settings.database,
        backup: settings.backup,
        passwords: {
          postgres: password("postgres"),
          replicator: generated("replicator"),
          rewinder: generated("rewinder"),
          migrator: password("migrator"),
          patroniApi: generated("patroniApi"),
          etcdPatroni: generated("etcdPatroni"),
          application: { app_web: generated("web") },
        },
        wanted: { roles: ["app_web"], extensions: [], jobs: {} },
      },
      options,
    );

  it("L5: gives out where primary and standby are reached, through the load balancers", async () => {
    for (const where of platforms) {
      const { outputs } = (await recordAlone(where, build)).get("DatabasePair", "database");
      assert.deepEqual(outputs, { primary: "10.2.0.100:5000", replicas: "10.2.0.100:5001" });
    }
  });

  it("W1: is one command for each member and its principals on machines", async () => {
    const recording = await recordAlone("ssh", build);
    assert.deepEqual(recording.childrenOf("DatabasePair", "database"), [
      "Command db-1",
      "Command db-1-principals",
      "Command db-2",
      "Command db-2-principals",
    ]);
  });

  it("D6: gives the first member its principals before the second comes", async () => {
    const docker = await recordAlone("docker", build);
    assertOrder(docker, "Command db-1-gate", "Command db-1-principals", "Container db-2");
    assertOrder(docker, "Command db-2-gate", "Command db-2-principals");
    const ssh = await recordAlone("ssh", build);
    const names = ["db-1", "db-1-principals", "db-2", "db-2-principals"];
    assertOrder(ssh, ...names.map((name) => `Command ${name}`));
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
