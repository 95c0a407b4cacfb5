import assert from "node:assert/strict";
import {
  askHidden,
  checked,
  makePassphrase,
  newPassphrase,
  passphraseIn,
} from "../../../../operate/kit/passphrase.ts";

/** Answers in their order. */
const answering =
  (...answers: string[]) =>
  async () =>
    answers.shift() ?? "";

describe("the passphrase of a kit", () => {
  it("O3: one that is made is of thirty letters and digits, and no two are alike", () => {
    const made = Array.from({ length: 50 }, makePassphrase);
    for (const one of made) assert.match(one, /^[a-z2-9]{5}(-[a-z2-9]{5}){5}$/);
    assert.equal(new Set(made).size, made.length);
  });

  it("O3: is asked for twice, and made where none is typed", async () => {
    const typed = "sixteen characters";
    assert.deepEqual(await newPassphrase(answering(typed, typed)), {
      passphrase: typed,
      made: false,
    });
    await assert.rejects(newPassphrase(answering(typed, `${typed}.`)), /passphrases differ/);
    const { passphrase, made } = await newPassphrase(answering(""));
    assert.equal(made, true);
    assert.equal(checked(passphrase), passphrase);
  });

  it("O3: a short one is refused", async () => {
    assert.throws(
      () => checked("fifteen letters"),
      /of 15 characters is too short: use 16 or more/,
    );
    await assert.rejects(newPassphrase(answering("short", "short")), /too short/);
  });

  it("O3: without a terminal nobody is asked, and a file that is not there is named", async () => {
    if (!process.stdin.isTTY) await assert.rejects(askHidden("? "), /--passphrase-file FILE/);
    assert.throws(
      () => passphraseIn("/nowhere/p"),
      /--passphrase-file \/nowhere\/p cannot be read/,
    );
  });
});
