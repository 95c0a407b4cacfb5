import assert from "node:assert/strict";
import { Cache } from "../../../../infra/components/cache.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import {
  describeStack,
  differences,
  imageOf,
  recordStack,
  workloadOf,
} from "../../../support/unit/stack.ts";

describe("Cache", () => {
  it("A9: is one member with files, a container and a gate", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("Cache", "cache"), [
      "Command cache-1-files",
      "Command cache-1-gate",
      "Container cache-1",
      imageOf(recording, "cache").label,
      "Volume cache-1-files",
    ]);
  });

  it("A9: is away where the settings say so; the application is told of none then", async () => {
    const changes = { members: { cache: 0 } };
    assert.deepEqual((await recordStack({ changes })).childrenOf("Cache", "cache"), []);
    for (const name of ["storefront-1", "admin-1"]) {
      const { files, secrets } = workloadOf(await describeStack(changes), name);
      const { content = "" } = files.find(({ path }) => path === "environment") ?? {};
      assert.match(content, /^DATABASE_URL=/m);
      assert.doesNotMatch(content, /REDIS_URL/);
      assert.equal(secrets.cache_password, undefined);
    }
  });

  it("A9: keeps no data: it is made anew with what is read", async () => {
    const { data } = workloadOf(await describeStack(), "cache-1");
    assert.equal(data, undefined);
  });

  it("D7: is in the backend only, and publishes nothing", async () => {
    const { networksAdvanced, ports } = (await recordStack()).get("Container", "cache-1").inputs;
    assert.deepEqual(networksAdvanced, [
      { name: "hastack-test-backend", ipv4Address: "10.2.0.61" },
    ]);
    assert.deepEqual(ports, []);
  });

  it("D7, N4: runs unprivileged; its password is in files that only their reader reads", async () => {
    const { processes, files } = workloadOf(await describeStack(), "cache-1");
    assert.deepEqual(
      processes.map(({ name, user }) => [name, user]),
      [["valkey", "valkey"]],
    );
    assert.deepEqual(
      files.map(({ path, owner = "root", mode }) => [path, owner, mode]),
      [
        ["tls/cache-server.pem", "valkey", "0400"],
        ["tls/cache-client.pem", "valkey", "0400"],
        ["tls/cache-ca.crt", "root", "0444"],
        ["valkey.conf", "valkey", "0400"],
        ["password", "root", "0400"],
      ],
    );
  });

  it("N5: starts anew with another certificate, and is empty then", async () => {
    const { files } = workloadOf(await describeStack(), "cache-1");
    const tls = files.filter(({ path }) => path.startsWith("tls/"));
    assert.deepEqual([...new Set(tls.map(({ restarts }) => restarts))], ["valkey"]);
    const after = await recordStack({ changes: { certificates: { renewal: 1 } } });
    const changed = differences(await recordStack(), after);
    assert.ok(changed.includes("Command cache-1-certificates"), String(changed));
  });

  it("A9: a changed setting of the cache touches the cache, and nothing that uses it", async () => {
    const after = await recordStack({ changes: { cache: { megabytes: 128 } } });
    assert.deepEqual(differences(await recordStack(), after), [
      "Command cache-1-files",
      "Command cache-1-gate",
    ]);
  });

  it("A9: is there before the application, which waits for its gate", async () => {
    const recording = await recordStack();
    const { done } = recording.get("Command", "cache-1-gate");
    assert.ok(recording.get("Command", "storefront-1-files").asked > done);
  });
});

describe("Cache on its own", () => {
  const build = ({ settings, generated, options, ...given }: Surroundings) =>
    new Cache("cache", { ...given, cache: settings.cache, passwords: generated("cache") }, options);

  it("A9: gives out where it is reached, or that there is none", async () => {
    const addresses = { docker: ["10.2.0.61:6379"], ssh: ["10.2.0.13:6379"] };
    for (const where of platforms) {
      const { outputs } = (await recordAlone(where, build)).get("Cache", "cache");
      assert.deepEqual(outputs, { addresses: addresses[where] });
    }
    const none = await recordAlone("docker", build, { changes: { members: { cache: 0 } } });
    assert.deepEqual(none.get("Cache", "cache").outputs, { addresses: [] });
  });

  it("W1: is one command on machines, and files, a container and a gate in that order on docker", async () => {
    const ssh = await recordAlone("ssh", build);
    assert.deepEqual(ssh.childrenOf("Cache", "cache"), ["Command cache-1"]);
    const docker = await recordAlone("docker", build);
    assertOrder(docker, "Command cache-1-files", "Container cache-1", "Command cache-1-gate");
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
