/** Backups on three machines: the same as on Docker, and what systemd, reboots and firewalls make of them. */
import assert from "node:assert/strict";
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { healed } from "../support/members.ts";
import { certificateFor, stackFolder, TestStack } from "../support/test-stack.ts";
import { backupJournalSuite, backupMachineSuite } from "./suites/backup-machine.ts";
import { backupsSuite } from "./suites/backups.ts";
import { scanSuite } from "./suites/scan.ts";

const name = "keep-lab";
const place = new MachinePlace(name, {
  layout: "three",
  networks: ["172.29.49", "172.29.50", "172.29.51"],
  project: stackFolder(name),
  managed: true,
  backups: true,
});
const stack = new TestStack(name, place);

describe("backups on three machines", function () {
  this.timeout("20m");

  before("make ready", async function () {
    onlyInFull(this);
    await timed("machines started", () => stack.create());
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await timed("from bare to serving", () => stack.mustUp());
    await healed(stack);
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  backupMachineSuite(stack, place);
  backupsSuite(stack);
  scanSuite(stack, place);
  backupJournalSuite(stack);

  describe("destroy", () => {
    it("W4: leaves nothing of the stack on the machines, backups neither", async () => {
      await timed("destroy", () => stack.destroy());
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});
