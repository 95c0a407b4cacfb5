import assert from "node:assert/strict";
import { variablesOf, wholeValue } from "../../../lib/long-variable.ts";
import { mustRun } from "../../../lib/run.ts";

describe("a long environment variable", () => {
  it("is one as long as the system takes it", () => {
    const value = "x".repeat(120_000);
    assert.deepEqual(variablesOf("REQUEST", value), { REQUEST: value });
  });

  it("is several that a program can be started with, and is put together again", async () => {
    const value = `${"a\n\u{1F600}é".repeat(60_000)}end`;
    const variables = variablesOf("REQUEST", value);
    assert.ok(Object.keys(variables).length > 1);
    const words = ["sh", "-c", 'printf %s "$REQUEST$REQUEST_2" | wc -c'];
    const said = await mustRun(words, { env: { PATH: process.env.PATH ?? "", ...variables } });
    assert.ok(Number(said) > 0);
    assert.equal(wholeValue(variables, "REQUEST"), value);
  });

  it("is none where there is none", () => {
    assert.equal(wholeValue({ REQUEST_2: "left" }, "REQUEST"), undefined);
  });
});
