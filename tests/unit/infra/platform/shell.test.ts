import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { commandLine, quote } from "../../../../infra/platform/shell.ts";

const sh = (script: string) => execFileSync("sh", ["-euc", script], { encoding: "utf8" });

/** Any text that a shell can hold: no null character. */
const texts = fc.string({ unit: "binary" }).filter((text) => !text.includes("\0"));

describe("shell text", () => {
  it("leaves plain words as they are", () => {
    assert.equal(quote("/etc/hastack/haproxy.cfg"), "/etc/hastack/haproxy.cfg");
  });

  it("quotes everything else", () => {
    assert.equal(quote("it's $HOME"), `'it'\\''s $HOME'`);
    assert.equal(quote(""), "''");
  });

  it("makes a command line of words", () => {
    assert.equal(commandLine(["sh", "-c", "a b", "c"]), "sh -c 'a b' c");
  });

  it("is read by a shell as the very words that went in", () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 8 }), (words) => {
        const read = sh(`printf '%s\\037' ${commandLine(words)}`);
        assert.equal(read, words.map((word) => `${Buffer.from(word)}\x1f`).join(""));
      }),
      { numRuns: 60 },
    );
  });
});
