/** A machine that is asked over SSH, and one that does not answer. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import type { OperatedStack } from "../../../../operate/stack.ts";
import { type Answers, askMachine, type Question } from "../../../../operate/status/ask.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";

describe("a machine that is asked how it is", function () {
  this.timeout(60_000);
  let machine: StandIn;
  let stack: OperatedStack;

  before(async function () {
    this.timeout(600_000);
    [machine] = await standIns();
    stack = stackWith({});
  });

  /** The stack of that machine, with other ways to it. */
  function stackWith(changed: object): OperatedStack {
    const { identityFile, ...target } = machine.target;
    const machines = [{ ...target, ...changed }];
    const settings = { platform: "ssh", machines, ssh: { identityFile } };
    return { name: "unit", settings } as unknown as OperatedStack;
  }

  const ask = (name: string, command: string): Question => ({ name, folder: "/", command });

  async function timed(asked: OperatedStack, questions: readonly Question[]) {
    const start = Date.now();
    const answers = await askMachine(asked, machine.target.name, questions);
    return { answers, seconds: (Date.now() - start) / 1000 };
  }

  it("O1: answers as root, and keeps no answer back for one that hangs", async () => {
    const mark = `8${process.pid}.5`;
    const { answers, seconds } = await timed(stack, [
      ask("a.who", "id -un"),
      ask("a.hangs", `sleep ${mark}`),
    ]);
    const said = answers as Answers;
    assert.deepEqual(said["a.who"], { code: 0, text: "root\n" });
    assert.equal(said["a.hangs"]?.code, 124);
    assert.ok(seconds < 3, `${seconds} s`);
    assert.equal(await machine.look(`pgrep -f '[s]leep ${mark}' || :`), "");
  });

  it("O1: is unreachable where nobody listens, and says so within 3 s", async () => {
    const { answers, seconds } = await timed(stackWith({ port: 1 }), [ask("a.who", "id -un")]);
    assert.ok("unreachable" in answers, JSON.stringify(answers));
    assert.ok(seconds < 3, `${seconds} s`);
  });

  it("O1: is unreachable where it takes connections and says nothing, within 3 s", async () => {
    const server: Server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const hanging = stackWith({ address: "127.0.0.1", port });
    const { answers, seconds } = await timed(hanging, [ask("a.who", "id -un")]);
    server.close();
    assert.equal((answers as { unreachable?: string }).unreachable, "it does not answer");
    assert.ok(seconds < 3, `${seconds} s`);
  });
});
