/** The frame of operations, at a stack whose machines are not there: so without lock and journal. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { operate } from "../../../../operate/act/operation.ts";
import { type Plan, Refusal } from "../../../../operate/act/plan.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("an operation", function () {
  this.timeout(30_000);
  const stack = { ...openStack("dev"), name: `absent-${process.pid}` };
  const isTTY = Object.getOwnPropertyDescriptor(process.stdin, "isTTY");
  before(() => Object.defineProperty(process.stdin, "isTTY", { value: false, configurable: true }));
  after(() => {
    if (isTTY) Object.defineProperty(process.stdin, "isTTY", isTTY);
    else Reflect.deleteProperty(process.stdin, "isTTY");
  });

  /** What was written to standard error meanwhile, and the exit status. */
  async function said(plan: Plan | Error, yes: boolean) {
    const { write } = process.stderr;
    const texts: string[] = [];
    process.stderr.write = ((text: string) => texts.push(text) > 0) as typeof write;
    try {
      const code = await operate(stack, { what: "drain lb-1", yes }, async () => {
        if (plan instanceof Error) throw plan;
        return plan;
      });
      return { code, text: texts.join("") };
    } finally {
      process.stderr.write = write;
    }
  }
  const planned = (run: Plan["run"]): Plan => ({ costs: ["It costs nothing."], run });

  it("W6: without a lock it asks first, and does nothing where nobody can be asked", async () => {
    const never = planned(() => assert.fail("it ran"));
    const { code, text } = await said(never, false);
    assert.equal(code, 1);
    assert.match(text, /^no lock and no journal: .*db-1: No such container/s);
    assert.match(text, /Go on without\? Nobody can be asked here: give --yes/);
  });

  it("W12: says what it costs before it begins, and goes on with --yes", async () => {
    let ran = false;
    const { code, text } = await said(
      planned(async () => {
        ran = true;
        return "done by a test";
      }),
      true,
    );
    assert.deepEqual([code, ran], [0, true]);
    assert.match(text, /It costs nothing\.\n$/);
  });

  it("W6: that fails ends with 1 and its reason; a refusal is the command's error", async () => {
    const { code, text } = await said(
      planned(async () => {
        throw new Error("it broke");
      }),
      true,
    );
    assert.equal(code, 1);
    assert.match(text, /it broke\n$/);
    await assert.rejects(said(new Refusal("the last one"), true), /^Error: the last one$/);
  });

  it("W6: is told to end by a signal, and says so", async () => {
    const { code, text } = await said(
      planned(async (signal) => {
        process.emit("SIGTERM");
        signal.throwIfAborted();
        return "went on";
      }),
      true,
    );
    assert.equal(code, 1);
    assert.match(text, /it was interrupted\n$/);
    assert.equal(process.listenerCount("SIGHUP"), 0);
  });

  it("W6: says so, too, where a wait of Node's own was what the signal ended", async () => {
    const { text } = await said(
      planned(async (signal) => {
        setImmediate(() => process.emit("SIGINT"));
        await sleep(10_000, undefined, { signal });
        return "went on";
      }),
      true,
    );
    assert.match(text, /it was interrupted\n$/);
  });

  it("W6: says so where what it left cannot be undone, and that nothing remembers it", async () => {
    const plan: Plan = {
      costs: [],
      undo: [{ do: "start", members: ["lb-1"] }],
      run: () => Promise.reject(new Error("it broke")),
    };
    const { text } = await said(plan, true);
    assert.match(text, /it broke: start lb-1\n/);
    assert.match(
      text,
      /could not be undone \(lb-1: start its processes: .*\): nothing remembers it/,
    );
  });
});
