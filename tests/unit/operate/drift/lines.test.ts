import assert from "node:assert/strict";
import fc from "fast-check";
import { changedLines, toldLines } from "../../../../operate/drift/lines.ts";

const template = "listen 80\nuser web\npassword @{word}\ntimeout 5\n";
const text = template.replace("@{word}", "s3cret-of-the-stack");
const file = { template, text, isSecret: true };
const secrets = new Map([["word", "s3cret-of-the-stack"]]);

describe("lines of a file that differ", () => {
  it("W10: are told by number, each as it is and as it should be", () => {
    assert.deepEqual(changedLines("a\nB\nc\n", "a\nb\nc\n"), [{ line: 2, is: "B", shouldBe: "b" }]);
    assert.deepEqual(changedLines("a\nb\nc\nd\n", "a\nd\n"), [
      { line: 2, is: "b", shouldBe: undefined },
      { line: 3, is: "c", shouldBe: undefined },
    ]);
    assert.deepEqual(changedLines("a\nd\n", "a\nb\nd\n"), [
      { line: 2, is: undefined, shouldBe: "b" },
    ]);
  });

  it("W10: are none in a file that is as it should be, and some in any other", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "c")).map((all) => all.join("\n"));
    fc.assert(
      fc.property(lines, lines, (is, should) =>
        assert.equal(changedLines(is, should).length === 0, is === should),
      ),
    );
  });

  it("W10: show a setting that holds no secret, in a file that has some", () => {
    assert.deepEqual(toldLines(file, text.replace("80", "81"), secrets), [
      { line: 1, is: '"listen 81"', shouldBe: '"listen 80"' },
    ]);
  });

  it("N3: show no secret, neither one that should be there nor another one in its place", () => {
    for (const is of [
      text.replace("s3cret-of-the-stack", "by-hand"),
      text.replace("timeout 5", "timeout 5\npassword by-hand"),
      text.replace("timeout 5", "by-hand"),
      text.replace("s3cret-of-the-stack", "").replace("user web", "user s3cret-of-the-stack"),
      text.replace("user web", "password by-hand\nuser web"),
    ]) {
      const told = JSON.stringify(toldLines(file, is, secrets));
      assert.doesNotMatch(told, /by-hand|s3cret/, is);
    }
  });
});
