import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { mustRun } from "../../../lib/run.ts";
import { type Part, partFolder, requiredParts, type Source } from "../../../scripts/setup/parts.ts";
import {
  downloadAddresses,
  downloadSite,
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

  describe("archives", () => {
    const program = "pulumi-resource-docker";
    const archiveName = /pulumi-resource-docker-v5\.0\.0-.*\.tar\.gz$/;
    const sum = (algorithm: string, content: Buffer) =>
      createHash(algorithm).update(content).digest("hex");
    let archive: Buffer;

    before(async () => {
      const scratch = mkdtempSync(join(tmpdir(), "hastack-archive-"));
      writeFileSync(join(scratch, program), "a plugin", { mode: 0o755 });
      await mustRun(["tar", "czf", "archive", program], { cwd: scratch });
      archive = readFileSync(join(scratch, "archive"));
      rmSync(scratch, { recursive: true });
    });

    const nothingInstalled = () => {
      assert.equal(existsSync(partFolder(docker, home)), false);
      assert.deepEqual(readdirSync(join(home, "plugins")), []);
    };

    describe("of the download site", () => {
      /** Installs from a site; without a list it is one that publishes none. */
      async function fetchFrom(
        list: ((name: string) => string) | undefined,
        ...further: Source[]
      ): Promise<string> {
        const server = createServer((request, response) => {
          const { url = "" } = request;
          const asked = basename(url);
          if (archiveName.test(asked)) return response.end(archive);
          if (asked !== "pulumi-docker_5.0.0_checksums.txt" || list === undefined) {
            return response.writeHead(404).end();
          }
          return response.end(list(basename(downloadAddresses(docker).archive)));
        });
        await once(server.listen(0, "127.0.0.1"), "listening");
        const { port } = server.address() as AddressInfo;
        try {
          const from = [downloadSite(`http://127.0.0.1:${port}/releases`), ...further];
          return await obtain(docker, { from, home });
        } finally {
          server.close();
        }
      }

      for (const algorithm of ["sha1", "sha256", "sha512"]) {
        it(`are installed where their ${algorithm} is the published one`, async () => {
          const others = `${"0".repeat(64)}  another.tar.gz\n`;
          const from = await fetchFrom(
            (name) => `${others}${sum(algorithm, archive)}  ./${name}\n`,
          );
          assert.match(from, archiveName);
          assert.deepEqual(readdirSync(partFolder(docker, home)), [program]);
        });
      }

      it("are refused where it is another one, and no further source is asked", async () => {
        const forged = (name: string) => `${sum("sha256", Buffer.from("other"))}  ${name}\n`;
        await assert.rejects(fetchFrom(forged, has("further")), (error: Error) => {
          assert.match(
            error.message,
            /^pulumi-resource-docker-v5\.0\.0-.* is not the archive that /,
          );
          assert.match(
            error.message,
            /_checksums\.txt names: its sha256 is [0-9a-f]{64} instead of /,
          );
          assert.match(error.message, /damaged or forged, and was not installed\. Try again/);
          return true;
        });
        nothingInstalled();
      });

      it("are refused where one of several checksums is another one", async () => {
        const list = (name: string) =>
          [sum("sha256", archive), sum("sha1", Buffer.from("other"))]
            .map((one) => `${one} *${name}\r\n`)
            .join("");
        await assert.rejects(fetchFrom(list), /its sha1 is/);
        nothingInstalled();
      });

      const missing = {
        "there is no list": [undefined, /checksums\.txt answers 404: nothing to verify/],
        "the list does not name them": [() => "", /has no checksum of pulumi-resource-docker/],
        "the list says something else": [
          (name: string) => `0123  ${name}\n`,
          /0123 of pulumi-resource-docker.* is no checksum/,
        ],
      } as const;
      for (const [what, [list, why]] of Object.entries(missing)) {
        it(`are refused where ${what}`, async () => {
          await assert.rejects(fetchFrom(list), why);
          nothingInstalled();
          assert.equal(await fetchFrom(list, has("further")), "further");
        });
      }
    });

    describe("of the user's folder", () => {
      const name = "resource-docker-v5.0.0.tar.xz";
      const saved = process.env.HASTACK_TOOLCHAIN;
      let folder: string;

      beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "hastack-toolchain-"));
        process.env.HASTACK_TOOLCHAIN = folder;
      });
      afterEach(() => {
        rmSync(folder, { recursive: true });
        if (saved === undefined) delete process.env.HASTACK_TOOLCHAIN;
        else process.env.HASTACK_TOOLCHAIN = saved;
      });

      const install = (content: Buffer | string, list?: string) => {
        writeFileSync(join(folder, name), content);
        if (list !== undefined) writeFileSync(join(folder, "SHA256SUMS"), list);
        const from = sources.filter((one) => one.name.startsWith("folder"));
        return obtain(docker, { from, home });
      };

      it("are refused when they are broken, and the reason is told", async () => {
        await assert.rejects(install("not an archive"), /cannot be unpacked/);
      });

      it("are the user's word, unless a list beside them says otherwise", async () => {
        assert.equal(await install(archive), join(folder, name));
        assert.equal(
          await install(archive, `${sum("sha256", archive)}  ${name}\n`),
          join(folder, name),
        );
        rmSync(partFolder(docker, home), { recursive: true });
        await assert.rejects(install(archive, `${"0".repeat(64)}  ${name}\n`), /SHA256SUMS names/);
        nothingInstalled();
        await assert.rejects(install(archive, ""), /SHA256SUMS has no checksum of resource-docker/);
        nothingInstalled();
      });
    });
  });

  it("the download site's addresses carry Pulumi's own names for the machine", () => {
    const from = "https://get.pulumi.com/releases";
    assert.deepEqual(downloadAddresses(cli, undefined, "darwin-arm64"), {
      archive: `${from}/sdk/pulumi-v3.259.0-darwin-arm64.tar.gz`,
      checksums: `${from}/sdk/pulumi-3.259.0-checksums.txt`,
    });
    assert.deepEqual(downloadAddresses(docker, undefined, "linux-x64"), {
      archive: `${from}/plugins/pulumi-resource-docker-v5.0.0-linux-amd64.tar.gz`,
      checksums: `${from}/plugins/pulumi-docker_5.0.0_checksums.txt`,
    });
  });
});
