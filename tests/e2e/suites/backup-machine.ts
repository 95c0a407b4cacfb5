/** The machine of backups, as systemd runs it: looked at, restarted, rebooted, and with other settings. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lastWords } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { keeper, listed, reachable, restoreSeconds, well } from "../../support/backups.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import { assertNoneFailed, show, timed, underLoad } from "../../support/measure.ts";
import { fileOf, healed, inside, sql, startMember } from "../../support/members.ts";
import { command, mustCommand, operation } from "../../support/operation.ts";
import { type Promised, promises, slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites, postDestination } from "../../support/traffic.ts";
import { restoredQuotes } from "./backups.ts";
import { primaryChanges } from "./operations.ts";

const databases = ["db-1", "db-2"] as const;
/** What happens to the machine of backups alone visitors do not see. */
const unnoticed: Promised = { reads: 0.5, writes: 0.5 };
const rebootSeconds = 600;

export function backupMachineSuite(stack: TestStack, place: MachinePlace): void {
  /** What is missing of the log, and where each range begins: another one would begin behind a gap. */
  const gaps = async () => {
    const { gaps, ranges } = await listed(stack);
    return { gaps, ranges: ranges.map(({ lineage, from }) => `${lineage} ${from}`).toSorted() };
  };
  const write = async (quote: string) => ({ ...(await postDestination(stack, quote)), quote });

  /** Under load: nothing of the log is missing afterwards, and what was written last can be restored. */
  async function keepsReceiving(what: string, act: () => Promise<unknown>): Promise<void> {
    const before = await gaps();
    await act();
    const written = await write(what);
    await timed("received again", () => reachable(stack, new Date()));
    assert.deepEqual(await gaps(), before);
    assert.deepEqual(await missingWrites(stack, [written]), []);
  }

  describe("the machine of backups", () => {
    before(() => healed(stack));

    it("O1, O3: status is well once there is a backup and a recovery kit, and nothing has drifted", async () => {
      const folder = mkdtempSync(join(tmpdir(), "hastack-kit-"));
      try {
        const words = ["kit", "--", "--make", join(folder, "kit"), "--generate"];
        const made = await stack.npm(["run", "--silent", ...words, "--stack", stack.name], 120);
        assert.equal(made.code, 0, lastWords(made));
      } finally {
        rmSync(folder, { recursive: true });
      }
      await well(stack, 300);
      const { code, stdout } = await command(stack, ["drift", "--json"]);
      assert.deepEqual([code, JSON.parse(stdout).findings], [0, []]);
    });

    it("W9: logs shows what both of its processes say", async () => {
      const words = ["run", "--silent", "logs", "--", "backup", "--since", "30m"];
      const outcome = await stack.npm([...words, "--stack", stack.name], 60);
      assert.equal(outcome.code, 0, lastWords(outcome));
      assert.match(outcome.stdout, /^\S+ \S+ {2}backup-1 {2}.*receiving WAL$/m);
      assert.match(outcome.stdout, /^\S+ \S+ {2}backup-1 {2}.*the primary is reached$/m);
    });

    it("W9: restart of backup-1 is not noticed; it goes on receiving, and what is restored beside is there again", async () => {
      await write("restored beside");
      await reachable(stack, new Date());
      await mustCommand(stack, ["restore", "--to", "newest"], restoreSeconds);
      await keepsReceiving("after the restart", () =>
        operation(stack, ["restart", keeper], unnoticed),
      );
      const quotes = await until("what is restored beside can be asked again", {
        probe: () => restoredQuotes(stack),
        done: (quotes) => quotes.length > 0,
        limitSeconds: 120,
      });
      assert.ok(quotes.includes("restored beside"));
      assert.ok(!quotes.includes("after the restart"));
      await mustCommand(stack, ["restore", "--discard"], restoreSeconds);
    });

    it("W7: reboot of its machine fails no request, and leaves no gap", async () => {
      await keepsReceiving("after the reboot", () =>
        operation(stack, ["reboot", place.machine(keeper)], primaryChanges, rebootSeconds),
      );
      await healed(stack);
      await well(stack);
    });

    it("W7, O3: its machine loses its power under load: what was written meanwhile is fetched afterwards", async () => {
      await keepsReceiving("after the power cut", async () => {
        const report = await underLoad(stack, async () => {
          await place.lose(keeper);
          await startMember(stack, keeper);
          await healed(stack);
        });
        show("the machine of backups lost", report, promises.arbiterLost);
        assert.deepEqual(await missingWrites(stack, report.acknowledged), []);
      });
    });

    it("O3: an up with other settings of backups fails no request and restarts no database", async () => {
      const starts = () => ask("SELECT pg_postmaster_start_time()");
      const ask = (query: string) =>
        Promise.all(databases.map((member) => sql(stack, member, query)));
      const before = await starts();
      stack.configure({
        "hastack:backup": { archiveTimeoutSeconds: 30, retentionDays: 21, filesEverySeconds: 60 },
      });
      await keepsReceiving("after the settings", async () => {
        const report = await underLoad(stack, () => stack.mustUp());
        show("other settings of backups", report, promises.release);
        assertNoneFailed(report);
        assert.ok(report.writes.gapSeconds <= promises.release.writes * slack * 2);
      });
      assert.deepEqual(await starts(), before);
      assert.deepEqual(await ask("SHOW archive_timeout"), ["30s", "30s"]);
      const told = JSON.parse(await fileOf(stack, keeper, "backup.json"));
      assert.deepEqual([told.retentionDays, told.filesEverySeconds], [21, 60]);
      stack.configure({});
      await stack.mustUp();
      assert.deepEqual(await ask("SHOW archive_timeout"), ["1min", "1min"]);
    });
  });
}

/** To be looked at after all that it has done. */
export function backupJournalSuite(stack: TestStack): void {
  describe("the journal of the machine of backups", () => {
    it("O3: tells of nothing that was kept from its processes, and of no fault of theirs", async () => {
      const script = `journalctl --no-pager --quiet --output=cat --unit=hastack-keeper --unit=hastack-receive |
  grep -E 'Operation not permitted|Permission denied|Read-only file system|Traceback|Error: ' || :`;
      assert.equal(await inside(stack, keeper, script), "");
    });
  });
}
