/** The application's folder run as one more instance, while it is edited. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mustRun } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { instances, servingInstances, startTimes } from "../../support/members.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { request } from "../../support/traffic.ts";

const port = 18_999;
const url = `http://127.0.0.1:${port}/`;
const view = "app/views/gallery.eta";
const program = "app/src/http/app.ts";

/** @param stack on Docker */
export function devAppSuite(stack: TestStack): void {
  describe("npm run dev:app", () => {
    let child: ChildProcess;
    let said = "";
    let started: string;
    const containers = () =>
      mustRun(["docker", "ps", "-aq", `--filter=label=hastack.dev-app=${stack.name}`]);
    const page = () => request(url).then(({ status, body }) => `${status} ${body}`, String);
    const seen = async (what: string, done: (page: string) => boolean) => {
      const start = Date.now();
      await until(what, { probe: page, done, limitSeconds: 30 });
      console.log(`      ${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    };

    before(async () => {
      started = await startTimes(stack, instances);
      const command = [`${stack.folder}scripts/run.mjs`, "dev-app"];
      const args = [...command, "--stack", stack.name, "--port", String(port)];
      child = spawn(process.execPath, args, { cwd: stack.folder, env: stack.env });
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text) => {
          said += text;
        });
      }
      await seen("it serves", (text) => text.startsWith("200 "));
    });
    after(async () => {
      for (const path of [view, program]) stack.restore(path);
      if (child.exitCode !== null) return;
      child.kill("SIGINT");
      await once(child, "close");
    });

    it("W9: says before that it works on the stack's own data, and does", async () => {
      assert.match(
        said,
        /^\S+app runs as one more instance of storefront in .*own database, cache and files/m,
      );
      assert.match(await page(), /dev-app/);
      const there = await stack.request("api/content?limit=3");
      const here = await request(`${url}api/content?limit=3`);
      assert.deepEqual(JSON.parse(here.body).items, JSON.parse(there.body).items);
    });

    it("W9: shows a view that is saved, and no visitor sees it", async () => {
      stack.edit(view, (text) => `${text}<p>first edit</p>\n`);
      await seen("a view that was saved", (text) => text.includes("first edit"));
      assert.doesNotMatch((await stack.request("")).body, /first edit/);
    });

    it("W9: shows the error of what does not start, and goes on with the next save", async () => {
      stack.edit(program, (text) => `${text}\n}}} no program\n`);
      await until("the error is shown", {
        probe: () => Promise.resolve(said),
        done: (text) => /no program/.test(text) && /it ended with code 1; save a change/.test(text),
        limitSeconds: 30,
      });
      stack.restore(program);
      await seen("what was mended", (text) => text.includes("first edit"));
    });

    it("W9: leaves nothing, nor has it touched the stack's own instances", async () => {
      assert.notEqual(await containers(), "");
      child.kill("SIGINT");
      assert.deepEqual(await once(child, "close"), [0, null]);
      assert.equal(await containers(), "");
      assert.match(await page(), /ECONNREFUSED/);
      assert.equal(await startTimes(stack, instances), started);
      assert.deepEqual(await servingInstances(stack), [...instances]);
    });
  });
}
