/** The members' own certificates on the running stack: renewed, and their authorities changed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { until } from "../../../lib/until.ts";
import { shownNow, toBeShown } from "../../support/attacks/shown.ts";
import { secretsOf } from "../../support/attacks/state.ts";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import { fileOf, healed, startTimes } from "../../support/members.ts";
import { promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";

/** @param stack that is destroyed afterwards: its authority is another one then */
export function certificatesSuite(stack: TestStack): void {
  describe("certificates", () => {
    before(() => healed(stack));

    it("N5: are shown as they are in the state", () => assertShown(stack));

    it("N5, W3: are renewed when the number of renewals is raised, as the preview says, and no request fails", async () => {
      const before = new Set(await assertShown(stack));
      configure(stack, { renewal: 1 });
      const preview = await stack.must(["preview", "--diff"]);
      assert.match(preview, /db-1-certificates/);
      assert.match(preview, /until \d{4}-\d\d-\d\d, renewal 1, authorities 1: .*Patroni reloads/);
      await change(stack, "certificates renewed");
      const after = await assertShown(stack);
      assert.deepEqual(
        after.filter((line) => before.has(line)),
        [],
        "all are new",
      );
    });

    it("W3: another up after the renewal changes nothing", () => assertUnchanged(stack));

    it("N5, W5: a step left out is refused before anything is touched", async () => {
      const members = ["etcd-1", "db-1", "storefront-1", "lb-1"];
      const shown = await assertShown(stack);
      const started = await startTimes(stack, members);
      configure(stack, { renewal: 1, authorities: [2] });
      const { code, stdout } = await stack.up();
      assert.notEqual(code, 0);
      assert.match(stdout, /change hastack:certificates.authorities by one step at a time/);
      const { certificates } = await secretsOf(stack);
      assert.deepEqual(await shownNow(stack, certificates), shown);
      assert.equal(await startTimes(stack, members), started);
      configure(stack, { renewal: 1 });
      await stack.mustUp();
      await healed(stack);
    });

    for (const authorities of [[1, 2], [2, 1], [2]]) {
      const step = JSON.stringify(authorities);
      it(`N5: the authorities become ${step}, and no request fails`, async () => {
        configure(stack, { renewal: 1, authorities });
        await change(stack, `authorities ${step}`, authorities.join() === "2,1");
        await assertShown(stack);
        await healed(stack);
      });
    }

    it("N5: the authority before is in no member's files any more", async () => {
      const { authorities } = await secretsOf(stack);
      assert.deepEqual([...(authorities.get("database")?.keys() ?? [])], [2]);
      const file = await fileOf(stack, "db-1", "tls/database-ca.crt");
      assert.equal(file, authorities.get("database")?.get(2)?.certificate);
    });

    it("W3: another up changes nothing", () => assertUnchanged(stack));
  });
}

function configure(stack: TestStack, certificates: object): void {
  stack.configure({ "hastack:certificates": certificates });
}

/** Every member shows what the state has for it. @returns what is shown, one line each */
async function assertShown(stack: TestStack): Promise<string[]> {
  const { certificates } = await secretsOf(stack);
  const shown = await shownNow(stack, certificates);
  assert.ok(shown.length >= 10, `${shown.length} certificates`);
  assert.deepEqual(shown, toBeShown(certificates));
  return shown;
}

async function assertUnchanged(stack: TestStack): Promise<void> {
  assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
}

/** @param cutOff whether a first `up` is killed half-way */
async function change(stack: TestStack, what: string, cutOff = false): Promise<void> {
  const report = await underLoad(stack, async () => {
    if (cutOff) await timed("killed half-way", () => killedUp(stack));
    await timed(what, () => stack.mustUp());
  });
  show(what, report, promises.release);
  assertNoneFailed(report);
  assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
}

/** An `up` that is killed, with all that it started, once the first database member has changed. */
async function killedUp(stack: TestStack): Promise<void> {
  const file = () => fileOf(stack, "db-1", "tls/postgres.pem");
  const before = await file();
  const [program = "", ...args] = stack.command(["up", "--yes", "--skip-preview"]);
  const options = { cwd: stack.folder, env: stack.env, detached: true, stdio: "ignore" } as const;
  const child = spawn(program, args, options);
  const ended = once(child, "close");
  await until("the first database member has its new certificate", {
    probe: file,
    done: (now) => now !== before,
    limitSeconds: 240,
  });
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await ended;
}
