/** Commands whose members answer what a terminal would obey. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "../../../lib/paths.ts";
import { run } from "../../../lib/run.ts";
import { note } from "../../../operate/act/journal.ts";
import { encoded } from "../../../operate/act/store.ts";
import { onMachineOf } from "../../../operate/reach.ts";
import { openStack } from "../../../operate/stack.ts";

describe("commands at members that somebody has taken over", function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), "hastack-hostile-"));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs one of the project's commands where Docker's command line prints this. */
  async function command(name: string, args: readonly string[], printed: string, code = 0) {
    writeFileSync(join(folder, "said"), printed);
    const docker = join(folder, "docker");
    writeFileSync(docker, `#!/bin/sh\ncat ${folder}/said\ncat ${folder}/said >&2\nexit ${code}\n`);
    chmodSync(docker, 0o755);
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    const words = [process.execPath, inRoot("scripts/run.mjs"), name, ...args];
    const { stdout, stderr } = await run(words, { env, limitSeconds: 30 });
    return stdout + stderr;
  }
  it("O1: end with one that writes without end, and say so", async () => {
    writeFileSync(join(folder, "docker"), "#!/bin/sh\nexec yes\n", { mode: 0o755 });
    const stack = { ...openStack("dev"), name: "unit" };
    const { PATH } = process.env;
    process.env.PATH = `${folder}:${PATH}`;
    try {
      const said = await onMachineOf(stack, "db-1", "true", { limitSeconds: 20 });
      assert.deepEqual(said, { unreachable: "it writes without end" });
    } finally {
      process.env.PATH = PATH;
    }
  });

  it("O1: are noted, however much a member says of its error", async () => {
    const heard = join(folder, "heard");
    writeFileSync(join(folder, "docker"), `#!/bin/sh\ncat >> ${heard}; echo '{"answers":[{}]}'\n`);
    const { PATH } = process.env;
    process.env.PATH = `${folder}:${PATH}`;
    try {
      const holder = { operator: "ann@desk", what: "drain lb-1", since: "2026", id: "1" };
      await note(openStack("dev"), holder, { outcome: "failed", result: "x".repeat(3_000_000) });
      assert.ok(readFileSync(heard).length < 10_000);
    } finally {
      process.env.PATH = PATH;
    }
  });

  const clears = "\u001b[2J\u009b2J";

  it("O1: show a log's lines, and the terminal obeys none", async () => {
    const text = await command("logs", ["db-1"], `2026-11-27T14:00:00.000000000Z a${clears}b\n`);
    assert.match(text, /^2026-11-27 14:00:00.000 {2}db-1 {2}a\\x1b\[2J\\x9b2Jb\n/);
    assert.ok(!text.includes("\u001b"));
  });

  it("O1: show the journal, and what members say of an error", async () => {
    const entry = { operator: "eve@db", what: clears, since: "2026-11-27T14:47:35.949Z" };
    const kvs = [{ key: encoded("a"), value: encoded(JSON.stringify(entry)) }];
    const journal = await command("journal", [], JSON.stringify({ answers: [{ kvs }] }));
    assert.match(journal, /eve@db {2}\\x1b\[2J\\x9b2J {2}not ended/);
    assert.ok(!journal.includes("\u001b"));
    const error = await command("drain", ["lb-1"], clears, 1);
    assert.match(error, /\\x1b\[2J/);
    assert.ok(!error.includes("\u001b"));
    assert.ok(!(await command("status", [], clears, 1)).includes("\u001b"));
  });
});
