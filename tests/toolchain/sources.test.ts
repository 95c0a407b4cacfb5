/** The Go sources of this project. */
import assert from "node:assert/strict";
import { inRoot } from "../../lib/paths.ts";
import { mustRun } from "../../lib/run.ts";

describe("the toolchain's sources", function () {
  this.timeout("20m");
  const cwd = inRoot("toolchain");

  it("are formatted as gofmt does it", async () => {
    assert.equal(await mustRun(["gofmt", "-l", "."], { cwd }), "");
  });

  it("go vet finds nothing in them", async () => {
    await mustRun(["go", "vet", "-mod=readonly", "./..."], { cwd });
  });
});
