import assert from "node:assert/strict";
import { recordStack } from "../../../support/unit/stack.ts";

describe("SharedStorage", () => {
  it("S1: is one volume", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("SharedStorage", "storage"), ["Volume uploads"]);
    assert.equal(recording.get("Volume", "uploads").inputs.name, "hastack-test-uploads");
  });

  it("S1: that every instance of both tiers mounts at the same place", async () => {
    const recording = await recordStack();
    for (const name of ["storefront-1", "storefront-2", "admin-1", "admin-2"]) {
      const volumes = recording.get("Container", name).inputs.volumes as unknown[];
      assert.deepEqual(volumes.at(-1), {
        volumeName: "hastack-test-uploads",
        containerPath: "/var/lib/hastack/uploads",
      });
    }
  });

  it("W4: keeps the uploads on destroy exactly where keepData says so", async () => {
    for (const keepData of [true, false]) {
      const recording = await recordStack({ changes: { keepData } });
      assert.equal(recording.get("Volume", "uploads").retainOnDelete, keepData);
    }
  });
});
