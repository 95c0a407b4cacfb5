import assert from "node:assert/strict";
import { PlaintextBridge, PlaintextEnd } from "../../../../infra/components/plaintext-bridge.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { describeStack, recordStack } from "../../../support/unit/stack.ts";

describe("PlaintextBridge", () => {
  const open = ({ platform, topology, certificates, options }: Surroundings) =>
    new PlaintextBridge("bridge", { platform, topology, certificates }, options);
  const end = ({ platform, topology, options }: Surroundings) =>
    new PlaintextEnd("plaintext-end", { platform, topology }, options);

  it("O6: prepares the load balancers first, then the database, one member at a time", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, open);
      const labels = ["lb-1", "lb-2", "db-1", "db-2"].map((name) => `Command ${name}-bridge`);
      assert.deepEqual(
        recording.childrenOf("PlaintextBridge", "bridge").sort(),
        [...labels].sort(),
      );
      assertOrder(recording, ...labels);
    }
  });

  it("O6: comes before anything is placed, and ends once all is", async () => {
    const recording = await recordStack();
    assertOrder(recording, "Command db-2-bridge", "Command etcd-1-files");
    const ends = ["db-1", "db-2"].map((name) => `Command ${name}-plaintext-end`);
    // Patroni has to have left etcd's plain port before that is closed
    assertOrder(recording, "Command lb-2-gate", ...ends, "Command etcd-1-only-tls");
  });

  it("O6: is skipped where the workload is not there yet, as in a new stack", async () => {
    const { tasks } = await describeStack();
    const own = tasks.filter(({ component }) => component.startsWith("Plaintext"));
    assert.equal(own.length, 6);
    for (const { name, onWorkload } of own) assert.equal(onWorkload, true, name);
  });

  it("N3: shows no key, and hands no argument to the engine", async () => {
    for (const where of platforms) {
      assertNothingShown(await recordAlone(where, open));
      assertNothingShown(await recordAlone(where, end));
    }
  });
});
