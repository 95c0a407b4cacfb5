/** Changing the running stack: releases, settings, and broken ones of both. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { until } from "../../../lib/until.ts";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import {
  fileOf,
  healed,
  inside,
  servingInstances,
  sql,
  startTimes,
  wholePair,
} from "../../support/members.ts";
import { promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";

export function changesSuite(stack: TestStack): void {
  describe("a change", () => {
    afterEach(() => stack.configure({}));

    it("A15, L2: a new release goes through one instance at a time, and no request fails", async () => {
      const before = await releases(stack);
      stack.edit("app/src/http/views.ts", (text) => `${text}\n// another release\n`);
      const report = await underLoad(stack, () => timed("a release", () => stack.mustUp()));
      show("new release", report, promises.release);
      assertNoneFailed(report);
      assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
      const after = await releases(stack);
      assert.equal(after.length, 1);
      assert.notEqual(after[0], before[0]);
    });

    it("L8: a changed HAProxy file is reloaded, and no request fails", async () => {
      const started = await startTimes(stack, ["lb-1", "lb-2"]);
      const read = await configurationRead(stack, "lb-2");
      stack.configure({ "hastack:loadBalancer": { balance: "leastconn" } });
      const preview = await stack.must(["preview", "--diff"]);
      assert.match(preview, /[-+~].*balance leastconn/, "the changed line is visible");
      const report = await underLoad(stack, () => timed("a changed line", () => stack.mustUp()));
      show("HAProxy's configuration", report, promises.release);
      assertNoneFailed(report);
      assert.match(await fileOf(stack, "lb-2", "haproxy.cfg"), /leastconn/);
      assert.notEqual(await configurationRead(stack, "lb-2"), read, "the new file is in force");
      assert.deepEqual(await startTimes(stack, ["lb-1", "lb-2"]), started);
    });

    it("W5: a broken HAProxy setting is refused by HAProxy before anything is touched", async () => {
      const before = await fileOf(stack, "lb-1", "haproxy.cfg");
      stack.configure({ "hastack:loadBalancer": { balance: "nonsense" } });
      const { code, stdout } = await stack.up();
      assert.notEqual(code, 0);
      assert.match(stdout, /balance only supports 'roundrobin'/);
      assert.match(stdout, /haproxy.cfg was refused; nothing was changed/);
      assert.equal(await fileOf(stack, "lb-1", "haproxy.cfg"), before);
    });
  });
}

/** A release that is not fit, and the way back to one that is. */
export function brokenReleaseSuite(stack: TestStack): void {
  describe("a bad change", () => {
    it("a release that does not get healthy stops at the first instance; a good one goes in", async () => {
      const [good] = await releases(stack);
      stack.edit(
        "app/src/run/server.ts",
        (text) => `throw new Error("broken on purpose");\n${text}`,
      );
      const report = await underLoad(stack, async () => {
        const { code, stdout } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(stdout, /storefront-1 must be healthy/);
        assert.match(stdout, /broken on purpose/, "the last log lines are in the error");
      });
      show("broken release", report, promises.release);
      assertNoneFailed(report);
      assert.deepEqual(await servingInstances(stack), stack.place.servingAfterBadRelease);
      assert.deepEqual(await releases(stack), [good]);
      for (const instance of stack.place.servingAfterBadRelease) {
        assert.equal(await stack.place.releaseOf(instance), good, instance);
      }

      stack.restore("app/src/run/server.ts");
      await stack.mustUp();
      await healed(stack);
      assert.deepEqual(await releases(stack), [good]);
      const kept = await stack.place.releases();
      assert.ok(kept.includes(good ?? ""), `${kept} without ${good}`);
      assert.ok(kept.length <= stack.place.keptReleases, `${kept}`);
    });

    it("W3: a second up changes nothing, nor does refresh", async () => {
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
      await stack.must(["refresh", "--yes", "--skip-preview"], 120);
      const { code, stdout } = await stack.previewNoChanges();
      assert.equal(code, 0, stdout);
    });
  });
}

/** More changes, which take their time. */
export function settingsSuite(stack: TestStack): void {
  describe("a setting", () => {
    afterEach(() => stack.configure({}));

    it("W5: a broken PostgreSQL setting is refused by PostgreSQL before anything is touched", async () => {
      stack.configure({ "hastack:database": { parameters: { work_mem: "64XB" } } });
      const { code, stdout } = await stack.up();
      assert.notEqual(code, 0);
      assert.match(stdout, /invalid value for parameter "work_mem": "64XB"/);
      assert.equal(await sql(stack, "db-1", "SHOW work_mem;"), "4MB");
    });

    it("W6: after a refused change, the next up takes the good setting", async () => {
      await stack.mustUp();
      assert.equal((await stack.previewNoChanges()).code, 0);
    });

    it("D4: a database setting that wants a restart goes through the standby, then the primary", async () => {
      stack.configure({
        "hastack:database": { maxConnections: 120, parameters: { work_mem: "8MB" } },
      });
      const report = await underLoad(stack, () => stack.mustUp());
      show("max_connections changed", report, promises.primaryProcessKilled);
      await wholePair(stack);
      for (const member of ["db-1", "db-2"]) {
        assert.equal(await sql(stack, member, "SHOW max_connections; SHOW work_mem;"), "120\n8MB");
      }
      assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
    });

    it("D2: fewer connections and more, twice over, leave no restart pending on either member", async () => {
      for (const maxConnections of [80, 120, 80, 120]) {
        stack.configure({ "hastack:database": { maxConnections } });
        await stack.mustUp();
        await wholePair(stack);
        for (const member of ["db-1", "db-2"]) {
          const shown = await sql(stack, member, "SHOW max_connections;");
          assert.equal(shown, String(maxConnections), member);
          assert.equal(await wantsRestart(stack, member), false, `${member}, ${maxConnections}`);
        }
      }
    });

    it("W6: settings that PostgreSQL cannot start with are put back; going back mends all", async () => {
      const shown = (member: string) => sql(stack, member, "SHOW shared_buffers; SHOW work_mem;");
      const [buffers] = (await shown("db-1")).split("\n");
      stack.configure({ "hastack:database": { sharedBuffersMegabytes: 4_000_000 } });
      const { code, stdout } = await stack.up();
      assert.notEqual(code, 0);
      // Machines are asked for their memory before anything is tried
      const told = stack.place.checksMemory
        ? /it has \d+ MiB of memory, and needs \d+; .* hastack:database.sharedBuffersMegabytes smaller/
        : /the settings before are back in etcd/;
      assert.match(stdout, told);
      stack.configure({});
      await stack.mustUp();
      await wholePair(stack);
      for (const member of ["db-1", "db-2"]) {
        assert.equal(
          await shown(member),
          `${buffers}\n4MB`,
          "a parameter that is no longer set is back at its default",
        );
      }
    });

    it("W6: an up killed while it replaces an instance can simply be run again", async () => {
      const [program = "", ...args] = stack.command(["up", "--yes", "--skip-preview"]);
      stack.edit("app/src/http/views.ts", (text) => `${text}// and one more\n`);
      const before = await stack.place.identity("storefront-1");
      const up = spawn(program, args, {
        cwd: stack.folder,
        env: stack.env,
        detached: true,
        stdio: "ignore",
      });
      await until("the first instance is being replaced", {
        probe: () => stack.place.identity("storefront-1"),
        done: (now) => now !== before,
        limitSeconds: 120,
        intervalSeconds: 0.05,
      });
      process.kill(-(up.pid ?? 0), "SIGKILL");
      await stack.mustUp();
      await healed(stack);
      assert.equal((await releases(stack)).length, 1);
    });
  });
}

/** Whether a parameter waits for a restart, as Patroni says. */
async function wantsRestart(stack: TestStack, member: string): Promise<boolean> {
  const url = `https://${stack.place.address(member)}:8008/patroni`;
  const ask = `curl -sS --max-time 3 --cacert tls/patroni-api-ca.crt ${url}`;
  const said = await inside(stack, member, `cd ${stack.place.files(member)}; ${ask}`);
  return JSON.parse(said).pending_restart === true;
}

/** The releases that the instances answer with. */
async function releases(stack: TestStack): Promise<string[]> {
  const found = new Set<string>();
  for (let turn = 0; turn < 6; turn += 1) {
    const { status, body } = await stack.request("api/health");
    if (status === 200) found.add(JSON.parse(body).release);
  }
  return [...found];
}

/** Which configuration the HAProxy that serves has read. */
async function configurationRead(stack: TestStack, member: string): Promise<string> {
  const ask = "echo 'show info' | socat - UNIX-CONNECT:/run/haproxy/admin.sock";
  return /^description: (.*)$/m.exec(await inside(stack, member, ask))?.[1] ?? "";
}
