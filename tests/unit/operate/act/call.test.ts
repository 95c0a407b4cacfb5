import assert from "node:assert/strict";
import { readOperationCall } from "../../../../operate/act/call.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("the command line of an operation", () => {
  const usage = "npm run drain -- MEMBER";

  it("W9: names a member, a stack, and whether anything is asked", () => {
    const plain = { stack: "dev", yes: false, names: ["db-1"], options: {} };
    assert.deepEqual(readOperationCall(["db-1"], usage, { names: 1 }), plain);
    const args = ["--stack", "lab", "db-1", "--yes"];
    assert.deepEqual(readOperationCall(args, usage), { ...plain, stack: "lab", yes: true });
  });

  it("W9: has options of its own", () => {
    const own = { replica: { type: "boolean" } } as const;
    assert.deepEqual(readOperationCall(["--replica"], usage, { own }).options, { replica: true });
    assert.deepEqual(readOperationCall([], usage, { own }).options, {});
  });

  it("W9: finds no stack by what leads to another file, or is no name", () => {
    for (const name of ["dev/../dev", "../x", "-x", "", "a b", "dev;id", "dev\n"])
      assert.throws(() => openStack(name), /no stack is called so/, name);
  });

  for (const args of [["--all", "db-1"], ["--stack"], [], ["db-1", "db-2"]]) {
    it(`W9: refuses "${args.join(" ")}", and says how it is used`, () => {
      assert.throws(
        () => readOperationCall(args, usage, { names: 1 }),
        /use: npm run drain -- MEMB/,
      );
    });
  }
});
