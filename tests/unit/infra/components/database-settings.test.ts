import assert from "node:assert/strict";
import { DatabaseSettings } from "../../../../infra/components/database-settings.ts";
import { dynamicConfiguration } from "../../../../infra/render/patroni.ts";
import {
  assertNothingShown,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { describeStack, differences, recordStack, taskOf } from "../../../support/unit/stack.ts";

describe("DatabaseSettings", () => {
  it("D2: is one command, run on a member of the pair once all members stand", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("DatabaseSettings", "settings"), [
      "Command database-settings",
    ]);
    const { inputs, asked } = recording.get("Command", "database-settings");
    const { TARGET = "" } = inputs.environment as Record<string, string>;
    assert.deepEqual(JSON.parse(TARGET), {
      container: "hastack-test-db-1",
      onWorkload: "required",
    });
    assert.ok(asked > recording.get("Command", "db-2-principals").done);
  });

  it("D2: carries the dynamic configuration as a reviewer can read it", async () => {
    const stack = await describeStack();
    const { files } = taskOf(stack, "database-settings");
    const content = files.find(({ path }) => path === "dynamic.json")?.content ?? "";
    assert.deepEqual(JSON.parse(content), dynamicConfiguration(stack.settings, stack.topology));
    assert.ok(content.split("\n").length > 10, "one setting in each line");
  });

  it("D7: keeps the password of Patroni's interface in a file that only root reads", async () => {
    const { files } = taskOf(await describeStack(), "database-settings");
    const {
      content,
      owner = "root",
      mode,
    } = files.find(({ path }) => path === "credentials") ?? {};
    assert.deepEqual(
      [content, owner, mode],
      ['user = "patroni:@{api_password}"\n', "root", "0600"],
    );
  });

  it("D2: is run again for a changed parameter, and no container is replaced for it", async () => {
    const changes = { database: { parameters: { work_mem: "8MB" } } };
    const changed = differences(await recordStack(), await recordStack({ changes }));
    assert.ok(changed.includes("Command database-settings"));
    assert.deepEqual(
      changed.filter((label) => !label.startsWith("Command ")),
      [],
    );
  });
});

describe("DatabaseSettings on its own", () => {
  const build = ({ platform, topology, settings, password, options }: Surroundings) =>
    new DatabaseSettings(
      "settings",
      {
        platform,
        topology,
        database: settings.database,
        backup: settings.backup,
        apiPassword: password("patroniApi"),
      },
      options,
    );

  it("D2: is one command on both platforms, beside the first member", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, build);
      assert.deepEqual(recording.childrenOf("DatabaseSettings", "settings"), [
        "Command database-settings",
      ]);
    }
    const { environment } = (await recordAlone("ssh", build)).get(
      "Command",
      "database-settings",
    ).inputs;
    assert.equal((environment as Record<string, string>).MACHINE, "node-1");
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
