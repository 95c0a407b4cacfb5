/** Machines that start anew: one, each in turn, all at once; by themselves, and by the operator's commands. */
import assert from "node:assert/strict";
import { inMachine } from "../../../lab/machines.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import { fault, timed, underLoad } from "../../support/measure.ts";
import { healed, primary, promisedWithout } from "../../support/members.ts";
import { command, mustCommand, operation } from "../../support/operation.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { missingWrites } from "../../support/traffic.ts";
import { primaryChanges } from "./operations.ts";

/** Of all machines, one after the other. */
const rollingSeconds = 1800;

/** The one that every run of the tests sees. */
export function rebootSuite(stack: TestStack, place: MachinePlace): void {
  describe("a reboot", () => {
    before(() => healed(stack));

    it("W7: a machine that is rebooted comes back with all its members by itself", async () => {
      const standby = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
      await rebooted(stack, place, place.machine(standby));
    });
  });
}

export function rebootsSuite(stack: TestStack, place: MachinePlace): void {
  const machines = place.set.machines.map(({ name }) => name);

  describe("reboots", () => {
    before(() => healed(stack));

    for (const machine of machines) {
      it(`W7: ${machine} is rebooted, and comes back with all its members by itself`, () =>
        rebooted(stack, place, machine));
    }

    it("W7: all machines are rebooted at once, and everything comes back by itself", async () => {
      const { acknowledged } = await underLoad(stack, () =>
        timed("all machines rebooted, whole again", async () => {
          await Promise.all(machines.map((one) => place.reboot(memberOn(place, one))));
          await healed(stack);
        }),
      );
      assert.deepEqual(await missingWrites(stack, acknowledged), []);
    });
  });
}

async function rebooted(stack: TestStack, place: MachinePlace, machine: string): Promise<void> {
  const member = memberOn(place, machine);
  await fault(stack, `${machine} rebooted`, await promisedWithout(stack, member), async () => {
    await timed("down, and up again", () => place.reboot(member));
    await timed("whole after that", () => healed(stack));
  });
}

function memberOn(place: MachinePlace, machine: string): string {
  const [member] = place.on(machine);
  if (member === undefined) throw new Error(`${machine} has no member`);
  return member;
}

/** The commands for whole machines. */
export function rollingSuite(stack: TestStack, place: MachinePlace): void {
  const machines = place.set.machines.map(({ name }) => name);
  const onEach = (script: string) =>
    Promise.all(machines.map((name) => inMachine(place.set.set, name, script)));

  describe("operations on whole machines under load", () => {
    before(() => healed(stack));

    it("W9: reboot: one machine after the other, each whole before the next, and no request fails", async () => {
      const starts = () => onEach("cat /proc/sys/kernel/random/boot_id");
      const before = await starts();
      await operation(stack, ["reboot"], primaryChanges, rollingSeconds);
      const after = await starts();
      for (const [index, name] of machines.entries()) {
        assert.notEqual(after[index], before[index], `${name} has not rebooted`);
      }
      await healed(stack);
    });

    it("W9: update brings what is newer, PostgreSQL too, and no request fails", async () => {
      const versions = () =>
        onEach(
          `dpkg-query -W -f '\${Package} \${Version}\\n' ${updated.join(" ")} 2> /dev/null || :`,
        );
      const newest = await versions();
      // As if these had been installed before their last updates
      await onEach(`for one in ${updated.join(" ")}; do
  sed -i "/^Package: $one\\$/,/^\\$/ s/^Version: .*/Version: 1~older/" /var/lib/dpkg/status
done`);
      assert.notDeepEqual(await versions(), newest);
      await operation(stack, ["update"], primaryChanges, rollingSeconds);
      assert.deepEqual(await versions(), newest);
      await healed(stack);
      assert.match(await mustCommand(stack, ["update"]), /there is nothing to update/);
    });

    it("W7: a stack that is stopped stays so over a reboot, until resume", async () => {
      await mustCommand(stack, ["stop"]);
      await Promise.all(machines.map((one) => place.reboot(memberOn(place, one))));
      const { code, stdout } = await command(stack, ["status"]);
      assert.equal(code, 1);
      assert.match(stdout, /the whole stack is stopped/);
      await timed("resume", () => mustCommand(stack, ["resume"]));
      await healed(stack);
    });
  });
}

/** One for each kind of member. */
const updated = ["haproxy", "etcd-server", "postgresql-17", "valkey-server"];
