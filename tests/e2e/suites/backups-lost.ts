/** What only backups outside of the stack help against: a release that destroys data, and the loss of everything. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastWords, type Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { countOf, listed, loseAll, reachable, restoreSeconds } from "../../support/backups.ts";
import { timed } from "../../support/measure.ts";
import { healed } from "../../support/members.ts";
import { command, mustCommand } from "../../support/operation.ts";
import type { TestStack } from "../../support/test-stack.ts";
import {
  type Acknowledged,
  missingWrites,
  patientVisits,
  postDestination,
  Traffic,
} from "../../support/traffic.ts";

/** What is promised where all machines are lost, seconds: what is newer may be gone. */
const stated = { database: 60, files: 60 };
/** To store it, on a machine that is busy with the tests. */
const storingSeconds = 30;
const bad = "app/sql/migrations/0099_tidy.sql";

export function badMigrationSuite(stack: TestStack): void {
  describe("a bad migration", () => {
    before(() => healed(stack));

    it("O3: that destroys data under load is taken back by the release before and a restore", async () => {
      await stack.authorization();
      const traffic = new Traffic(stack, patientVisits);
      await sleep(10_000);
      const moment = new Date();
      await sleep(1100);
      writeFileSync(stack.folder + bad, "DELETE FROM content;\n");
      await timed("up to the bad release", () => stack.mustUp());
      const { acknowledged } = await traffic.stop();
      const earlier = acknowledged.filter(({ at = 0 }) => at < moment.getTime());
      assert.ok(earlier.length > 1, `${earlier.length}`);
      assert.equal(await countOf(stack, earlier), 0, "the migration has destroyed them");

      rmSync(stack.folder + bad);
      await timed("up to the release before", () => stack.mustUp());
      await reachable(stack, moment);
      await timed("restored in place", () =>
        mustCommand(stack, ["restore", "--to", moment.toISOString(), "--in-place"], restoreSeconds),
      );
      await healed(stack);
      assert.deepEqual(await missingWrites(stack, earlier), []);
      await mustCommand(stack, ["restore", "--accept"]);
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/, "it does not run again");
      assert.deepEqual(await missingWrites(stack, earlier), []);
    });
  });
}

export function everythingLostSuite(stack: TestStack): void {
  describe("the loss of everything", () => {
    const folder = mkdtempSync(join(tmpdir(), "hastack-kit-"));
    const kit = join(folder, "e2e.kit");
    const words = join(folder, "words");
    const kept: Acknowledged[] = [];
    let lost = 0;
    let acknowledged: readonly Acknowledged[] = [];

    before(() => healed(stack));
    after(() => rmSync(folder, { recursive: true, force: true }));

    const callKit = (...args: readonly string[]): Promise<Outcome> =>
      stack.npm(["run", "--silent", "kit", "--", ...args], 300);
    async function mustCallKit(...args: readonly string[]): Promise<string> {
      const outcome = await callKit(...args);
      assert.equal(outcome.code, 0, lastWords(outcome, 40));
      return outcome.stdout;
    }

    it("O3: takes containers, volumes, networks and the checkout, but neither the kit nor what is stored outside", async () => {
      writeFileSync(words, "some words that nobody guesses\n", { mode: 0o600 });
      const made = ["--make", kit, "--stack", stack.name, "--passphrase-file", words];
      await timed("kit", () => mustCallKit(...made));
      for (const quote of ["kept, the first", "kept, the second"])
        kept.push({ ...(await postDestination(stack, quote)), quote });
      const traffic = new Traffic(stack, patientVisits);
      await sleep((stated.files + stated.database + 60) * 1000);
      lost = Date.now();
      await loseAll(stack);
      ({ acknowledged } = await traffic.stop());
      acknowledged = acknowledged.filter(({ at = 0 }) => at < lost);
      console.log(`      ${acknowledged.length} writes were acknowledged`);
      assert.deepEqual(
        (await stack.place.leftovers()).filter((one) => !/^(labelled )?image/.test(one)),
        [],
      );
      assert.ok(!existsSync(stack.folder));
    });

    it("O3: is mended with the kit, in an empty clone", async () => {
      const start = Date.now();
      await stack.create("clone");
      rmSync(`${stack.folder}Pulumi.${stack.name}.yaml`);

      const nowhere = await callKit("--open", `${kit}.lost`, "--passphrase-file", words);
      assert.notEqual(nowhere.code, 0);
      assert.match(nowhere.stderr, /e2e\.kit\.lost cannot be read: ENOENT/);
      const other = join(folder, "other");
      writeFileSync(other, "other words that nobody guesses\n");
      const wrong = await callKit("--open", kit, "--new-machines", "--passphrase-file", other);
      assert.notEqual(wrong.code, 0);
      assert.match(wrong.stderr, /e2e\.kit: this is not the passphrase that it was sealed with/);
      assert.ok(!existsSync(`${stack.folder}Pulumi.${stack.name}.yaml`), "nothing was put back");

      const open = ["--open", kit, "--new-machines", "--passphrase-file", words];
      console.log((await mustCallKit(...open)).replaceAll(/^/gm, "        "));
      await timed("up", () => stack.mustUp());
      const anew = await until("the list shows the moment before the loss", {
        probe: async () => (await listed(stack)).anew,
        done: (found) => found !== undefined,
        limitSeconds: 120,
      });
      const to = anew?.before ?? "";
      const text = (await command(stack, ["backup", "--list"])).stdout;
      console.log(text.replaceAll(/^/gm, "        "));
      assert.match(text, new RegExp(`--to ${to} --in-place --stack ${stack.name}`));
      const guess = await command(stack, ["restore", "--to", "newest"], restoreSeconds);
      assert.notEqual(guess.code, 0);
      assert.match(guess.stderr, new RegExp(`--to ${to}, which is the newest before`));

      const restore = ["restore", "--to", to, "--in-place"];
      const shown = await timed("restored in place", () =>
        mustCommand(stack, restore, restoreSeconds),
      );
      console.log(shown.replaceAll(/^/gm, "        "));
      await healed(stack);
      console.log(`      RTO: ${((Date.now() - start) / 1000).toFixed(0)} s from the empty clone`);
      await mustCommand(stack, ["restore", "--accept"]);
      await mustCallKit("--make", `${kit}.new`, "--stack", stack.name, "--passphrase-file", words);
    });

    it("O3: has lost no acknowledged write that is older than what is stated, nor its picture", async () => {
      assert.deepEqual(await missingWrites(stack, kept), []);
      const { rows, files } = await firstMissing(stack, acknowledged);
      const age = (at: number) => Math.max(0, lost - at) / 1000;
      console.log(
        `      RPO: ${age(rows).toFixed(0)} s of rows, ${age(files).toFixed(0)} s of files`,
      );
      assert.ok(age(rows) < stated.database + storingSeconds, `${age(rows)} s of rows`);
      assert.ok(age(files) < stated.files + storingSeconds, `${age(files)} s of files`);
      const quote = "after the loss";
      const after = { ...(await postDestination(stack, quote)), quote };
      assert.deepEqual(await missingWrites(stack, [after]), []);
      await mustCommand(stack, ["backup", "--full"], restoreSeconds);
      await reachable(stack, new Date(), "s3");
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });
  });
}

/** When the first was acknowledged whose row is missing, and whose picture is, milliseconds. */
async function firstMissing(
  stack: TestStack,
  all: readonly Acknowledged[],
): Promise<{ rows: number; files: number }> {
  const found = { rows: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };
  const problems = await missingWrites(stack, all);
  for (const { id, quote, image, at = 0 } of all) {
    const hasRow = !problems.some(
      (one) => one.startsWith(`acknowledged as ${id},`) && one.endsWith(quote),
    );
    const hasFile = !problems.some((one) => one.startsWith(`${image} of ${id} answers`));
    if (!hasRow) found.rows = Math.min(found.rows, at);
    if (!hasFile) found.files = Math.min(found.files, at);
  }
  return found;
}
