import assert from "node:assert/strict";
import { readLabCall } from "../../../scripts/lab.ts";

describe("lab: the command line", () => {
  it("brings up, with Pulumi's own options, unless asked for something else", () => {
    assert.deepEqual(readLabCall([]), { stack: "lab", kind: "up", options: [] });
    assert.deepEqual(readLabCall(["--diff"]), { stack: "lab", kind: "up", options: ["--diff"] });
    assert.deepEqual(readLabCall(["--machines-only"]), { stack: "lab", kind: "machines-only" });
    // Without `--` before it npm keeps it for itself, and what was to go would come up
    assert.throws(
      () => readLabCall([], { npm_config_destroy: "true" }),
      /^Error: use: npm run lab \[-- /,
    );
    assert.deepEqual(readLabCall(["--destroy"]), { stack: "lab", kind: "destroy" });
  });

  it("may name another stack, before or after what it asks for", () => {
    const destroy = { stack: "other", kind: "destroy" };
    assert.deepEqual(readLabCall(["--stack", "other", "--destroy"]), destroy);
    assert.deepEqual(readLabCall(["--destroy", "--stack=other"]), destroy);
    const up = { stack: "other", kind: "up", options: ["--diff"] };
    assert.deepEqual(readLabCall(["--stack", "other", "--diff"]), up);
    assert.throws(() => readLabCall(["--stack"]), /use: npm run lab/);
  });

  it("is refused when it asks for two things", () => {
    assert.throws(() => readLabCall(["--machines-only", "--destroy"]), /use: npm run lab/);
    assert.throws(() => readLabCall(["--destroy", "--yes"]), /use: npm run lab/);
  });
});
