/** What is said of machines alone: their units, their reboot, what `destroy` leaves on them. */
import assert from "node:assert/strict";
import { inMachine } from "../../../lab/machines.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import { admins, inside, storefronts } from "../../support/members.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** Highest exposure that `systemd-analyze security` may find in an application's unit. */
const highestExposure = 4.0;

export function machinesSuite(stack: TestStack, place: MachinePlace): void {
  describe("the machines", () => {
    it("N4: the application's units are shut off from what they do not need", async () => {
      for (const member of [...storefronts, ...admins]) {
        const unit = `hastack-${member.replace(/-\d$/, "")}.service`;
        const report = await inside(
          stack,
          member,
          `systemd-analyze security --no-pager ${unit} | tail -1`,
        );
        const exposure = Number(/: ([\d.]+) /.exec(report)?.[1]);
        assert.ok(exposure < highestExposure, `${member}: ${report}`);
      }
    });

    it("N4: every unit restarts always, and only those that need it run as root", async () => {
      const seen = new Set<string>();
      for (const { name } of place.set.machines) {
        const units = await inMachine(
          place.set.set,
          name,
          "systemctl list-units --plain --no-legend 'hastack-*.service' | cut -d' ' -f1",
        );
        for (const unit of units.trim().split("\n").filter(Boolean)) {
          seen.add(unit);
          const show = `systemctl show --property=ActiveState,Type,Restart,User ${unit}`;
          const shown = await inMachine(place.set.set, name, show);
          assert.match(shown, /^ActiveState=active$/m, `${unit} on ${name}`);
          if (/^Type=oneshot$/m.test(shown)) continue;
          assert.match(shown, /^Restart=always$/m, `${unit} on ${name}`);
          const isRoot = /^User=(root)?$/m.test(shown);
          const mayBe = /^hastack-(haproxy|keepalived|uploads|firewall-guard)\.service$/.test(unit);
          assert.ok(mayBe || !isRoot, `${unit} on ${name} runs as root`);
        }
      }
      const expected = [
        "haproxy",
        "keepalived",
        "etcd",
        "patroni",
        "storefront",
        "admin",
        "valkey",
      ];
      for (const process of expected) {
        assert.ok(seen.has(`hastack-${process}.service`), `${process} is no unit: ${[...seen]}`);
      }
    });

    it("the distribution's own services that the stack does not use do not run", async () => {
      const names = ["haproxy", "keepalived", "etcd", "patroni", "postgresql", "valkey-server"];
      for (const { name } of place.set.machines) {
        const ask = `systemctl is-active ${names.join(" ")} || :`;
        const states = (await inMachine(place.set.set, name, ask)).trim().split("\n");
        assert.deepEqual([...new Set(states)], ["inactive"], name);
      }
    });
  });
}
