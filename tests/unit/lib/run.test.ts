import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { inRoot } from "../../../lib/paths.ts";
import { lastWords, mustRun, run } from "../../../lib/run.ts";

const sh = (script: string) => ["sh", "-c", script];

describe("running programs", () => {
  it("gives the exit code, and both outputs apart", async () => {
    assert.deepEqual(await run(sh("echo out; echo err >&2; exit 7")), {
      code: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  it("tells why a program could not be started, which its own 127 is not", async () => {
    const missing = await run(["hastack-no-such-program"]);
    assert.equal(missing.code, 127);
    assert.match(missing.notStarted ?? "", /ENOENT/);
    assert.equal((await run(sh("exit 127"))).notStarted, undefined);
  });

  it("ends a program after its limit, although it then ends well", async () => {
    const script = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done";
    assert.deepEqual(await run(sh(script), { limitSeconds: 0.5 }), {
      code: 124,
      stdout: "begun\n",
      stderr: "not done within 0.5 s\n",
    });
  });

  it("kills one that does not end when it is told to", async () => {
    const script = "trap '' TERM; while :; do sleep 0.1; done";
    const begin = Date.now();
    assert.equal((await run(sh(script), { limitSeconds: 0.2 })).code, 124);
    const seconds = (Date.now() - begin) / 1000;
    assert.ok(seconds > 5 && seconds < 8, `${seconds} s`);
  });

  it("kills one that writes more than it may, and keeps nothing of it", async () => {
    const { code, stdout, stderr, isEndless } = await run(["yes"], { limitCharacters: 100_000 });
    assert.deepEqual([code, stdout, isEndless], [128, "", true]);
    assert.equal(stderr, "it wrote more than 100000 characters\n");
  });

  it("tells of a signal that ended it", async () => {
    assert.equal((await run(sh("kill -9 $$"))).code, 128);
  });

  it("gives it a text or a file to read, and does not mind one that reads nothing", async () => {
    assert.equal((await run(["cat"], { input: "text" })).stdout, "text");
    assert.equal((await run(["cat"])).stdout, "");
    const file = openSync(inRoot("package.json"), "r");
    try {
      assert.match((await run(["cat"], { input: file })).stdout, /"name": "hastack"/);
    } finally {
      closeSync(file);
    }
    assert.equal((await run(sh("exit 3"), { input: "x".repeat(1_000_000) })).code, 3);
  });

  it("lets its output be heard as it comes, with where it comes from", async () => {
    const heard: string[] = [];
    const hear = (text: string, from: string) => heard.push(`${from} ${text}`);
    await run(sh("echo a; sleep 0.2; echo b >&2"), { hear });
    assert.deepEqual(heard, ["stdout a\n", "stderr b\n"]);
  });

  it("fails with the command, its code and its last words where it must succeed", async () => {
    assert.equal(await mustRun(sh("echo fine")), "fine\n");
    await assert.rejects(mustRun(sh("echo words >&2; exit 2")), {
      message: "`sh -c echo words >&2; exit 2` failed with exit code 2:\nwords",
    });
  });

  it("keeps the last lines of what was said", () => {
    const outcome = { code: 1, stdout: "1\n2\n3\n", stderr: "4\n5\n" };
    assert.equal(lastWords(outcome, 3), "3\n4\n5");
  });
});
