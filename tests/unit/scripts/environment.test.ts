import assert from "node:assert/strict";
import { delimiter } from "node:path";
import { inHastack, inRoot } from "../../../lib/paths.ts";
import { fileBackend, pulumiEnvironment } from "../../../scripts/launcher/environment.ts";

describe("launcher: the environment of the real CLI", () => {
  it("has a home, state and passphrase of the project's own where nothing is set", () => {
    const env = pulumiEnvironment({ PATH: "/usr/bin" });
    assert.equal(env.PULUMI_HOME, inHastack("pulumi"));
    assert.equal(env.PULUMI_BACKEND_URL, `file://${inHastack("state")}`);
    assert.equal(env.PULUMI_CONFIG_PASSPHRASE_FILE, inHastack("passphrase"));
    assert.equal(env.PULUMI_SKIP_UPDATE_CHECK, "true");
    assert.equal(env.PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION, "true");
    assert.equal(env.NODE_COMPILE_CACHE, inHastack("node-compile-cache"));
  });

  it("leaves what the user set", () => {
    const own = {
      PATH: "/usr/bin",
      PULUMI_HOME: "/home/a/.pulumi",
      PULUMI_BACKEND_URL: "s3://bucket",
      PULUMI_SKIP_UPDATE_CHECK: "false",
    };
    const env = pulumiEnvironment(own);
    for (const name of ["PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_SKIP_UPDATE_CHECK"] as const) {
      assert.equal(env[name], own[name]);
    }
  });

  it("names no passphrase file beside a passphrase of the user's", () => {
    // An empty one is how Pulumi's users say that there is none
    for (const own of ["own", ""]) {
      const env = pulumiEnvironment({ PULUMI_CONFIG_PASSPHRASE: own });
      assert.equal(env.PULUMI_CONFIG_PASSPHRASE, own);
      assert.equal("PULUMI_CONFIG_PASSPHRASE_FILE" in env, false);
    }
  });

  it("takes an empty home, backend or passphrase file for not set", () => {
    const env = pulumiEnvironment({
      PULUMI_HOME: "",
      PULUMI_BACKEND_URL: "",
      PULUMI_CONFIG_PASSPHRASE_FILE: "",
      OTHER: "",
    });
    assert.equal(env.PULUMI_HOME, inHastack("pulumi"));
    assert.equal(env.PULUMI_BACKEND_URL, `file://${inHastack("state")}`);
    assert.equal("PULUMI_CONFIG_PASSPHRASE" in env, false);
    assert.equal(env.PULUMI_CONFIG_PASSPHRASE_FILE, inHastack("passphrase"));
    assert.equal(env.OTHER, "");
  });

  it("puts the project's Node before the user's", () => {
    const folders = (pulumiEnvironment({ PATH: "/usr/bin" }).PATH ?? "").split(delimiter);
    assert.ok(folders.indexOf(inRoot("node_modules/.bin")) < folders.indexOf("/usr/bin"));
  });

  it("knows the folder of a file backend, and no other kind", () => {
    assert.equal(
      fileBackend({ PULUMI_BACKEND_URL: "file:///x/state?no_tmp_dir=true" }),
      "/x/state",
    );
    assert.equal(fileBackend({ PULUMI_BACKEND_URL: "file://~", HOME: "/home/a" }), "/home/a");
    assert.equal(fileBackend({ PULUMI_BACKEND_URL: "s3://bucket" }), undefined);
  });
});
