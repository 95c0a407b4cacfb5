/**
 * One workload on Docker, by the real engine: what happens when somebody takes away by hand what a
 * stack consists of, and when a checkout that knows nothing of the stack meets it.
 */
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { runDocker, tryDocker } from "../../infra/platform/docker/engine.ts";
import { inHastack, inRoot } from "../../lib/paths.ts";
import type { Outcome } from "../../lib/run.ts";
import { SmallProject } from "../toolchain/small-project.ts";

const stack = "by-hand";
const container = `hastack-${stack}-app-1`;
const [files, data] = [`${container}-files`, `${container}-data`];
const filter = `--filter=label=hastack.stack=${stack}`;

/** A workload with one process, which serves a word from its files and keeps another. */
const program = (word = "hello") => `
import * as pulumi from "@pulumi/pulumi";
import { DockerPlatform } from "${inRoot("infra/platform/docker/docker.ts")}";
import { preflight } from "${inRoot("infra/platform/docker/preflight.ts")}";
import { planWith } from "${inRoot("tests/support/unit/fixtures.ts")}";
const plan = planWith({
  network: {
    frontend: { subnet: "172.29.82.0/24", vip: "172.29.82.100" },
    backend: { subnet: "172.29.83.0/24", vip: "172.29.83.100" },
  },
  loadBalancer: { publishedPorts: [], publishedStatsPorts: [] },
  gateTimeoutSeconds: 60,
});
const settings = { ...plan.settings, stack: "${stack}" };
const topology = { ...plan.topology, stack: "${stack}" };
const platform = new DockerPlatform(settings, topology, preflight(settings, topology));
const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
platform.allow([], { parent, dependsOn: [] });
platform.place({
  host: { name: "app-1", role: "cache", machine: "app-1", backend: "172.29.83.11" },
  component: "Test",
  packages: [],
  processes: [{ name: "app", command: ["sleep", "infinity"], stopGraceSeconds: 1 }],
  files: [{ path: "word", content: "${word}\\n" }],
  secrets: {},
  data: [{ name: "data", path: "/var/lib/app", own: "/var/lib/app", keep: false }],
  health: { command: "grep -qx ${word} word && pgrep -x sleep > /dev/null", meaning: "it runs" },
}, { parent, dependsOn: [] });
`;

describe("what is done by hand to a stack on Docker", function () {
  this.timeout(600_000);
  const projects: SmallProject[] = [];
  let own: SmallProject;

  async function newProject(): Promise<SmallProject> {
    const project = await SmallProject.create(inHastack("pulumi"));
    // The platform's commands and its image are named from the program's folder
    symlinkSync(inRoot("infra/platform"), join(project.folder, "platform"));
    projects.push(project);
    return project;
  }

  before(async () => {
    await removeAll();
    own = await newProject();
    succeeded(await own.up(program()));
  });
  after(async () => {
    await own?.destroy("--refresh");
    for (const project of projects) project.remove();
    await removeAll();
  });

  const word = () => runDocker(["exec", container, "cat", "/etc/hastack/word"]);
  const id = async () => (await runDocker(["inspect", "-f", "{{.Id}}", container])).trim();

  it("W3: nothing done by hand is nothing to do", async () => {
    succeeded(await own.preview(program(), "--expect-no-changes"));
  });

  it("W10: a container that was removed is told, and made anew, with its gate", async () => {
    const before = await id();
    await runDocker(["rm", "--force", container]);
    const preview = succeeded(await own.preview(program(), "--refresh"));
    assert.match(preview, /docker:index\/container:Container: \(create\)/);
    const { stdout, stderr } = await own.preview(program());
    assert.match(stdout + stderr, /app-1: its container is not there\. .*add --refresh/);
    const done = succeeded(await own.up(program(), "--refresh"));
    assert.match(done, /waiting until app-1 is healthy/);
    assert.notEqual(await id(), before);
    succeeded(await own.preview(program(), "--expect-no-changes"));
  });

  it("W10: so are its volumes: the files are delivered again", async () => {
    await runDocker(["rm", "--force", container]);
    await runDocker(["volume", "rm", files, data]);
    succeeded(await own.up(program(), "--refresh"));
    assert.equal(await word(), "hello\n");
    const labels = await runDocker(["volume", "ls", "--quiet", filter]);
    assert.deepEqual(labels.trim().split("\n").sort(), [data, files]);
    succeeded(await own.preview(program(), "--expect-no-changes"));
  });

  it("W10: so is a network", async () => {
    await runDocker(["rm", "--force", container]);
    await runDocker(["network", "rm", `hastack-${stack}-backend`]);
    succeeded(await own.up(program(), "--refresh"));
    assert.equal(await word(), "hello\n");
    succeeded(await own.preview(program(), "--expect-no-changes"));
  });

  it("W10: a change of what was made anew is a change like any other", async () => {
    succeeded(await own.up(program("goodbye")));
    assert.equal(await word(), "goodbye\n");
  });

  it("W5: a checkout whose state knows nothing of the stack is refused, and nothing is touched", async () => {
    const before = await id();
    const other = await newProject();
    for (const outcome of [
      await other.preview(program("mine")),
      await other.pulumi("up", "--yes"),
    ]) {
      assert.notEqual(outcome.code, 0);
      assert.match(
        outcome.stdout + outcome.stderr,
        /stack by-hand: its containers are there already \(hastack-by-hand-app-1\) and the state of this checkout knows nothing of them.*destroy the stack from the checkout that made it/,
      );
    }
    assert.equal(await id(), before);
    assert.equal(await word(), "goodbye\n");
    succeeded(await own.preview(program("goodbye"), "--expect-no-changes"));
  });
});

function succeeded({ code, stdout, stderr }: Outcome): string {
  assert.equal(code, 0, `${stdout}${stderr}`);
  return stdout;
}

async function removeAll(): Promise<void> {
  for (const [list, remove] of [
    [
      ["ps", "--all"],
      ["rm", "--force", "--volumes"],
    ],
    [
      ["network", "ls"],
      ["network", "rm"],
    ],
    [
      ["volume", "ls"],
      ["volume", "rm"],
    ],
  ] as const) {
    const ids = (await runDocker([...list, "--quiet", filter])).split("\n").filter(Boolean);
    if (ids.length > 0) await tryDocker([...remove, ...ids]);
  }
}
