import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { Held, holderOf, isGone } from "../../../../operate/act/lock.ts";

describe("the lock on a stack", () => {
  const own = holderOf("drain storefront-1", new Date("2026-11-27T14:47:35.949Z"));
  const { pid } = spawnSync("true");

  it("W6: its holder is gone when its process is, on this machine alone", () => {
    assert.equal(isGone(own), false);
    assert.equal(isGone({ ...own, process: { ...own.process, id: pid } }), true);
    assert.equal(isGone({ ...own, process: { place: "another machine", id: pid } }), false);
  });

  it("W6: says who has it, since when, and for what", () => {
    const { message } = new Held({ ...own, operator: "ann@desk" });
    assert.match(
      message,
      /^locked by ann@desk since 2026-11-27 14:47:35 UTC: drain storefront-1\./,
    );
  });

  it("W6: is another one for each operation", () => {
    assert.notEqual(holderOf("switchover").id, own.id);
  });
});
