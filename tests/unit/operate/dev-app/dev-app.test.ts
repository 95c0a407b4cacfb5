import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "../../../../lib/paths.ts";
import { run } from "../../../../lib/run.ts";
import { describe as describeDevApp, tierFor } from "../../../../operate/dev-app/dev-app.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("dev:app", () => {
  it("W9: takes the first tier that listens, or the one that is named", () => {
    const dev = openStack("dev");
    assert.equal(tierFor(dev).name, "storefront");
    assert.equal(tierFor(dev, "admin").name, "admin");
    assert.throws(
      () => tierFor(dev, "shop"),
      /shop is no tier of travel-agency: there are storefront, admin/,
    );
  });

  it("W9: is refused on machines, with the reason", () => {
    assert.throws(
      () => tierFor(openStack("lab")),
      /stack lab is on machines: .* beside what people use/,
    );
  });

  it("W9: brings a link as a link, and opens nothing that it leads to", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hastack-dev-app-"));
    try {
      for (const name of ["current", "edited"]) mkdirSync(join(folder, name));
      writeFileSync(join(folder, "key"), "a key", { mode: 0o600 });
      writeFileSync(join(folder, "edited/page"), "a page", { mode: 0o600 });
      symlinkSync(join(folder, "key"), join(folder, "edited/link"));
      const text = readFileSync(inRoot("operate/dev-app/supervise.sh"), "utf8");
      const script = text.replaceAll("/opt/hastack", folder).replaceAll("/etc/hastack", folder);
      const env = { ...process.env, ENTRIES: ".", OVERRIDES: "", PORT: "", COMMAND: ":" };
      const { code, stderr } = await run(["sh", "-c", script], { env, input: "\n" });
      assert.equal(code, 0, stderr);
      const modeOf = (name: string) => statSync(join(folder, name)).mode & 0o777;
      assert.deepEqual([modeOf("current/page"), modeOf("key")], [0o644, 0o600]);
      assert.ok(lstatSync(join(folder, "current/link")).isSymbolicLink());
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("W9: says before on whose data it works", () => {
    const dev = openStack("dev");
    assert.match(describeDevApp(dev, tierFor(dev), 3000), /dev's own database, cache and files/);
  });
});
