import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pinnedVersion } from "../../../lib/paths.ts";
import {
  built,
  builtFrom,
  moduleVersion,
  sourcesHash,
} from "../../../scripts/setup/built-parts.ts";
import {
  type Part,
  partFolder,
  partLabel,
  requiredParts,
  type Source,
} from "../../../scripts/setup/parts.ts";
import { ensurePulumiParts, obtain } from "../../../scripts/setup/pulumi-parts.ts";

const [cli, random] = ["pulumi", "random"].map((name) => partNamed(name)) as [Part, Part];

function partNamed(name: string): Part | undefined {
  return requiredParts().find((part) => part.name === name);
}

/** Stands in for Go: each shell text answers one of its subcommands. */
interface FakeGo {
  /** Whether it can work on a module at all. */
  readonly module?: string;
  readonly list?: string;
  readonly build?: string;
}

describe("set-up: building Pulumi's parts", () => {
  let folder: string;
  let home: string;
  let said: string[];
  const saved = { ...process.env };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-go-"));
    home = mkdtempSync(join(tmpdir(), "hastack-built-"));
    said = [];
  });
  afterEach(() => {
    process.env.PATH = saved.PATH;
    for (const path of [folder, home]) rmSync(path, { recursive: true, force: true });
  });

  function goIs({ module = "", list = "echo one; echo two", build = makesProgram }: FakeGo): void {
    const go = join(folder, "go");
    writeFileSync(
      go,
      `#!/bin/sh
echo "$PWD CGO_ENABLED=$CGO_ENABLED $*" >> ${folder}/asked
case "$1 $2" in
  "list -m") ${module}
  ;;
  list*) ${list}
  ;;
  build*) ${build}
  ;;
esac
`,
    );
    chmodSync(go, 0o755);
    process.env.PATH = `${folder}${delimiter}${saved.PATH}`;
  }
  /** Writes a program to where -o says. */
  const makesProgram = `while [ "$1" != -o ]; do shift; done
    echo '#!/bin/sh' > "$2"; chmod +x "$2"`;
  const asked = () => readFileSync(join(folder, "asked"), "utf8");
  const build = (part: Part) =>
    obtain(part, { from: [built], home, say: (line) => said.push(line) });

  it("names the sources' hash, and never lets a part pass for Pulumi's release", async () => {
    goIs({});
    const from = await build(random);
    assert.match(from, /^its public sources, built here \(not Pulumi's release; sources \w{16}\)$/);
    assert.equal(builtFrom(partFolder(random, home)), sourcesHash());
    assert.ok(asked().includes(` -X main.version=${random.version}+hastack -o `), asked());
    assert.match(said.join("\n"), /^random plugin \S+: building it from its public sources/);
  });

  it("builds the CLI and its language host, each in the module that pins it, without C", async () => {
    goIs({});
    await build(cli);
    assert.match(asked(), /\/toolchain\/cli CGO_ENABLED=0 build .*-mod=readonly.*cmd\/pulumi$/m);
    const sdk = moduleVersion("toolchain/language-nodejs", "github.com/pulumi/pulumi/sdk/v3");
    assert.match(asked(), /\/toolchain\/language-nodejs CGO_ENABLED=0 build .*-language-nodejs$/m);
    assert.ok(asked().includes(`=${sdk}+hastack `), asked());
  });

  it("builds from the version of the CLI that package.json asks for", () => {
    const pinned = `v${pinnedVersion("@pulumi/pulumi")}`;
    assert.equal(moduleVersion("toolchain/cli", "github.com/pulumi/pulumi/pkg/v3"), pinned);
    assert.equal(moduleVersion("toolchain", "github.com/pulumi/pulumi/sdk/v3"), pinned);
  });

  it("W5: says that there is no Go, and which to install", async () => {
    process.env.PATH = folder;
    await assert.rejects(
      build(random),
      /there is no go on PATH; install Go 1\.25\.\d+, or an older/,
    );
  });

  it("W5: says that Go is too old, in Go's words, and what to do", async () => {
    const words = "go: go.mod requires go >= 1.25.11 (running go 1.21.0; GOTOOLCHAIN=local)";
    goIs({ module: `echo "${words}" >&2; exit 1` });
    await assert.rejects(build(random), (error: Error) => {
      assert.match(error.message, /requires go >= 1\.25\.11 .*; install Go .* GOTOOLCHAIN=auto/);
      return true;
    });
  });

  for (const step of ["list", "build"] as const) {
    it(`W5: a ${step} that fails is told without Go's progress, and leaves nothing`, async () => {
      const fails = `echo "go: downloading a.example/b v1.0.0" >&2; echo golang.org/x/net >&2
        echo "b.go:1:1: a.example/b@v1.0.0: not available" >&2; exit 1`;
      goIs({ [step]: fails });
      await assert.rejects(build(random), (error: Error) => {
        assert.match(error.message, /go build \.\/random: b\.go:1:1: .*: not available\n/);
        assert.doesNotMatch(error.message, /downloading|golang\.org/);
        return true;
      });
      assert.equal(existsSync(partFolder(random, home)), false);
    });
  }

  it("builds once, and anew when the sources are others", async () => {
    goIs({});
    const ensure = () => ensurePulumiParts({ home, from: [built], say: (line) => said.push(line) });
    assert.deepEqual(await ensure(), []);
    const there = await ensure();
    assert.equal(there.length, 4);
    assert.ok(there.includes(`${partLabel(random)} (built here)`), there.join());
    writeFileSync(join(partFolder(random, home), "built-from"), "0123456789abcdef\n");
    assert.equal((await ensure()).length, 3);
    assert.equal(builtFrom(partFolder(random, home)), sourcesHash());
  });

  it("leaves a part alone that was not built here, whatever the sources are", async () => {
    const release: Source = {
      name: "a release",
      async provide(part, into) {
        for (const name of part.kind === "cli" ? ["pulumi", "pulumi-language-nodejs"] : []) {
          writeFileSync(join(into, name), "", { mode: 0o755 });
        }
        writeFileSync(join(into, `pulumi-resource-${part.name}`), "", { mode: 0o755 });
        return { from: "a release" };
      },
    };
    const say = (line: string) => said.push(line);
    await ensurePulumiParts({ home, from: [release], say });
    assert.equal((await ensurePulumiParts({ home, from: [built], say })).length, 4);
  });
});
