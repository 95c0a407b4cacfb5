import assert from "node:assert/strict";
import { EtcdOnlyTls } from "../../../../infra/components/etcd-only-tls.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { describeStack, recordStack, taskOf } from "../../../support/unit/stack.ts";

const tasks = ["etcd-1-only-tls", "etcd-2-only-tls", "etcd-3-only-tls"];

describe("EtcdOnlyTls", () => {
  const build = ({ platform, topology, password, options }: Surroundings) =>
    new EtcdOnlyTls(
      "etcd-only-tls",
      { platform, topology, rootPassword: password("etcdRoot") },
      options,
    );

  it("W8: is a task for each member, one after the other", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, build);
      const labels = tasks.map((name) => `Command ${name}`);
      assert.deepEqual(recording.childrenOf("EtcdOnlyTls", "etcd-only-tls"), labels);
      assertOrder(recording, ...labels);
    }
  });

  it("W8: comes once no old client is left: after the load balancers", async () => {
    assertOrder(await recordStack(), "Command lb-2-gate", `Command ${tasks[0]}`);
  });

  it("N4: runs as etcd's own user, which alone reads what it brings", async () => {
    const { user, files } = taskOf(await describeStack(), "etcd-2-only-tls");
    assert.equal(user, "etcd");
    assert.deepEqual(
      files.map(({ path, owner, mode }) => [path, owner, mode]),
      [["root", "etcd", "0600"]],
    );
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
