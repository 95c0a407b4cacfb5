/** A machine that is asked over SSH, and one that does not answer. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inRoot } from "../../../../lib/paths.ts";
import { until } from "../../../../lib/until.ts";
import type { OperatedStack } from "../../../../operate/stack.ts";
import { type Answers, askMachine, type Question } from "../../../../operate/status/ask.ts";
import { commonFindings, commonQuestions } from "../../../../operate/status/common.ts";
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

  it("O1: has nothing running any more soon after the command that asked was killed", async () => {
    const mark = `7${process.pid}.5`;
    const look = () => machine.look(`pgrep -f '[s]leep ${mark}' || :`);
    const question = ask("a.hangs", `sleep ${mark}`);
    const words = [stack, machine.target.name, [question]].map((one) => JSON.stringify(one));
    const text = `import { askMachine } from ${JSON.stringify(inRoot("operate/status/ask.ts"))};
await askMachine(${words.join(", ")});`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", text]);
    await until("the machine is asked", {
      probe: look,
      done: (found) => found !== "",
      limitSeconds: 20,
      intervalSeconds: 0.05,
    });
    child.kill("SIGKILL");
    await sleep(3000);
    assert.equal(await look(), "");
  });

  it("O1: tells units that run from those that do not, and from those that no boot starts", async () => {
    const member = { name: "cache-9", role: "cache", machine: "node-1", backend: "10.2.0.11" };
    const units = "/etc/hastack/cache-9/units";
    await machine.look(`mkdir -p ${units}
for name in broke dies held rests runs; do
  printf '[Service]\\nExecStart=/bin/sleep 99\\nRestart=always\\nRestartSec=60\\n[Install]\\nWantedBy=multi-user.target\\n' > ${units}/hastack-$name.service
  ln -sf ${units}/hastack-$name.service /etc/systemd/system/
done
sed -i s/always/no/ ${units}/hastack-broke.service
systemctl daemon-reload && systemctl enable hastack-dies hastack-rests hastack-runs && systemctl start hastack-broke hastack-dies hastack-rests hastack-runs
systemctl stop hastack-rests; systemctl kill --signal=KILL hastack-broke hastack-dies
timeout 9 sh -c 'until [ "$(systemctl is-active hastack-dies)" = activating ]; do sleep 0.1; done'`);
    const asked = {
      ...stack,
      application: { shared: [] },
      topology: { tiers: {} },
    } as unknown as OperatedStack;
    const { processes = "" } = commonQuestions(asked, member);
    const folder = "/etc/hastack/cache-9";
    const { answers } = await timed(stack, [{ name: "p", folder, command: processes }]);
    await machine.look(`systemctl stop hastack-dies hastack-runs
systemctl disable --quiet hastack-dies hastack-rests hastack-runs
rm -r ${folder}; cd /etc/systemd/system; systemctl reset-failed hastack-broke; rm -f hastack-broke.service hastack-dies.service hastack-held.service hastack-rests.service hastack-runs.service`);
    const said = (answers as Answers).p;
    assert.equal(said?.text, "broke held\ndies activating\nheld held\nrests stopped\nruns up\n");
    const findings = commonFindings(
      asked,
      member,
      (name) => (name === "processes" ? said : undefined),
      new Date(),
    );
    assert.deepEqual(
      findings.map(({ what }) => what).filter((what) => /process/.test(what)),
      [
        "the process broke is stopped, and no boot starts it",
        "the process dies is activating",
        "the process held is stopped, and no boot starts it",
        "the process rests is stopped",
      ],
    );
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
