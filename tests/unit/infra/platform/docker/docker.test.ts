import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { DockerPlatform } from "../../../../../infra/platform/docker/docker.ts";
import type { Engine } from "../../../../../infra/platform/docker/preflight.ts";
import type {
  PlacementOptions,
  Process,
  Task,
  Workload,
} from "../../../../../infra/platform/platform.ts";
import { first, planWith, renamed } from "../../../../support/unit/fixtures.ts";
import { type Recording, record } from "../../../../support/unit/mocks.ts";
import { imageOf, recordStack } from "../../../../support/unit/stack.ts";

describe("the docker platform", () => {
  it("W1: makes one container for each member, by the stack's and the member's name", async () => {
    const recording = await recordStack();
    for (const { name, inputs } of recording.ofType("Container")) {
      assert.deepEqual([inputs.name, inputs.hostname], [`hastack-test-${name}`, name]);
    }
    assert.deepEqual(recording.names("Container"), [
      "admin-1",
      "admin-2",
      "cache-1",
      "db-1",
      "db-2",
      "etcd-1",
      "etcd-2",
      "etcd-3",
      "lb-1",
      "lb-2",
      "storefront-1",
      "storefront-2",
    ]);
  });

  it("W7: has every container start again by itself, under a supervisor", async () => {
    for (const { name, inputs } of (await recordStack()).ofType("Container")) {
      assert.equal(inputs.restart, "always", name);
      assert.match((inputs.command as string[]).join(" "), /exec s6-svscan/, name);
    }
  });

  it("N4: lets no container gain rights, and only load balancers have more than usual, applications less", async () => {
    const recording = await recordStack();
    for (const { name, inputs } of recording.ofType("Container")) {
      assert.deepEqual(inputs.securityOpts, ["no-new-privileges:true"], name);
      assert.equal(inputs.privileged, undefined, name);
    }
    type Capabilities = { adds?: string[]; drops?: string[] } | undefined;
    const capabilities = recording
      .ofType("Container")
      .map(({ name, inputs }) => [name, inputs.capabilities as Capabilities] as const);
    const more = capabilities.filter(([, all]) => all?.adds);
    assert.deepEqual(more.map(([name]) => name).sort(), ["lb-1", "lb-2"]);
    const less = capabilities.filter(([, all]) => all?.drops?.includes("CAP_NET_RAW"));
    const instances = ["admin-1", "admin-2", "storefront-1", "storefront-2"];
    assert.deepEqual(less.map(([name]) => name).sort(), instances);
  });

  it("W4: labels every object with the stack and its component", async () => {
    const recording = await recordStack();
    const labelled = ["Container", "Network", "Volume"].flatMap((type) => recording.ofType(type));
    assert.equal(labelled.length, 12 + 2 + 12 + 5 + 1);
    for (const { label, inputs } of labelled) {
      const labels = inputs.labels as { label: string; value: string }[];
      assert.deepEqual(
        labels.map((one) => one.label),
        ["hastack.component", "hastack.stack"],
        label,
      );
      assert.equal(labels[1]?.value, "test", label);
    }
    for (const { label, inputs } of recording.ofType("RemoteImage")) {
      const { labels } = inputs.build as { labels: Record<string, string> };
      assert.equal(labels["hastack.stack"], "test", label);
    }
  });

  it("W4: labels passing containers like those that stay", async () => {
    for (const { name, inputs } of (await recordStack()).ofType("Command")) {
      const { TARGET } = (inputs.environment ?? {}) as Record<string, string>;
      if (TARGET === undefined || name === "database-settings") continue;
      const { labels, container } = JSON.parse(TARGET);
      if (labels === undefined) assert.ok(container, name);
      else assert.match(labels.join(" "), /^hastack\.component=\w+ hastack\.stack=test$/, name);
    }
  });

  it("W3: takes images by their id, and names them by what they are made of", async () => {
    const recording = await recordStack();
    const names = recording.ofType("RemoteImage").map(({ inputs }) => String(inputs.name));
    // Four of packages alone; the release once for each tier, and for the migrations
    assert.equal(names.length, 7);
    for (const name of names)
      assert.match(name, /^hastack-test\/[a-z-]+:([0-9a-f]{12}-)?[0-9a-f]{12}$/);
    for (const { name, inputs } of recording.ofType("Container")) {
      assert.ok(names.map((one) => `id-of-${one}`).includes(String(inputs.image)), name);
    }
  });

  it("W8: going back to an earlier release finds that release's image, under its own name", async () => {
    const [one, two] = ["111111111111", "222222222222"];
    const recordings = [
      await recordStack({ hash: one }),
      await recordStack({ hash: two }),
      await recordStack({ hash: one, changes: {} }),
    ];
    const images = recordings.map((recording) => imageOf(recording, "release"));
    assert.deepEqual(
      images.map(({ name }) => name.replace(/-[0-9a-f]{12}$/, "")),
      [`release-image-${one}`, `release-image-${two}`, `release-image-${one}`],
    );
    assert.deepEqual(images[2]?.inputs, images[0]?.inputs);
  });

  it("W3: names every image resource with its tag, so that none takes the place of another", async () => {
    for (const { name, inputs } of (await recordStack()).ofType("RemoteImage")) {
      const [, kind = "", tag = ""] = /^hastack-test\/(.*):(.*)$/.exec(String(inputs.name)) ?? [];
      assert.equal(name, `${kind}-image-${tag}`);
    }
  });

  it("W4: removes its images with the stack, and forces that", async () => {
    for (const { label, inputs, retainOnDelete } of (await recordStack()).ofType("RemoteImage")) {
      assert.deepEqual([inputs.forceRemove, inputs.keepLocally ?? false], [true, false], label);
      assert.equal(retainOnDelete, false, label);
    }
  });

  it("W4: keeps nothing but data, and protects nothing from a destroy", async () => {
    const recording = await recordStack({ changes: { keepData: true } });
    const kept = recording.all.filter(({ retainOnDelete }) => retainOnDelete);
    assert.deepEqual(kept.map(({ label }) => label).sort(), [
      "Volume db-1-data",
      "Volume db-2-data",
      "Volume uploads",
    ]);
    assert.deepEqual(
      recording.all.filter((one) => one.protect).map((one) => one.label),
      [],
    );
  });

  it("W4: keeps nothing at all where keepData is off", async () => {
    const recording = await recordStack({ changes: { keepData: false } });
    assert.deepEqual(
      recording.all.filter(({ retainOnDelete }) => retainOnDelete).map(({ label }) => label),
      [],
    );
  });

  it("W8: deletes before it replaces what has a name or an address of its own", async () => {
    const recording = await recordStack();
    const fixed = ["Container", "Network", "Volume"].flatMap((type) => recording.ofType(type));
    for (const { label, deleteBeforeReplace } of fixed) {
      assert.equal(deleteBeforeReplace, true, label);
    }
  });

  it("W8: lets a renamed tier's instances take over those of the old name, one by one", async () => {
    const recording = await recordStack({ text: renamed });
    const aliased = recording.all.filter(({ aliases, kind }) => {
      return aliases.length > 0 && kind !== "RandomPassword";
    });
    assert.deepEqual(
      aliased.map(({ label, aliases }) => [label, ...aliases]).sort(),
      ["1", "2"]
        .flatMap((number) => [
          [`Command shop-front-${number}-certificates`, `storefront-${number}-certificates`],
          [`Command shop-front-${number}-files`, `storefront-${number}-files`],
          [`Command shop-front-${number}-gate`, `storefront-${number}-gate`],
          [`Container shop-front-${number}`, `storefront-${number}`],
        ])
        .sort(),
    );
    const { inputs, deleteBeforeReplace, dependencies } = recording.get(
      "Container",
      "shop-front-2",
    );
    assert.equal(inputs.name, "hastack-test-shop-front-2");
    assert.equal(deleteBeforeReplace, true, "its address is free only then");
    assert.ok(dependencies.includes("Command shop-front-2-files"));
    const files = recording.get("Command", "shop-front-2-files");
    assert.ok(files.dependencies.includes("Command shop-front-1-gate"), "in its turn");
    const password = recording.get("RandomPassword", "password-shop-front");
    assert.deepEqual(password.aliases, ["password-storefront"]);
  });

  it("W8: replaces a container for any change of its inputs: the engine's update skips some", async () => {
    for (const { label, replaceOnChanges } of (await recordStack()).ofType("Container")) {
      assert.deepEqual(replaceOnChanges, ["*"], label);
    }
  });

  it("A15: gives each container the grace of all its processes before it kills", async () => {
    const recording = await recordStack();
    const grace = (name: string) => recording.get("Container", name).inputs.destroyGraceSeconds;
    assert.deepEqual(
      ["etcd-1", "db-1", "storefront-1", "admin-1", "lb-1"].map(grace),
      [15, 65, 42, 42, 15],
    );
  });

  it("rotates the logs of every container", async () => {
    for (const { name, inputs } of (await recordStack()).ofType("Container")) {
      assert.deepEqual(inputs.logOpts, { "max-size": "10m", "max-file": "3" }, name);
    }
  });

  it("W1: mounts the delivered files in every container, from a volume of its own", async () => {
    const recording = await recordStack();
    for (const { name, inputs } of recording.ofType("Container")) {
      const volumes = inputs.volumes as { volumeName: string; containerPath: string }[];
      assert.deepEqual(volumes[0], {
        volumeName: `hastack-test-${name}-files`,
        containerPath: "/etc/hastack",
      });
    }
  });

  it("L8: delivers into a passing container that looks like the member", async () => {
    const { inputs } = (await recordStack()).get("Command", "lb-1-files");
    const { REQUEST = "", TARGET = "", IMAGE } = inputs.environment as Record<string, string>;
    assert.match(String(IMAGE), /^id-of-hastack-test\/load-balancer:/);
    assert.deepEqual(JSON.parse(TARGET), {
      volume: "hastack-test-lb-1-files",
      container: "hastack-test-lb-1",
      labels: ["hastack.component=LoadBalancer", "hastack.stack=test"],
    });
    const { root, addresses, processes, files } = JSON.parse(REQUEST);
    assert.deepEqual([root, addresses], ["/etc/hastack", ["10.1.0.11", "10.2.0.11"]]);
    assert.deepEqual(processes, [
      { name: "haproxy", reloadSignal: "SIGUSR2" },
      { name: "keepalived", reloadSignal: "SIGHUP", pausesFor: "haproxy" },
    ]);
    assert.equal(files["haproxy.cfg"].notice, "reload:haproxy");
  });

  it("W3: names no path of the operator's machine, which differs from one checkout to the next", async () => {
    for (const { label, inputs } of (await recordStack()).all) {
      assert.ok(!JSON.stringify(inputs).includes(process.cwd()), label);
    }
  });

  it("has the environment to itself: no output of an earlier run comes in", async () => {
    for (const { label, inputs } of (await recordStack()).ofType("Command")) {
      assert.equal(inputs.addPreviousOutputInEnv, false, label);
      assert.equal(inputs.triggers, undefined, label);
    }
  });

  it("takes the gate's limit from the settings", async () => {
    const recording = await recordStack({ changes: { gateTimeoutSeconds: 33 } });
    for (const { name } of recording.ofType("Container")) {
      const { environment } = recording.get("Command", `${name}-gate`).inputs;
      const { REQUEST = "" } = environment as Record<string, string>;
      assert.equal(JSON.parse(REQUEST).health.timeoutSeconds, 33, name);
    }
  });
});

describe("a workload on docker", () => {
  const plan = planWith();
  const host = first(plan.topology.tiers.storefront ?? []);
  const one: Process = { name: "one", command: ["one"], stopGraceSeconds: 1 };
  const workload: Workload = {
    host,
    component: "Test",
    packages: [],
    processes: [one],
    files: [],
    secrets: {},
  };

  /** Places workloads of these kinds, and runs these tasks. */
  const placed = (changes: readonly Partial<Workload>[], tasks: readonly Partial<Task>[] = []) =>
    record(() => {
      const platform = new DockerPlatform(plan.settings, plan.topology);
      const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
      const options = { parent, dependsOn: [] };
      platform.allow([], options);
      for (const [index, change] of changes.entries()) {
        const own = { ...host, name: `app-${index + 1}` };
        platform.place({ ...workload, host: own, ...change }, options);
      }
      for (const [index, change] of tasks.entries()) {
        const task = { name: `task-${index}`, component: "Test", host, script: "true" };
        platform.runOnce({ ...task, files: [], secrets: {}, ...change }, options);
      }
    });

  it("is refused where nobody has said who may talk to whom: it would have no network", async () => {
    const start = (act: (platform: DockerPlatform, options: PlacementOptions) => void) =>
      record(() => {
        const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
        const platform = new DockerPlatform(plan.settings, plan.topology);
        assert.throws(() => act(platform, { parent, dependsOn: [] }), {
          message: /: its networks are not described yet; call allow\(\) before it is placed$/,
        });
      });
    await start((platform, options) => platform.place(workload, options));
    const task = { name: "task", component: "Test", host, script: "true", files: [], secrets: {} };
    await start((platform, options) => platform.runOnce(task, options));
  });

  it("W10: what was changed by hand has its files brought again and its health shown, and nothing else changes", async () => {
    const of = (engine?: Engine) =>
      record(() => {
        const platform = new DockerPlatform(plan.settings, plan.topology, engine);
        const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
        platform.allow([], { parent, dependsOn: [] });
        platform.place(workload, { parent, dependsOn: [] });
      });
    const volumes = new Set([`hastack-test-${host.name}-files`]);
    const changed = (recording: Recording, name: string) =>
      (recording.get("Command", name).inputs.environment as Record<string, string>).CHANGED_BY_HAND;
    const sound = await of({ containers: [], volumes });
    const altered = new Map([[host.name, ["proxy.cfg", "process proxy"]]]);
    const found = await of({ containers: [], volumes, altered });
    for (const kind of ["files", "gate"]) {
      assert.equal(changed(sound, `${host.name}-${kind}`), undefined);
      assert.match(
        changed(found, `${host.name}-${kind}`) ?? "",
        /^proxy\.cfg, process proxy \(seen 2/,
      );
    }
    assert.deepEqual(
      found.get("Container", host.name).inputs,
      sound.get("Container", host.name).inputs,
    );
  });

  it("may use as much memory as all its processes together, where each has a limit", async () => {
    const limited = (memoryMegabytes: number) => ({ ...one, memoryMegabytes });
    const recording = await placed([
      {},
      { processes: [limited(100), one] },
      { processes: [limited(100), limited(200)] },
    ]);
    const memory = (name: string) => {
      const { inputs } = recording.get("Container", name);
      return Object.fromEntries(Object.entries(inputs).filter(([key]) => key.startsWith("memory")));
    };
    assert.deepEqual(["app-1", "app-2", "app-3"].map(memory), [
      {},
      {},
      { memory: 300, memorySwap: 300 },
    ]);
  });

  it("has an image of its own for each set of packages and users beside a release, staged once", async () => {
    const release = { hash: "0123456789ab", application: "examples/notes", users: [] };
    const python = { release, packages: ["python3"] };
    const users = ["hastack-web", "hastack-office"];
    const other = {
      release: { ...release, users },
      packages: [],
      processes: [{ ...one, user: "hastack-web" }],
    };
    const recording = await placed([{ release }, python, other], [python]);
    const images = recording.ofType("RemoteImage").map(({ inputs }) => inputs);
    const names = images.map(({ name }) => String(name));
    assert.equal(new Set(names).size, 3);
    for (const name of names)
      assert.match(name, /^hastack-test\/release:0123456789ab-[0-9a-f]{12}$/);
    assert.deepEqual(
      images.map(({ build }) => (build as Record<string, unknown>).buildArgs),
      [
        { PACKAGES: "", USERS: "" },
        { PACKAGES: "python3", USERS: "" },
        { PACKAGES: "", USERS: "hastack-web" },
      ],
    );
    const { environment } = recording.get("Command", "task-0").inputs;
    assert.equal((environment as Record<string, string>).IMAGE, `id-of-${names[1]}`);
    const { inputs } = recording.get("Command", "release");
    assert.deepEqual(inputs.environment, { RELEASE: release.hash, APPLICATION: "examples/notes" });
  });

  it("W8: passes its gate without a health command once its processes have run for some seconds", async () => {
    const { inputs } = (await placed([{}])).get("Command", "app-1-gate");
    const { REQUEST = "" } = inputs.environment as Record<string, string>;
    const { meaning, command } = JSON.parse(REQUEST).health;
    assert.equal(meaning, "its processes have run for 5 s");
    assert.match(command, /s6-svstat .*\/services\/one/);
  });
});
