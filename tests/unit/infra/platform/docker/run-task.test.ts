import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runDocker, tryDocker } from "../../../../../infra/platform/docker/engine.ts";
import type { Task } from "../../../../../infra/platform/platform.ts";
import { secretsInput, taskRequest } from "../../../../../infra/platform/request.ts";
import { until } from "../../../../../lib/until.ts";
import { type Container, passingName, start } from "../../../../support/unit/containers.ts";
import { first, planWith } from "../../../../support/unit/fixtures.ts";
import { baseImage } from "../../../../support/unit/images.ts";
import { runCommand } from "../../../../support/unit/programs.ts";

/** The request that a task with this script makes, as the environment hands it over. */
const request = (script: string, more: Partial<Task> = {}) =>
  JSON.stringify(
    taskRequest(
      {
        name: "job",
        component: "Test",
        host: first(planWith().topology.members.database),
        script,
        files: [{ path: "password", content: "@{password}", mode: "0600" }],
        secrets: {},
        ...more,
      },
      "/etc/hastack",
    ),
  );
const input = secretsInput({ password: "needle-in-hay" });

describe("run-task", function () {
  this.timeout(30_000);
  let image: string;
  let member: Container;
  const volume = passingName("task");

  before(async function () {
    this.timeout(600_000);
    image = await baseImage();
    member = await start(image, "task");
  });
  after(async () => {
    await member?.remove();
    await tryDocker(["volume", "rm", "--force", volume]);
  });

  const run = (environment: Readonly<Record<string, string>>) =>
    runCommand("node platform/docker/run-task.ts", environment, input);
  const inOneShot = (script: string, label = "task") => ({
    REQUEST: request(script),
    IMAGE: image,
    TARGET: JSON.stringify({
      network: "none",
      volumes: [`${volume}:/srv/shared`],
      labels: ["hastack-test.passing=yes", `hastack-test.${label}=yes`],
    }),
  });
  const inMember = (script: string, container = member.name, onWorkload?: Task["onWorkload"]) => ({
    REQUEST: request(script, onWorkload && { onWorkload }),
    TARGET: JSON.stringify({ container, ...(onWorkload && { onWorkload }) }),
  });

  it("A12: runs a task in the member's container, with its secrets", async () => {
    const { code, stdout } = await run(inMember("wc -c < password; touch /tmp/was-here"));
    assert.equal(code, 0);
    assert.match(stdout, /^13$/m);
    await member.run("test -e /tmp/was-here");
  });

  it("A12: runs a task that brings an image in a passing container, with its volumes", async () => {
    const { code, stderr } = await run(inOneShot("wc -c < password > /srv/shared/size"));
    assert.equal(code, 0, stderr);
    const mount = `--volume=${volume}:/srv/shared`;
    const size = await runDocker(["run", "--rm", mount, image, "cat", "/srv/shared/size"]);
    assert.equal(size, "13\n");
  });

  it("W4: leaves no container behind, also where the task fails", async () => {
    await run(inOneShot("true"));
    await run(inOneShot("exit 3"));
    const left = await runDocker(["ps", "-aq", "--filter=label=hastack-test.task"]);
    assert.equal(left, "");
  });

  it("W6: fails with the task's own words, and without its secrets", async () => {
    for (const environment of [inOneShot, inMember]) {
      const { code, stderr } = await run(environment("echo 'the table is locked' >&2; exit 3"));
      assert.deepEqual([code, stderr], [1, "the table is locked\n"]);
    }
  });

  it("W6: ends a task at its limit with its container, though a shell runs it", async function () {
    this.timeout(60_000);
    // Docker is told to end the way the limit tells it, only sooner: once the task runs
    const folder = mkdtempSync(join(tmpdir(), "hastack-unit-"));
    const docker = join(folder, "docker");
    const { stdout: real } = await runCommand("command -v docker", {});
    const enough = join(folder, "enough");
    writeFileSync(
      docker,
      `#!/bin/sh
[ "$1" = run ] || exec ${real.trim()} "$@"
# What runs in the background has no input but one of another number
exec 3<&0
${real.trim()} "$@" <&3 & client=$!
until [ -e ${enough} ] || ! kill -0 $client; do sleep 0.1; done
kill -TERM $client
wait $client
`,
    );
    chmodSync(docker, 0o755);
    const label = "hastack-test.limit";
    const left = () => runDocker(["ps", "-q", `--filter=label=${label}`]);
    try {
      const ended = runCommand(
        "node platform/docker/run-task.ts",
        {
          ...inOneShot("echo begun; sleep 60; echo ended", "limit"),
          PATH: `${folder}:${process.env.PATH}`,
        },
        input,
      );
      await until("the task runs", { probe: left, done: Boolean, limitSeconds: 20 });
      writeFileSync(enough, "");
      assert.equal((await ended).code, 1);
      await until("its container is gone", {
        probe: left,
        done: (ids) => ids === "",
        limitSeconds: 20,
      });
    } finally {
      writeFileSync(enough, "");
      rmSync(folder, { recursive: true });
      for (const id of (await left()).split("\n").filter(Boolean)) {
        await tryDocker(["rm", "--force", id]);
      }
    }
  });

  it("O6: runs a task on a workload's files where these are, and nothing elsewhere", async () => {
    const script = 'echo "it works on $WORKLOAD"';
    const nothing = /^nothing runs (t)?here yet$/m;
    const nobody = await run(inMember(script, "unit-test-nobody", "optional"));
    assert.deepEqual([nobody.code, nothing.test(nobody.stdout)], [0, true]);
    const empty = await run(inMember(script, member.name, "optional"));
    assert.deepEqual([empty.code, nothing.test(empty.stdout)], [0, true], empty.stdout);
    await member.run("install -D /dev/null /etc/hastack/.files");
    for (const kind of ["optional", "required"] as const) {
      const there = await run(inMember(script, member.name, kind));
      assert.match(there.stdout, /^it works on \/etc\/hastack$/m);
    }
    await member.run("rm /etc/hastack/.files");
  });

  it("W6: fails where a workload's container does not run: skipped, it would count as done", async () => {
    await runDocker(["stop", "--time=0", member.name]);
    try {
      const { code, stderr } = await run(inMember("true", member.name, "optional"));
      assert.equal(code, 1);
      assert.equal(stderr, `${member.name} is exited: start it, then run up again\n`);
    } finally {
      await runDocker(["start", member.name]);
    }
  });

  it("W6: fails where a workload that it needs is gone: skipped, it would count as done", async () => {
    const gone = await run(inMember("true", "unit-test-nobody", "required"));
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /No such container: unit-test-nobody/);
    const empty = await run(inMember("true", member.name, "required"));
    assert.equal(empty.code, 1);
    assert.match(empty.stderr, /its workload is gone from \/etc\/hastack: let up make that anew/);
  });

  it("W6: says so where the member's container is not there", async () => {
    const { code, stderr } = await run(inMember("true", "unit-test-nobody"));
    assert.equal(code, 1);
    assert.match(stderr, /No such container: unit-test-nobody/);
  });
});
