import assert from "node:assert/strict";
import {
  containerState,
  runDocker,
  tryDocker,
} from "../../../../../infra/platform/docker/engine.ts";
import { required } from "../../../../../lib/command.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { baseImage } from "../../../../support/unit/images.ts";

describe("calls of docker", function () {
  this.timeout(30_000);
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    machine = await start(await baseImage(), "engine");
  });
  after(() => machine?.remove());

  const exec = (script: string) => ["exec", "--interactive", machine.name, "sh", "-c", script];

  it("give the exit code, and both outputs apart", async () => {
    assert.deepEqual(await tryDocker(exec("echo out; echo err >&2; exit 7")), {
      code: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  it("hand the input on", async () => {
    assert.equal(await runDocker(exec("tr a-z A-Z"), "text\n"), "TEXT\n");
  });

  it("fail after their limit, although docker itself then ends well", async () => {
    assert.deepEqual(await tryDocker(exec("echo begun; sleep 60"), "", 4), {
      code: 124,
      stdout: "begun\n",
      stderr: "not done within 4 s\n",
    });
  });

  it("do not mind a program that reads no input", async () => {
    assert.equal((await tryDocker(exec("exit 3"), "x".repeat(1_000_000))).code, 3);
  });

  it("throw what docker said where they must succeed", async () => {
    await assert.rejects(runDocker(exec("echo no >&2; exit 1")), { message: "no" });
    await assert.rejects(runDocker(exec("exit 1")), { message: "docker exec ended with 1" });
  });

  it("tell a container's state, and nothing of one that there is not", async () => {
    assert.equal(await containerState(machine.name), "running");
    assert.equal(await containerState("unit-test-nobody"), undefined);
  });

  it("name the environment variable that is missing", () => {
    assert.throws(() => required("HASTACK_NO_SUCH"), { message: "HASTACK_NO_SUCH is not set" });
  });
});
