/** What is made of GlusterFS 11.1's own words, as three bricks gave them, one of which was killed. */
import assert from "node:assert/strict";
import type { OperatedStack } from "../../../../operate/stack.ts";
import type { Answer } from "../../../../operate/status/ask.ts";
import { readHeal, storage } from "../../../../operate/status/storage.ts";

const whole = `Brick 10.2.0.13:/bricks/a
Status: Connected
Number of entries: 0

Brick 10.2.0.14:/bricks/b
Status: Connected
Number of entries: 0

Brick 10.2.0.17:/bricks/c
Status: Connected
Number of entries: 0

`;

const oneKilled = `Brick 10.2.0.13:/bricks/a
/ 
Status: Connected
Number of entries: 1

Brick 10.2.0.14:/bricks/b
Status: Transport endpoint is not connected
Number of entries: -

Brick 10.2.0.17:/bricks/c
/ 
Status: Connected
Number of entries: 1

`;

describe("status of GlusterFS", () => {
  const stack = {
    application: { shared: ["uploads"] },
    settings: { storage: { driver: "glusterfs" } },
  } as unknown as OperatedStack;

  /** All members say this of the volume; `glusterd` runs unless said. */
  const judged = (heal: Answer | undefined, unit = "active") =>
    storage.judge(
      stack,
      ["brick-1", "brick-2", "arbiter-1"].map((name) => ({
        member: { name, role: name.replace(/-\d/, ""), machine: name, backend: "10.2.0.13" },
        reached: true,
        answer: (question) => (question === "unit" ? { code: 0, text: `${unit}\n` } : heal),
      })),
    );

  const whats = (heal: Answer | undefined) => judged(heal).findings.map(({ what }) => what);

  it("O1: is read brick by brick", () => {
    assert.deepEqual(readHeal(oneKilled), [
      { at: "10.2.0.13:/bricks/a", connected: true, toHeal: 1 },
      { at: "10.2.0.14:/bricks/b", connected: false, toHeal: undefined },
      { at: "10.2.0.17:/bricks/c", connected: true, toHeal: 1 },
    ]);
  });

  it("O1: is whole, or says which brick is away and how much there is to heal", () => {
    assert.deepEqual(whats({ code: 0, text: whole }), []);
    assert.equal(judged({ code: 0, text: whole }).is, "3 of 3 members well, uploads whole");
    assert.deepEqual(whats({ code: 0, text: oneKilled }), [
      "uploads: the brick 10.2.0.14:/bricks/b is not connected",
      "uploads: 1 file to heal",
    ]);
  });

  it("O1: is not known where a brick hangs, or glusterd is away", () => {
    // A brick that was stopped by a signal kept it for 5 s
    assert.deepEqual(whats({ code: 124, text: "" }), [
      "uploads: GlusterFS does not tell in time what is to heal",
    ]);
    const away = "Connection failed. Please check if gluster daemon is operational.\n";
    assert.deepEqual(whats({ code: 1, text: away }), ["uploads: nobody tells what is to heal"]);
    const members = judged(undefined, "inactive").members;
    assert.equal(members.get("brick-1")?.findings[0]?.what, "glusterd is inactive");
  });
});
