import assert from "node:assert/strict";
import { Quorum } from "../../../../infra/components/quorum.ts";
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

describe("Quorum", () => {
  it("D2: is three members, each with files, data, a container and a gate; then the users", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("Quorum", "quorum"), [
      "Command etcd-1-files",
      "Command etcd-1-gate",
      "Command etcd-2-files",
      "Command etcd-2-gate",
      "Command etcd-3-files",
      "Command etcd-3-gate",
      "Command etcd-users",
      "Container etcd-1",
      "Container etcd-2",
      "Container etcd-3",
      imageOf(recording, "quorum").label,
      "Volume etcd-1-data",
      "Volume etcd-1-files",
      "Volume etcd-2-data",
      "Volume etcd-2-files",
      "Volume etcd-3-data",
      "Volume etcd-3-files",
    ]);
  });

  it("D2: has five members where the settings say so", async () => {
    const recording = await recordStack({ changes: { members: { quorum: 5 } } });
    const members = recording.names("Container").filter((name) => name.startsWith("etcd"));
    assert.deepEqual(members, ["etcd-1", "etcd-2", "etcd-3", "etcd-4", "etcd-5"]);
  });

  it("D7: gives etcd its users once every member has passed its gate", async () => {
    const { dependencies } = (await recordStack()).get("Command", "etcd-users");
    for (const name of ["etcd-1", "etcd-2", "etcd-3"]) {
      assert.ok(dependencies.includes(`Command ${name}-gate`), name);
    }
  });

  it("W4: keeps no data of etcd's, whatever keepData says: Patroni makes it anew", async () => {
    for (const keepData of [true, false]) {
      const recording = await recordStack({ changes: { keepData } });
      assert.equal(recording.get("Volume", "etcd-1-data").retainOnDelete, false);
    }
  });

  it("D6: is in the backend only, and publishes nothing", async () => {
    const { inputs } = (await recordStack()).get("Container", "etcd-2");
    assert.deepEqual(inputs.networksAdvanced, [
      { name: "hastack-test-backend", ipv4Address: "10.2.0.22" },
    ]);
    assert.deepEqual(inputs.ports, []);
  });

  it("N4: runs etcd as its own user, on its own volume", async () => {
    const { processes, data } = workloadOf(await describeStack(), "etcd-1");
    assert.deepEqual(
      processes.map(({ name, user }) => [name, user]),
      [["etcd", "etcd"]],
    );
    assert.deepEqual(data, [
      { name: "data", path: "/var/lib/etcd", own: "/var/lib/etcd/hastack", keep: false },
    ]);
  });

  it("D7: restarts etcd for another authority, and for a renewed certificate does not", async () => {
    const { files } = workloadOf(await describeStack(), "etcd-1");
    const tls = files.filter(({ path }) => path.startsWith("tls/"));
    assert.deepEqual(
      tls.map(({ path, owner, mode, restarts, reloads }) => [
        path,
        owner,
        mode,
        restarts ?? reloads,
      ]),
      [
        ["tls/etcd-peer.pem", "etcd", "0400", undefined],
        ["tls/etcd-server.pem", "etcd", "0400", undefined],
        ["tls/quorum-peer-ca.crt", undefined, "0444", "etcd"],
        ["tls/quorum-client-ca.crt", undefined, "0444", "etcd"],
      ],
    );
  });

  it("N3: brings the passwords of etcd's users in files that only root reads", async () => {
    const { files } = taskOf(await describeStack(), "etcd-users");
    assert.deepEqual(
      files.map(({ path, owner = "root", mode }) => [path, owner, mode]),
      [
        ["root", "root", "0600"],
        ["patroni", "root", "0600"],
      ],
    );
  });
});

describe("Quorum on its own", () => {
  const build = ({ platform, topology, certificates, generated, options }: Surroundings) =>
    new Quorum(
      "quorum",
      {
        platform,
        topology,
        certificates,
        rootPasswords: generated("etcdRoot"),
        patroniPasswords: generated("etcdPatroni"),
      },
      options,
    );
  const members = ["etcd-1", "etcd-2", "etcd-3"];

  it("D2: gives out where clients reach the members", async () => {
    const addresses = { docker: ["21", "22", "23"], ssh: ["11", "12", "13"] };
    for (const where of platforms) {
      const { outputs } = (await recordAlone(where, build)).get("Quorum", "quorum");
      const endpoints = addresses[where].map((host) => `https://10.2.0.${host}:2379`);
      assert.deepEqual(outputs, { endpoints });
    }
  });

  it("W1: is one command for each member, and one for the users, on machines", async () => {
    const recording = await recordAlone("ssh", build);
    assert.deepEqual(recording.childrenOf("Quorum", "quorum"), [
      ...members.map((name) => `Command ${name}`),
      "Command etcd-users",
    ]);
  });

  it("W8: places one member after the other, and the users come last", async () => {
    const docker = await recordAlone("docker", build);
    assertOrder(docker, ...members.map((name) => `Command ${name}-gate`), "Command etcd-users");
    assertOrder(docker, "Command etcd-1-gate", "Container etcd-2");
    const ssh = await recordAlone("ssh", build);
    assertOrder(ssh, ...members.map((name) => `Command ${name}`), "Command etcd-users");
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
