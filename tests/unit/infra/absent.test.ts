import assert from "node:assert/strict";
import { DockerPlatform } from "../../../infra/platform/docker/docker.ts";
import { renderHaproxy } from "../../../infra/render/haproxy.ts";
import { renderKeepalived } from "../../../infra/render/keepalived.ts";
import { WebStack } from "../../../infra/stack.ts";
import { inRoot } from "../../../lib/paths.ts";
import { run } from "../../../lib/run.ts";
import { first, planWith } from "../../support/unit/fixtures.ts";
import { recordMachines } from "../../support/unit/machine-stack.ts";
import { type Recording, type Registration, record } from "../../support/unit/mocks.ts";
import {
  describeStack,
  differences,
  recordStack,
  releaseFor,
  taskOf,
} from "../../support/unit/stack.ts";

const absent = ["db-2", "storefront-2", "etcd-1", "lb-1"];
const environmentOf = ({ inputs }: Registration) =>
  (inputs.environment ?? {}) as Readonly<Record<string, string>>;
const labels = (all: readonly Registration[]) => all.map(({ label }) => label).sort();
const leftAlone = (recording: Recording) =>
  recording.all
    .filter(({ ignoreChanges }) => ignoreChanges.includes("*"))
    // It is never made anew, whatever is absent
    .filter(({ label }) => label !== "RandomPassword backup-repository-key");

describe("a machine that is absent", () => {
  it("W11: on Docker: its container, files, gate and tasks are as the state has them, whatever changes", async () => {
    const recording = await recordStack({ changes: { absent } });
    const ofMember = (name: string) => [
      `Command ${name}-files`,
      `Command ${name}-gate`,
      `Container ${name}`,
    ];
    assert.deepEqual(
      labels(leftAlone(recording)),
      [
        ...absent.flatMap(ofMember),
        ...["bridge", "principals", "plaintext-end", "former-roles"].map(
          (task) => `Command db-2-${task}`,
        ),
        "Command etcd-1-only-tls",
        "Command rotation-end",
        "Command lb-1-bridge",
      ].sort(),
    );
  });

  it("W11: on machines: every command on it, and none elsewhere", async () => {
    const recording = await recordMachines({ changes: { absent: ["node-2"] } });
    const onNode2 = recording
      .ofType("Command")
      .filter((one) => environmentOf(one).MACHINE === "node-2");
    assert.ok(onNode2.length > 15);
    assert.deepEqual(labels(leftAlone(recording)), labels(onNode2));
  });

  it("W11: what the state does not have yet of it is entered, and does nothing", async () => {
    const docker = await recordStack({ changes: { absent } });
    const machines = await recordMachines({ changes: { absent: ["node-2"] } });
    const commands = [docker, machines].flatMap((one) =>
      leftAlone(one).filter(({ kind }) => kind === "Command"),
    );
    for (const { label, inputs } of commands) {
      assert.match(String(inputs.create), /^echo [\w-]+ is absent: nothing was done there$/, label);
    }
  });

  it("W11: everything is registered under the same name, so that nothing is taken away", async () => {
    assert.deepEqual(
      labels((await recordStack({ changes: { absent } })).all),
      labels((await recordStack()).all),
    );
    assert.deepEqual(
      labels((await recordMachines({ changes: { absent: ["node-2"] } })).all),
      labels((await recordMachines()).all),
    );
  });

  it("W11: the image that its container runs stays", async () => {
    const plan = planWith({ absent: ["storefront-2"] });
    const there = "hastack-test/release:0ld-0ld";
    const engine = {
      containers: [],
      volumes: new Set<string>(),
      images: new Map([["storefront-2", there]]),
    };
    const recording = await record(() => {
      const platform = new DockerPlatform(plan.settings, plan.topology, engine);
      return new WebStack("hastack", { ...plan, platform, release: releaseFor(plan) });
    });
    const image = recording.get("RemoteImage", "release-image-0ld-0ld");
    assert.deepEqual([image.inputs.name, image.ignoreChanges], [there, ["*"]]);
    assert.equal(recording.get("Container", "storefront-2").inputs.image, `id-of-${there}`);
    assert.notEqual(recording.get("Container", "storefront-1").inputs.image, `id-of-${there}`);
  });

  it("W11: tasks that any member can do go to one that is there, and ask nobody else", async () => {
    const described = await describeStack({ absent: ["etcd-1", "db-1", "storefront-1"] });
    const host = (task: string) => taskOf(described, task).host.name;
    assert.deepEqual(["etcd-users", "database-settings", "migrations"].map(host), [
      "etcd-2",
      "db-2",
      "storefront-2",
    ]);
    const { backend: gone } = first(described.topology.members.database);
    const settings = taskOf(described, "database-settings").script;
    assert.doesNotMatch(settings, new RegExp(gone));
    assert.doesNotMatch(settings, /wait_for_standby$/m, "there is none to wait for");
    assert.match(settings, /restart_pending primary$/m);
    const { backend: silent } = first(described.topology.members.quorum);
    assert.doesNotMatch(taskOf(described, "etcd-users").script, new RegExp(silent));
  });

  describe("for the load balancers", () => {
    const { settings, application, topology } = planWith({
      absent: ["storefront-2", "db-2", "lb-1"],
    });
    const whole = planWith();
    const lb2 = topology.members.loadBalancer[1] ?? first(topology.members.loadBalancer);
    const configuration = renderHaproxy(settings, topology, application, lb2);

    it("W11: gets no request, and reaches no database: it may be back with an old release", () => {
      const { backend = "" } = topology.tiers.storefront?.[1] ?? {};
      assert.equal(whole.topology.tiers.storefront?.[1]?.backend, backend);
      assert.doesNotMatch(
        configuration,
        new RegExp(`storefront-2|${backend.replaceAll(".", "\\.")}\\b`),
      );
      assert.match(configuration, /server storefront-1 /);
    });

    it("W11: answers no reads from a standby, and is primary if Patroni has made it that", () => {
      const part = (name: string) =>
        new RegExp(`^backend ${name}\\n(?: .*\\n)*`, "m").exec(configuration)?.[0] ?? "";
      assert.match(part("primary"), /server db-1 .*\n.*server db-2 /);
      assert.match(part("standby"), /server db-1 /);
      assert.doesNotMatch(part("standby"), /server db-2 /);
    });

    it("W11: stands below the others, wherever it was before", () => {
      const priority = (plan: typeof whole, name: string) => {
        const self = plan.topology.members.loadBalancer.find((one) => one.name === name);
        assert.ok(self);
        return Number(
          /priority (\d+)/.exec(renderKeepalived(plan.settings, plan.topology, self))?.[1],
        );
      };
      const others = { settings, application, topology };
      assert.ok(priority(others, "lb-2") > priority(whole, "lb-1"));
      assert.ok(priority(others, "lb-2") < 255, "255 is the owner's, and preempts");
      const heard = renderKeepalived(settings, topology, lb2);
      const { backend } = first(topology.members.loadBalancer);
      assert.ok(heard.includes(`${backend} min_ttl`), "or it would take them as nobody is heard");
    });
  });

  it("W11: a destroy goes on without it, and says what stays there", async () => {
    const target = { name: "node-2", address: "192.0.2.1", port: 22, user: "root", hostKey: "" };
    const env = {
      ...process.env,
      HASTACK_LEFT_BEHIND: "node-2",
      TARGET: JSON.stringify(target),
      NAME: "db-2",
      REMOVAL: "{}",
    };
    const program = [process.execPath, inRoot("infra/platform/ssh/run.ts"), "remove", "REMOVAL"];
    const { code, stdout } = await run(program, { env, limitSeconds: 9 });
    assert.deepEqual([code, stdout], [0, "machine node-2 is absent: db-2 stays there\n"]);
  });

  it("W11: without its name all is as it was", async () => {
    assert.deepEqual(
      differences(await recordStack(), await recordStack({ changes: { absent: [] } })),
      [],
    );
  });
});
