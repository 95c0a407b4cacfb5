import assert from "node:assert/strict";
import { inRoot } from "../../../lib/paths.ts";
import { allPrintable, printable } from "../../../lib/printable.mjs";
import { run } from "../../../lib/run.ts";

describe("texts of others", () => {
  it("show what a terminal would obey as its number, and keep lines and tabs", () => {
    assert.equal(
      printable("a\tb\r\nc\u001b[2J\u0007\u009b31m\rd\u007f"),
      "a\tb\nc\\x1b[2J\\x07\\x9b31m\\x0dd\\x7f",
    );
    assert.equal(printable("grün, 漢字, 🙂"), "grün, 漢字, 🙂");
  });

  it("cannot turn the order of letters", () => {
    assert.equal(printable("rm \u202etxt.x\u2066"), "rm \\u202etxt.x\\u2066");
  });

  it("are so in the error of a program that up runs", async () => {
    const program = `import { fail } from "${inRoot("lib/command.ts")}"; fail(new Error("a\\u001b[2J"))`;
    const { code, stderr } = await run([process.execPath, "--input-type=module", "-e", program]);
    assert.deepEqual([code, stderr], [1, "a\\x1b[2J\n"]);
  });

  it("are so wherever they stand in a value, and no longer than anybody reads", () => {
    const said = { is: "\u001b[1m", of: [{ what: "x".repeat(2000) }], seconds: 1.5, none: null };
    assert.deepEqual(allPrintable(said), {
      is: "\\x1b[1m",
      of: [{ what: `${"x".repeat(1000)}…` }],
      seconds: 1.5,
      none: null,
    });
  });
});
