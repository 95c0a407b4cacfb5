import assert from "node:assert/strict";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { baseImage } from "../../../../support/unit/images.ts";
import { runCommand } from "../../../../support/unit/programs.ts";

describe("gate", function () {
  this.timeout(90_000);
  let member: Container;

  before(async function () {
    this.timeout(600_000);
    const script =
      "for i in $(seq 40); do echo line $i; done; sleep 0.3; echo 'error: no database' >&2; sleep 600";
    member = await start(await baseImage(), "gate", {
      arguments: ["--volume=/etc/hastack"],
      command: ["sh", "-c", script],
    });
  });
  after(() => member?.remove());

  const pass = (command: string, timeoutSeconds = 2, container = member.name) =>
    runCommand("node platform/docker/gate.ts", {
      CONTAINER: container,
      REQUEST: JSON.stringify({
        root: "/etc/hastack",
        member: "web-1",
        health: { command, meaning: "it answers", timeoutSeconds },
      }),
    });

  it("W8: passes where the health command succeeds in the member's container", async () => {
    const { code } = await pass("hostname | grep -E '^[0-9a-f]{12}$'");
    assert.equal(code, 0);
  });

  it("W8: waits until it does", async () => {
    await member.run("rm -f /tmp/well; (sleep 1; touch /tmp/well) > /dev/null 2>&1 &");
    const { code } = await pass("test -e /tmp/well", 60);
    assert.equal(code, 0);
  });

  it("W8: fails after its limit, with the last answer, the last log lines and what to do", async () => {
    const { code, stderr } = await pass("echo 'it is starting'; exit 1");
    assert.equal(code, 1);
    assert.ok(
      stderr.startsWith(
        `web-1 must be healthy (it answers): not within 2 s; last answer: it is starting\nIts last log lines:\n`,
      ),
      stderr,
    );
    assert.match(stderr, /^line 40$/m);
    assert.match(stderr, /^error: no database$/m);
    assert.doesNotMatch(stderr, /^line 5$/m);
    assert.match(
      stderr,
      /The members that come after it were not touched and serve on\. Mend the cause, then run up again\.\n$/,
    );
  });

  it("W8: never passes on a health command that hangs", async () => {
    const { code, stderr } = await pass("sleep 60");
    assert.equal(code, 1);
    assert.match(stderr, /not within 2 s; last answer: not done within 10 s\n/);
  });

  it("W8: gives up early on a member whose process dies again and again", async () => {
    const services = "/etc/hastack/services";
    await member.run(
      `install -d ${services}/app && printf '#!/bin/sh\\nexit 1\\n' > ${services}/app/run && chmod +x ${services}/app/run; s6-svscan ${services} > /dev/null 2>&1 &`,
    );
    const begin = Date.now();
    const { code, stderr } = await pass("false", 85);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /must be healthy \(it answers\): its processes died \d+ times; last answer: none/,
    );
    assert.ok(Date.now() - begin < 60_000);
  });

  it("W8: gives up at once when there is no such container", async () => {
    const begin = Date.now();
    const { code, stderr } = await pass("true", 85, "unit-test-nobody");
    assert.equal(code, 1);
    assert.match(stderr, /^web-1 must be healthy .*there is no such container/);
    assert.ok(Date.now() - begin < 40_000);
  });
});
