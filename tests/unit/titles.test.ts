/** The codes that titles of tests begin with are explained in docs/rows.md. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { inRoot, root } from "../../lib/paths.ts";

/** A text that begins with codes: `W3: …`, `L2, A15: …`, `L1 to L7: …`. */
const heading = /["'`]([A-Z]\d{1,2}(?:(?:, | to )[A-Z]\d{1,2})*): /g;

function codesIn(source: string): string[] {
  return [...source.matchAll(heading)].flatMap(([, codes = ""]) => codes.split(/, | to /));
}

function rowsIn(page: string): string[] {
  return [...page.matchAll(/^\| ([A-Z]\d{1,2}) +\| \S.*\. +\|$/gm)].map(([, row = ""]) => row);
}

describe("titles of tests", () => {
  const rows = rowsIn(readFileSync(inRoot("docs/rows.md"), "utf8"));
  const files = globSync("{tests,app/test,examples}/**/*.ts", {
    cwd: root,
    exclude: (path) => path.includes("node_modules"),
  });

  it("begin with codes of which each is one row of docs/rows.md", () => {
    assert.equal(new Set(rows).size, rows.length, "duplicate rows");
    const unknown = files.flatMap((file) =>
      codesIn(readFileSync(inRoot(file), "utf8"))
        .filter((code) => !rows.includes(code))
        .map((code) => `${file}: ${code}`),
    );
    assert.deepEqual(unknown, []);
  });

  it("are found in every kind of file that holds them", () => {
    const found = new Set(files.flatMap((file) => codesIn(readFileSync(inRoot(file), "utf8"))));
    assert.ok(found.size > 40, `${found.size} codes`);
    assert.deepEqual(codesIn(`"W9, A15: what"`), ["W9", "A15"]);
    assert.deepEqual(codesIn("`L1 to L7: what`"), ["L1", "L7"]);
    assert.deepEqual(codesIn(`"what A1: is"`), []);
  });
});
