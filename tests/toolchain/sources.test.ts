/** The Go sources of this project. */
import assert from "node:assert/strict";
import { inRoot } from "../../lib/paths.ts";
import { mustRun } from "../../lib/run.ts";
import { buildFlags, goSettings } from "../../scripts/setup/built-parts.ts";

describe("the toolchain's sources", function () {
  this.timeout("20m");
  const cwd = inRoot("toolchain");

  it("are formatted as gofmt does it", async () => {
    assert.equal(await mustRun(["gofmt", "-l", "."], { cwd }), "");
  });

  it("go vet finds nothing in them", async () => {
    // Built as the set-up does it, whose cache of dependencies then serves
    const env = { ...process.env, ...goSettings };
    await mustRun(["go", "vet", ...buildFlags, "./..."], { cwd, env });
  });
});
