import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { inRoot } from "../../../lib/paths.ts";
import { become, missingPackages, runsTypeScript } from "../../../scripts/bootstrap.mjs";

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

describe("package-lock.json", () => {
  it("names every platform's packages, without which `npm ci` refuses it", () => {
    interface Locked {
      version?: string;
      optionalDependencies?: Record<string, string>;
    }
    const { packages } = JSON.parse(readFileSync(inRoot("package-lock.json"), "utf8")) as {
      packages: Record<string, Locked>;
    };
    const lacking = Object.values(packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => packages[`node_modules/${name}`]?.version === undefined);
    assert.deepEqual(lacking, []);
  });
});

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
