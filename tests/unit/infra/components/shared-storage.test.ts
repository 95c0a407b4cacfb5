import assert from "node:assert/strict";
import { SharedStorage } from "../../../../infra/components/shared-storage.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { agency } from "../../../support/unit/fixtures.ts";
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

describe("SharedStorage on its own", () => {
  const none = agency.replace(/^shared: .*$/m, "shared: []").replace(/^backup:\n(?: .*\n)+/m, "");
  const alone = (where: (typeof platforms)[number], names: readonly string[]) =>
    recordAlone(
      where,
      ({ platform, options }: Surroundings) =>
        new SharedStorage("storage", { platform, names }, options),
      { text: none },
    );

  it("S1: gives out where each directory is on every machine", async () => {
    for (const where of platforms) {
      const recording = await alone(where, ["pictures", "papers"]);
      assert.deepEqual(recording.get("SharedStorage", "storage").outputs, {
        paths: { pictures: "/var/lib/hastack/pictures", papers: "/var/lib/hastack/papers" },
      });
    }
  });

  it("S1: is nothing where the application shares nothing", async () => {
    for (const where of platforms) {
      const recording = await alone(where, []);
      assert.deepEqual(recording.childrenOf("SharedStorage", "storage"), []);
      assert.deepEqual(recording.get("SharedStorage", "storage").outputs, { paths: {} });
    }
  });

  it("S1: is a volume on docker; bricks, then a volume of them, on machines", async () => {
    const docker = await alone("docker", ["pictures"]);
    assert.deepEqual(docker.childrenOf("SharedStorage", "storage"), ["Volume pictures"]);
    const ssh = await alone("ssh", ["pictures"]);
    const bricks = ["Command arbiter-1", "Command brick-1", "Command brick-2"];
    assert.deepEqual(ssh.childrenOf("SharedStorage", "storage"), [
      ...bricks,
      "Command pictures-volume",
    ]);
    for (const brick of bricks) assertOrder(ssh, brick, "Command pictures-volume");
  });

  it("S1: has bricks of its own for each directory on machines", async () => {
    const ssh = await alone("ssh", ["pictures", "papers"]);
    assert.deepEqual(ssh.childrenOf("SharedStorage", "storage"), [
      "Command arbiter-1",
      "Command arbiter-1-papers",
      "Command brick-1",
      "Command brick-1-papers",
      "Command brick-2",
      "Command brick-2-papers",
      "Command papers-volume",
      "Command pictures-volume",
    ]);
  });

  it("W1: hands no argument to the engine", async () => {
    for (const where of platforms) assertNothingShown(await alone(where, ["pictures"]));
  });
});
