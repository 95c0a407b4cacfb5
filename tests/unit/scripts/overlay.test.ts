import assert from "node:assert/strict";
import fc from "fast-check";
import { carriedBack, saltOf, withoutSalt, withSalt } from "../../../scripts/launcher/overlay.ts";

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
});
