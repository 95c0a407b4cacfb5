import assert from "node:assert/strict";
import {
  DatabaseBridge,
  PlaintextBridge,
  PlaintextEnd,
} from "../../../../infra/components/plaintext-bridge.ts";
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
  const openDatabase = ({ platform, topology, certificates, options }: Surroundings) =>
    new DatabaseBridge("database-bridge", { platform, topology, certificates }, options);
  const end = ({ platform, topology, options }: Surroundings) =>
    new PlaintextEnd("plaintext-end", { platform, topology }, options);

  it("O6: prepares the load balancers and the database, one member at a time", async () => {
    for (const where of platforms) {
      for (const [build, label, names] of [
        [open, "PlaintextBridge bridge", ["lb-1", "lb-2"]],
        [openDatabase, "DatabaseBridge database-bridge", ["db-1", "db-2"]],
      ] as const) {
        const recording = await recordAlone(where, build);
        const [type = "", name = ""] = label.split(" ");
        const labels = names.map((one) => `Command ${one}-bridge`);
        assert.deepEqual(recording.childrenOf(type, name).sort(), [...labels].sort());
        assertOrder(recording, ...labels);
      }
    }
  });

  it("O6: prepares load balancers, then etcd, then the database, before it is placed, and ends once all is", async () => {
    const recording = await recordStack();
    assertOrder(recording, "Command lb-2-bridge", "Command etcd-1-files");
    // Patroni asks etcd by TLS from then on
    assertOrder(recording, "Command etcd-3-gate", "Command db-1-bridge", "Command db-2-bridge");
    assertOrder(recording, "Command db-2-bridge", "Command db-1-files");
    const ends = ["db-1", "db-2"].map((name) => `Command ${name}-plaintext-end`);
    // Patroni has to have left etcd's plain port before that is closed
    assertOrder(recording, "Command lb-2-gate", ...ends, "Command etcd-1-only-tls");
  });

  it("O6: prepares nothing where no workload is there yet, as in a new stack, and ends nothing unseen", async () => {
    const { tasks } = await describeStack();
    const own = tasks.filter(({ component }) => component.startsWith("Plaintext"));
    assert.equal(own.length, 6);
    for (const { name, component, onWorkload } of own) {
      assert.equal(onWorkload, component === "PlaintextBridge" ? "optional" : "required", name);
    }
  });

  it("N3: shows no key, and hands no argument to the engine", async () => {
    for (const where of platforms) {
      assertNothingShown(await recordAlone(where, open));
      assertNothingShown(await recordAlone(where, openDatabase));
      assertNothingShown(await recordAlone(where, end));
    }
  });
});
