/** Nothing of the project switches off the verification of what it downloads. */
import assert from "node:assert/strict";
import { globSync, readFileSync, statSync } from "node:fs";
import { inRoot, root } from "../../lib/paths.ts";

/** Settings and options of apt, mmdebstrap, Go, npm, Node, wget and OpenSSH that do so. */
const switches =
  /trusted=yes|allow-?unauthenticated|allow-?(insecure|weak|downgrade-to-insecure)-?repositories|no-check-(gpg|certificate)|GONOSUM|GOINSECURE|GOSUMDB=off|strict-ssl|REJECT_UNAUTHORIZED|rejectUnauthorized: false|StrictHostKeyChecking[ =](no|off|accept-new)/i;

const places = "{.ci,app,examples,infra,lab,lib,release,scripts,toolchain}/**";

describe("verification of what is downloaded", () => {
  it("is switched off nowhere", () => {
    const files = globSync(places, { cwd: root, exclude: ["**/node_modules/**", "app/test/**"] });
    const found = files
      .filter((path) => statSync(inRoot(path)).isFile())
      .flatMap((path) =>
        readFileSync(inRoot(path), "utf8")
          .split("\n")
          .filter((line) => switches.test(line))
          .map((line) => `${path}: ${line.trim()}`),
      );
    assert.ok(files.length > 100);
    assert.deepEqual(found, []);
  });
});
