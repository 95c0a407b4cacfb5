import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Part, partFolder, requiredParts, type Source } from "../../../scripts/setup/parts.ts";
import {
  downloadAddress,
  isCompatible,
  obtain,
  sources,
} from "../../../scripts/setup/pulumi-parts.ts";

const docker: Part = { kind: "plugin", name: "docker", version: "5.0.0" };
const cli: Part = { kind: "cli", name: "pulumi", version: "3.259.0" };

describe("set-up: versions of Pulumi's parts", () => {
  for (const [version, expected] of [
    ["v3.259.0", true],
    ["3.259.1", true],
    ["v3.300.0-dev+x", true],
    ["v3.258.9", false],
    ["v4.0.0", false],
    ["v2.999.0", false],
    ["", false],
  ] as const) {
    it(`"${version}" ${expected ? "can" : "cannot"} stand in for 3.259.0`, () => {
      assert.equal(isCompatible(version, "3.259.0"), expected);
    });
  }

  it("are those of the npm packages", () => {
    const parts = requiredParts().map(({ name, version }) => `${name} ${version}`);
    assert.deepEqual(parts, ["pulumi 3.259.0", "docker 5.0.0", "random 4.21.1", "command 1.2.1"]);
  });
});

describe("set-up: where Pulumi's parts come from", () => {
  let home: string;
  const has = (name: string, asked: string[] = []): Source => ({
    name,
    async provide(_part, into) {
      asked.push(name);
      writeFileSync(join(into, "pulumi-resource-docker"), name);
      chmodSync(join(into, "pulumi-resource-docker"), 0o755);
      return { from: name };
    },
  });
  const hasNot = (name: string, asked: string[] = []): Source => ({
    name,
    async provide(_part, into) {
      asked.push(name);
      writeFileSync(join(into, "half"), "a download that broke off");
      return { lacking: `${name} is empty` };
    },
  });

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "hastack-parts-"));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it("asks the machine, then the folder, then the download site; then it builds", () => {
    assert.deepEqual(
      sources.map(({ name }) => name),
      [
        "installed on this machine",
        "folder named by HASTACK_TOOLCHAIN",
        "Pulumi's download site",
        "built here, from public sources",
      ],
    );
  });

  it("takes the first that has the part, and asks no further", async () => {
    const asked: string[] = [];
    const list = [hasNot("one", asked), has("two", asked), has("three", asked)];
    assert.equal(await obtain(docker, { from: list, home }), "two");
    assert.deepEqual(asked, ["one", "two"]);
    assert.deepEqual(readdirSync(partFolder(docker, home)), ["pulumi-resource-docker"]);
  });

  it("leaves nothing half-done, and says what each source answered and what to do", async () => {
    const from = [hasNot("one"), hasNot("two")];
    await assert.rejects(obtain(docker, { from, home }), (error: Error) => {
      assert.match(error.message, /^docker plugin 5\.0\.0 was not found anywhere:/);
      assert.match(error.message, /one: one is empty\n {2}two: two is empty\n/);
      assert.match(error.message, /HASTACK_TOOLCHAIN.*npm run setup/s);
      return true;
    });
    assert.equal(existsSync(partFolder(docker, home)), false);
    assert.deepEqual(readdirSync(join(home, "plugins")), []);
  });

  it("the folder's archive is refused when it is broken, and the reason is told", async () => {
    const saved = process.env.HASTACK_TOOLCHAIN;
    process.env.HASTACK_TOOLCHAIN = home;
    writeFileSync(join(home, "resource-docker-v5.0.0.tar.xz"), "not an archive");
    try {
      const folder = sources.filter(({ name }) => name.startsWith("folder"));
      await assert.rejects(obtain(docker, { from: folder, home }), /cannot be unpacked/);
    } finally {
      if (saved === undefined) delete process.env.HASTACK_TOOLCHAIN;
      else process.env.HASTACK_TOOLCHAIN = saved;
    }
  });

  it("the download site's addresses carry Pulumi's own names for the machine", () => {
    assert.equal(
      downloadAddress(cli, "darwin-arm64"),
      "https://get.pulumi.com/releases/sdk/pulumi-v3.259.0-darwin-arm64.tar.gz",
    );
    assert.equal(
      downloadAddress(docker, "linux-x64"),
      "https://get.pulumi.com/releases/plugins/pulumi-resource-docker-v5.0.0-linux-amd64.tar.gz",
    );
  });
});
