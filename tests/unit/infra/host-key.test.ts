import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, hostKeyText, parseHostKey } from "../../../infra/host-key.ts";
import { mustRun } from "../../../lib/run.ts";
import { hostKeyOf } from "../../support/unit/fixtures.ts";

describe("host keys", () => {
  describe("as ssh-keygen makes them", () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "hastack-keys-"));
    });
    after(() => rmSync(folder, { recursive: true }));

    const kinds = [
      ["ssh-ed25519", "ed25519", "256"],
      ["ecdsa-sha2-nistp256", "ecdsa", "256"],
      ["ecdsa-sha2-nistp384", "ecdsa", "384"],
      ["ecdsa-sha2-nistp521", "ecdsa", "521"],
      ["ssh-rsa", "rsa", "2048"],
    ] as const;
    for (const [type, kind, bits] of kinds) {
      it(`${type}: are read, and have the fingerprint that it shows`, async () => {
        const file = join(folder, type);
        const made = ["-t", kind, "-b", bits, "-N", "", "-q", "-C", "root@node-1 of mine"];
        await mustRun(["ssh-keygen", "-f", file, ...made]);
        const text = readFileSync(`${file}.pub`, "utf8");
        const key = parseHostKey(text);
        assert.ok(key);
        assert.equal(key.type, type);
        assert.ok(text.startsWith(`${hostKeyText(key)} root@node-1`));
        const shown = await mustRun(["ssh-keygen", "-l", "-f", `${file}.pub`]);
        assert.equal(shown.split(" ")[1], fingerprint(key));
      });
    }
  });

  it("W5: a text that holds anything else is none", () => {
    const good = hostKeyOf("x");
    assert.ok(parseHostKey(good));
    const [type = "", key = ""] = good.split(" ");
    const others = [
      "",
      type,
      key,
      `${type}  ${key}`,
      ` ${good}`,
      `${good}\n${good}`,
      `${good} comment\nssh-ed25519 more`,
      `ssh-rsa ${key}`,
      `${type} ${key.slice(0, 24)}`,
      `${type} ${key}A`,
      `${type} AAAA`,
      `${type} /////////////w==`,
      `node-1 ${good}`,
      `@cert-authority * ${good}`,
    ];
    for (const text of others) assert.equal(parseHostKey(text), undefined, text);
  });
});
