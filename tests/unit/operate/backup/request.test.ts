import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkWish, drillWish } from "../../../../operate/backup/backup.ts";
import { backupMember } from "../../../../operate/backup/member.ts";
import {
  checkedId,
  lookScript,
  newRequestId,
  putScript,
} from "../../../../operate/backup/request.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("a request to the backup member", () => {
  const directory = mkdtempSync(join(tmpdir(), "hastack-requests-"));
  before(() => {
    for (const name of ["requests", "state/requests"])
      mkdirSync(join(directory, name), { recursive: true });
  });
  after(() => rmSync(directory, { recursive: true }));
  const sh = (script: string, input = "") =>
    spawnSync("sh", ["-c", script], { input, encoding: "utf8" });

  it("O3: is put under its name only once it is whole, for root alone", () => {
    const id = newRequestId();
    assert.equal(checkedId(id), id);
    const { status, stderr } = sh(putScript(id, directory), '{"do":"check"}\n');
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(join(directory, "requests")), [`${id}.json`]);
    assert.equal(
      readFileSync(join(directory, "requests", `${id}.json`), "utf8"),
      '{"do":"check"}\n',
    );
  });

  it("O3: waits, then is what its file of state says, and is unknown after that", () => {
    const [id = ""] = readdirSync(join(directory, "requests")).map((one) =>
      one.replace(".json", ""),
    );
    assert.equal(sh(lookScript(id, directory)).stdout, "waiting\n");
    writeFileSync(join(directory, "state/requests", `${id}.json`), "{}");
    assert.equal(sh(lookScript(id, directory)).stdout, "{}");
    assert.equal(sh(lookScript("other", directory)).stdout, "");
  });

  it("O3: has a name that is no path and no shell's word", () => {
    for (const id of ["../x", "a;b", "", "A", "a".repeat(61)])
      assert.throws(() => checkedId(id), /no request's name/);
  });

  it("O3: is refused with the setting where the stack has no backup member", () => {
    const stack = openStack("dev");
    const without = (platform: "docker" | "ssh") => ({
      ...stack,
      settings: { ...stack.settings, platform },
      topology: { ...stack.topology, members: { ...stack.topology.members, backup: [] } },
    });
    assert.throws(() => backupMember(without("docker")), /hastack:members.backup to 1/);
    assert.throws(() => backupMember(without("ssh")), /give the role backup to a machine/);
  });

  it("O3: that comes back with nonsense is no success", () => {
    for (const result of [{}, { ok: "true" }, { ok: false, problems: 5 }, { problems: [] }])
      assert.equal(checkWish.told(result).isWell, false);
    assert.equal(checkWish.told({ ok: true, problems: [] }).isWell, true);
    assert.match(
      checkWish.told({ ok: false, problems: ["a file"] }).text,
      /^1 problem .*\n- a file$/,
    );
    assert.equal(drillWish.told({ outcome: 1, checks: [null, 5, { what: {} }] }).isWell, false);
  });
});
