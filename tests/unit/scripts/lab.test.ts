import assert from "node:assert/strict";
import { readLabCall } from "../../../scripts/lab.ts";

describe("lab: the command line", () => {
  it("brings up, with Pulumi's own options, unless asked for something else", () => {
    assert.deepEqual(readLabCall([]), { kind: "up", options: [] });
    assert.deepEqual(readLabCall(["--diff"]), { kind: "up", options: ["--diff"] });
    assert.deepEqual(readLabCall(["--machines-only"]), { kind: "machines-only" });
    // Without `--` before it npm keeps it for itself, and what was to go would come up
    assert.throws(
      () => readLabCall([], { npm_config_destroy: "true" }),
      /^Error: use: npm run lab \[-- /,
    );
    assert.deepEqual(readLabCall(["--destroy"]), { kind: "destroy" });
  });

  it("is refused when it asks for two things", () => {
    assert.throws(() => readLabCall(["--machines-only", "--destroy"]), /use: npm run lab/);
    assert.throws(() => readLabCall(["--destroy", "--yes"]), /use: npm run lab/);
  });
});
