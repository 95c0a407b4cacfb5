/** Logs that somebody stops reading, as `npm run logs | head` does. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { membersCalled, readLogs } from "../../../../operate/logs/logs.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("a log that is longer than anybody reads", () => {
  const folder = mkdtempSync(join(tmpdir(), "hastack-logs-"));
  const path = process.env.PATH;
  after(() => {
    process.env.PATH = path;
    rmSync(folder, { recursive: true });
  });

  it("W9: ends with its reader, although Docker's command line lets SIGTERM wait", async () => {
    const docker = join(folder, "docker");
    const line = "2026-11-27T14:00:00.000000000Z a line";
    writeFileSync(docker, `#!/bin/sh\ntrap '' TERM\necho $$ > ${folder}/pid\nexec yes '${line}'\n`);
    chmodSync(docker, 0o755);
    process.env.PATH = `${folder}:${path}`;

    const stack = openStack("dev");
    const stop = new AbortController();
    const options = { since: 0, follow: false, signal: stop.signal };
    let count = 0;
    for await (const { text } of readLogs(stack, membersCalled(stack, ["db-1"]), options)) {
      assert.equal(text, "a line");
      count += 1;
      if (count === 3) break;
    }
    const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    assert.ok(isAlive(pid));
    stop.abort();
    for (let tries = 0; tries < 50 && isAlive(pid); tries += 1) await sleep(20);
    assert.ok(!isAlive(pid));
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
