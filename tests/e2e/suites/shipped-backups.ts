/** The backups of a stack as it is shipped, in a few minutes; suites/backups.ts tries them in full. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { reachable, restoreSeconds } from "../../support/backups.ts";
import { timed } from "../../support/measure.ts";
import { healed, primary, sql } from "../../support/members.ts";
import { command, mustCommand } from "../../support/operation.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, postDestination } from "../../support/traffic.ts";

export function shippedBackupsSuite(stack: TestStack): void {
  describe("backups", () => {
    before(() => healed(stack));

    it("O3: a row that was deleted is in the restore beside the stack, which serves on", async () => {
      const quote = "deleted by mistake";
      const { id } = await postDestination(stack, quote);
      await sleep(1100);
      const moment = new Date();
      await sleep(1100);
      await sql(stack, await primary(stack), `DELETE FROM content WHERE id = ${id}`);
      const kept = { ...(await postDestination(stack, "kept")), quote: "kept" };
      await timed("differential backup", () => mustCommand(stack, ["backup"], restoreSeconds));
      await reachable(stack, moment);
      const shown = await timed("restored beside", () =>
        mustCommand(stack, ["restore", "--to", moment.toISOString()], restoreSeconds),
      );
      assert.match(shown, /^public\.content .*$/m);
      const asked = ["sql", "--", `SELECT quote FROM content WHERE id = ${id}`, "--restored"];
      const said = await stack.npm(["run", "--silent", ...asked, "--stack", stack.name], 60);
      assert.ok(said.stdout.includes(quote), said.stdout + said.stderr);
      await mustCommand(stack, ["restore", "--discard"], restoreSeconds);
      assert.deepEqual(await missingWrites(stack, [kept]), []);
    });

    it("O3: a drill passes, and status tells its result", async () => {
      await timed("drill", () => mustCommand(stack, ["backup", "--drill"], restoreSeconds));
      const { stdout } = await command(stack, ["status", "--json"]);
      const { subjects } = JSON.parse(stdout) as { subjects: { name: string; is: string }[] };
      assert.match(subjects.find(({ name }) => name === "backup")?.is ?? "", /drill passed/);
    });
  });
}
