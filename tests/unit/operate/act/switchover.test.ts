import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { handoverScript } from "../../../../operate/act/handover.ts";
import type { Cluster } from "../../../../operate/act/patroni.ts";
import { changeOf } from "../../../../operate/act/switchover.ts";
import { memberNamed, openStack } from "../../../../operate/stack.ts";

// What Patroni 4.0.7 answered at /cluster
const whole: Cluster = JSON.parse(
  `{"members": [{"name": "db-1", "role": "leader", "state": "running", "api_url": "https://172.28.11.31:8008/patroni", "host": "172.28.11.31", "port": 5432, "timeline": 1}, {"name": "db-2", "role": "sync_standby", "state": "streaming", "api_url": "https://172.28.11.32:8008/patroni", "host": "172.28.11.32", "port": 5432, "timeline": 1, "lag": 0}], "scope": "hastack"}`,
);
const with_ = (changes: Readonly<Record<string, object>>, more: object = {}): Cluster => ({
  ...whole,
  ...more,
  members: whole.members.map((one) => ({ ...one, ...changes[one.name] })),
});

describe("a switchover", () => {
  it("D3: goes to the synchronous standby, named or not", () => {
    assert.deepEqual(changeOf(whole), { from: "db-1", to: "db-2" });
    assert.deepEqual(changeOf(whole, "db-2"), { from: "db-1", to: "db-2" });
    assert.throws(() => changeOf(whole, "db-1"), /db-1 is the primary already/);
  });

  it("D3: is refused where a write could be lost, or nobody can take over", () => {
    for (const change of [
      { "db-2": { role: "replica" } },
      { "db-2": { state: "stopped" } },
      { "db-2": { role: "replica", state: "starting" } },
    ]) {
      assert.throws(() => changeOf(with_(change)), /no synchronous standby .*db-2: /);
      assert.throws(() => changeOf(with_(change), "db-2"), /no synchronous standby .*db-2: /);
    }
  });

  it("D3: promotes by hand who is named, where there is no primary and failover is paused", () => {
    const lost = { "db-1": { state: "stopped" }, "db-2": { state: "running" } };
    assert.deepEqual(changeOf(with_(lost, { pause: true }), "db-2"), { to: "db-2" });
    assert.throws(() => changeOf(with_(lost, { pause: true })), /name the member/);
    assert.throws(() => changeOf(with_(lost), "db-2"), /Patroni is about to make one/);
  });

  it("D3: promotes by hand one that may lack writes only where that is agreed to", () => {
    const paused = (standby: object) =>
      with_({ "db-1": { state: "stopped" }, "db-2": standby }, { pause: true });
    const behind = paused({ role: "replica", state: "running" });
    assert.throws(
      () => changeOf(behind, "db-2"),
      /not the synchronous standby .*would be lost.*--yes/,
    );
    assert.deepEqual(changeOf(behind, "db-2", { loss: true }), { to: "db-2" });
    const down = paused({ state: "stopped" });
    assert.throws(
      () => changeOf(down, "db-2", { loss: true }),
      /cannot be promoted: it is stopped/,
    );
    assert.throws(() => changeOf(behind, "db-3", { loss: true }), /db-3 .* not in the cluster/);
  });

  it("D3: the load balancers' part is a shell's, and leaves the old primary to HAProxy's checks", () => {
    const stack = openStack("dev");
    const script = handoverScript(
      "/etc/hastack",
      memberNamed(stack, "db-1"),
      memberNamed(stack, "db-2"),
    );
    const { status, stderr } = spawnSync("shellcheck", ["--shell=sh", "-"], { input: script });
    if (status !== null) assert.equal(status, 0, String(stderr));
    assert.equal(spawnSync("sh", ["-n"], { input: script }).status, 0);
    assert.match(script, /^trap 'ask "db-1 state ready"' EXIT$/m);
  });
});
