import assert from "node:assert/strict";
import { DockerPlatform } from "../../../../infra/platform/docker/docker.ts";
import type { Facts } from "../../../../infra/platform/ssh/facts.ts";
import { SshPlatform } from "../../../../infra/platform/ssh/ssh.ts";
import { WebStack } from "../../../../infra/stack.ts";
import { planWith } from "../../../support/unit/fixtures.ts";
import { onMachines } from "../../../support/unit/machine-stack.ts";
import { type Recording, record } from "../../../support/unit/mocks.ts";
import { releaseFor } from "../../../support/unit/stack.ts";

/** As a database member tells it, beside a file of its own. */
const told = ["patroni.yml", "task database-settings: the settings of Patroni in etcd"];

const mendedBy = (recording: Recording) =>
  Object.fromEntries(
    recording.ofType("Command").flatMap(({ name, inputs }) => {
      const { CHANGED_BY_HAND: what } = (inputs.environment ?? {}) as Record<string, string>;
      return what === undefined ? [] : [[name, what.replace(/ \(seen .*/, "")]];
    }),
  );

describe("what was changed by hand", () => {
  it("W10: of Patroni's settings is written anew by the task, and files by their delivery, on Docker", async () => {
    const plan = planWith();
    const engine = {
      containers: [],
      volumes: new Set<string>(),
      altered: new Map([["db-1", told]]),
    };
    const recording = await record(() => {
      const platform = new DockerPlatform(plan.settings, plan.topology, engine);
      return new WebStack("hastack", { ...plan, platform, release: releaseFor(plan) });
    });
    assert.deepEqual(mendedBy(recording), {
      "database-settings": "the settings of Patroni in etcd",
      "db-1-files": "patroni.yml",
      "db-1-gate": "patroni.yml",
    });
  });

  it("W10: the same on machines", async () => {
    const plan = planWith(onMachines);
    const [machine] = plan.topology.machines;
    assert.ok(machine);
    const targets = plan.topology.machines.map(({ name }) => ({
      name,
      address: "10.3.0.1",
      port: 22,
      user: "root",
      hostKey: "",
    }));
    const [target] = targets;
    assert.ok(target);
    const facts = {
      altered: new Map([["db-1", told]]),
      addresses: [],
      otherFirewalls: [],
    } as unknown as Facts;
    const machines = { targets, architecture: "x64" as const, seen: [{ target, machine, facts }] };
    const recording = await record(() => {
      const platform = new SshPlatform(plan.settings, plan.topology, machines);
      return new WebStack("hastack", { ...plan, platform, release: releaseFor(plan) });
    });
    assert.deepEqual(mendedBy(recording), {
      "database-settings": "the settings of Patroni in etcd",
      "db-1": "patroni.yml",
    });
  });
});
