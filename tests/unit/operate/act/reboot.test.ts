/** A machine that starts anew, by the command that real machines get. */
import assert from "node:assert/strict";
import { startAnew } from "../../../../operate/act/reboot.ts";
import type { OperatedStack } from "../../../../operate/stack.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";
import { stackOn } from "../../../support/unit/operated.ts";

describe("a machine that is rebooted", function () {
  this.timeout(120_000);
  let machine: StandIn;
  let stack: OperatedStack;

  before(async function () {
    this.timeout(600_000);
    [machine] = await standIns();
    stack = stackOn(machine);
  });

  it("W9: is waited for until it has booted and lets in", async () => {
    await machine.look("touch /run/before-the-boot");
    await startAnew(stack, "node-1", new AbortController().signal);
    assert.equal(await machine.look("ls /run/before-the-boot 2> /dev/null || echo none"), "none");
    assert.equal((await machine.attempt("true")).code, 0);
  });

  it("W9: that will not reboot is an error with what it says", async () => {
    await machine.look(
      "printf '#!/bin/sh\\necho no such thing >&2; exit 5\\n' > /usr/local/bin/systemctl; chmod 0755 /usr/local/bin/systemctl",
    );
    try {
      await assert.rejects(
        startAnew(stack, "node-1", new AbortController().signal),
        /node-1 does not reboot: no such thing/,
      );
    } finally {
      await machine.look("rm /usr/local/bin/systemctl");
    }
  });
});
