import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import {
  carriedBack,
  saltOf,
  secretsOf,
  withoutSalt,
  withoutSecrets,
  withSalt,
  withSecrets,
} from "../../../scripts/launcher/overlay.ts";

const salt = "encryptionsalt: v1:AAAA=:v1:BBBB:CCCC==";
const tracked = `# sizes for a laptop
config:
  hastack:members: { quorum: 3 } # odd
  hastack:note: "encryptionsalt: not this one"
`;

describe("launcher: the overlay of a stack's configuration", () => {
  it("is the tracked text with the salt at its end", () => {
    assert.equal(withSalt(tracked, salt), `${tracked}${salt}\n`);
  });

  it("ends the last line first where it has no end", () => {
    assert.equal(withSalt("config: {}", salt), `config: {}\n${salt}\n`);
  });

  it("is the salt alone for a stack without configuration", () => {
    assert.equal(withSalt("", salt), `${salt}\n`);
  });

  it("finds the salt wherever Pulumi put it, and only at the top level", () => {
    assert.equal(saltOf(`${salt}\n${tracked}`), salt);
    assert.equal(saltOf(tracked), undefined);
    assert.equal(withoutSalt(`${salt}\n${tracked}`), tracked);
  });

  it("carries nothing back when only the salt is new or other", () => {
    assert.equal(carriedBack(tracked, withSalt(tracked, salt)), undefined);
    assert.equal(
      carriedBack(withSalt(tracked, "encryptionsalt: v1:x"), withSalt(tracked, salt)),
      undefined,
    );
  });

  it("carries nothing back when only the layout changed", () => {
    const left = withSalt(tracked.replace("{ quorum: 3 }", "{quorum: 3}"), salt);
    assert.equal(carriedBack(tracked, left), undefined);
  });

  it("carries nothing back when the CLI put plain values in quotes", () => {
    const plain = "config:\n  hastack:keepData: true\n  hastack:seconds: 5\n";
    const left = plain.replace("true", '"true"').replace("5", '"5"');
    assert.equal(carriedBack(plain, withSalt(left, salt)), undefined);
    assert.notEqual(carriedBack(plain, withSalt(left.replace("5", "6"), salt)), undefined);
  });

  it("carries a setting back with the comments, without the salt", () => {
    const given = withSalt(tracked, salt);
    const left = given.replace("quorum: 3", "quorum: 5");
    assert.equal(carriedBack(given, left), tracked.replace("quorum: 3", "quorum: 5"));
  });

  it("gives any text back as it was", () => {
    const line = fc.string().filter((text) => !/[\r\n\u2028\u2029]/.test(text));
    const text = fc
      .array(
        line.filter((one) => !one.startsWith("encryptionsalt:")),
        { minLength: 1 },
      )
      .map((lines) => `${lines.join("\n")}\n`);
    fc.assert(fc.property(text, (plain) => withoutSalt(withSalt(plain, salt)) === plain));
  });

  const secrets = { "hastack:certificate": { secure: `v1:${"x".repeat(300)}` } };
  const settings = (text: string) => parse(text).config;

  it("holds the secret settings beside the tracked ones", () => {
    const text = withSecrets(tracked, secrets);
    assert.deepEqual(settings(text), { ...settings(tracked), ...secrets });
    assert.match(text, /# sizes for a laptop[\s\S]*# odd/);
    assert.deepEqual(secretsOf(text), secrets);
    assert.deepEqual(settings(withoutSecrets(text)), settings(tracked));
  });

  it("holds secret settings where there are no others", () => {
    for (const none of ["", "config:\n", "config: {}\n", "# nothing\n"]) {
      assert.deepEqual(settings(withSecrets(none, secrets)), secrets, none);
    }
  });

  it("prefers the tracked file's word on a setting that was secret once", () => {
    const text = "config:\n  hastack:certificate: in plain\n";
    assert.equal(withSecrets(text, secrets), text);
  });

  it("keeps secret settings to itself, whatever else changed", () => {
    const left = withSalt(withSecrets(tracked, secrets), salt);
    assert.equal(carriedBack(tracked, left), undefined);
    assert.equal(carriedBack("", withSalt(withSecrets("", secrets), salt)), undefined);
    const carried = carriedBack(tracked, left.replace("quorum: 3", "quorum: 5")) ?? "";
    assert.equal(carried.replace("quorum: 5", "quorum: 3").includes("secure"), false);
    assert.deepEqual(settings(carried), {
      ...settings(tracked),
      "hastack:members": { quorum: 5 },
    });
  });

  it("takes a secret setting out of the tracked file", () => {
    const before = withSecrets(tracked, secrets);
    assert.deepEqual(
      settings(carriedBack(before, withSalt(before, salt)) ?? ""),
      settings(tracked),
    );
  });

  it("carries secrets back that no salt belongs to: their provider opens them for others", () => {
    const left = withSecrets(tracked, secrets);
    assert.deepEqual(settings(carriedBack(tracked, left) ?? ""), settings(left));
  });

  it("carries back that a setting became secret, or plain", () => {
    const plain = "config:\n  hastack:a: b\n  hastack:certificate: in plain\n";
    const left = withSalt(withSecrets("config:\n  hastack:a: b\n", secrets), salt);
    assert.deepEqual(settings(carriedBack(plain, left) ?? ""), { "hastack:a": "b" });
    assert.deepEqual(
      settings(carriedBack("config:\n  hastack:a: b\n", withSalt(plain, salt)) ?? ""),
      settings(plain),
    );
  });
});
