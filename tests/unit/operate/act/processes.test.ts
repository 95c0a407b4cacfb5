/** A member's processes on a machine, by systemd. */
import assert from "node:assert/strict";
import { processesScript, setProcesses } from "../../../../operate/act/processes.ts";
import type { OperatedStack } from "../../../../operate/stack.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";
import { stackOn } from "../../../support/unit/operated.ts";

describe("processes of a member on a machine", function () {
  this.timeout(60_000);
  const member = { name: "lb-9", role: "loadBalancer", machine: "node-1", backend: "10.2.0.11" };
  const units = "/etc/hastack/lb-9/units";
  let machine: StandIn;
  let stack: OperatedStack;

  before(async function () {
    this.timeout(600_000);
    [machine] = await standIns();
    stack = stackOn(machine);
    await machine.look(`mkdir -p ${units}
for name in first second; do
  unit=hastack-lb9-$name.service
  printf '[Service]\\nExecStart=/bin/sleep 999\\n[Install]\\nWantedBy=multi-user.target\\n' > ${units}/$unit
  ln -sf ${units}/$unit /etc/systemd/system/$unit
done
systemctl daemon-reload`);
  });
  after(() =>
    machine?.look(
      `systemctl stop hastack-lb9-first hastack-lb9-second; rm -r /etc/systemd/system/hastack-lb9-* /etc/hastack/lb-9; systemctl daemon-reload`,
    ),
  );

  const states = async () =>
    (await machine.look("systemctl is-active hastack-lb9-first hastack-lb9-second || :"))
      .trim()
      .split("\n");

  it("W9: are started, stopped, and one alone; what is so already stays", async () => {
    await setProcesses(stack, member, "start");
    assert.deepEqual(await states(), ["active", "active"]);
    await setProcesses(stack, member, "stop", "lb9-second");
    assert.deepEqual(await states(), ["active", "inactive"]);
    await setProcesses(stack, member, "start");
    await setProcesses(stack, member, "start");
    assert.deepEqual(await states(), ["active", "active"]);
    await setProcesses(stack, member, "stop");
    assert.deepEqual(await states(), ["inactive", "inactive"]);
  });

  it("W9: that are held stay down over a boot, and run once they are released", async function () {
    this.timeout(120_000);
    const isHeld = async () => {
      const script = processesScript(stack, member, "isHeld");
      return (await machine.attempt(script)).code === 0;
    };
    await setProcesses(stack, member, "release");
    assert.deepEqual([await states(), await isHeld()], [["active", "active"], false]);
    await setProcesses(stack, member, "hold");
    await machine.restart();
    assert.deepEqual([await states(), await isHeld()], [["inactive", "inactive"], true]);
    await setProcesses(stack, member, "release");
    assert.deepEqual([await states(), await isHeld()], [["active", "active"], false]);
    await machine.restart();
    assert.deepEqual(await states(), ["active", "active"]);
    await setProcesses(stack, member, "stop");
  });

  it("W9: one that cannot be started is an error with what systemd said", async () => {
    await machine.look(
      `printf '[Service]\\nType=exec\\nExecStart=/no/such\\n' > ${units}/hastack-lb9-first.service; systemctl daemon-reload`,
    );
    await assert.rejects(
      setProcesses(stack, member, "start"),
      /^Error: lb-9: start its processes failed \(\d+\): .*hastack-lb9-first/s,
    );
  });
});
