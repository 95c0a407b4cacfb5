import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { processesScript } from "../../../../operate/act/processes.ts";
import { stopOrder } from "../../../../operate/act/stop.ts";
import { startOrder } from "../../../../operate/act/whole.ts";
import { memberNamed, openStack } from "../../../../operate/stack.ts";

describe("a stack that is stopped", () => {
  const stack = openStack("dev");
  const names = (order: ReturnType<typeof startOrder>) =>
    order.map((members) => members.map(({ name }) => name).join(" "));

  it("W9: goes down from those who ask to those who are asked, the primary after its standby", () => {
    const members = [
      { name: "db-1", role: "leader", state: "running" },
      { name: "db-2", role: "sync_standby", state: "streaming" },
    ];
    assert.deepEqual(names(stopOrder(stack, { members })), [
      "backup-1",
      "lb-1 lb-2",
      "storefront-1 storefront-2 admin-1 admin-2",
      "cache-1",
      "db-2",
      "db-1",
      "etcd-1 etcd-2 etcd-3",
    ]);
    assert.equal(names(stopOrder(stack, { members: [] })).at(-2), "db-1 db-2");
  });

  it("W9: comes up in the contrary order", () => {
    assert.deepEqual(names(startOrder(stack)), [
      "etcd-1 etcd-2 etcd-3",
      "db-1 db-2",
      "cache-1",
      "storefront-1 storefront-2 admin-1 admin-2",
      "lb-1 lb-2",
      "backup-1",
    ]);
  });

  it("W9: is held by what a supervisor reads at its own start, on either platform", () => {
    const docker = memberNamed(stack, "cache-1");
    const ssh = openStack("lab");
    for (const [where, member, holds] of [
      [stack, docker, /> "\$one\/down"; done\n.*s6-svc/],
      [ssh, memberNamed(ssh, "cache-1"), /systemctl stop\n.* systemctl disable/],
    ] as const) {
      assert.match(processesScript(where, member, "hold"), holds);
      for (const deed of ["stop", "start", "hold", "release", "isHeld"] as const)
        assert.equal(
          spawnSync("sh", ["-n"], { input: processesScript(where, member, deed) }).status,
          0,
        );
    }
  });
});
