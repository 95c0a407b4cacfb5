/** Logs of members on a machine, from its journal. */
import assert from "node:assert/strict";
import { readLogs } from "../../../../operate/logs/logs.ts";
import type { OperatedStack } from "../../../../operate/stack.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";
import { stackOn } from "../../../support/unit/operated.ts";

describe("logs of a member on a machine", function () {
  this.timeout(60_000);
  const member = { name: "cache-1", role: "cache", machine: "node-1", backend: "10.2.0.11" };
  const units = "/etc/hastack/cache-1/units";
  const unit = "hastack-talks.service";
  let machine: StandIn;
  let stack: OperatedStack;

  before(async function () {
    this.timeout(600_000);
    [machine] = await standIns();
    stack = stackOn(machine);
    await machine.look(`mkdir -p ${units}
printf '[Service]\\nExecStart=/bin/sh -c "echo first; sleep 1; echo second >&2; sleep 2; echo third; sleep 99"\\n' > ${units}/${unit}
ln -sf ${units}/${unit} /etc/systemd/system/${unit}
systemctl daemon-reload && systemctl start ${unit} && sleep 1.5`);
  });
  after(() => machine?.look(`systemctl stop ${unit}; rm -r /etc/systemd/system/${unit} ${units}`));

  /** What the unit itself said, until this word or the end. */
  async function said(follow: boolean, last?: string): Promise<string[]> {
    const words: string[] = [];
    const stop = new AbortController();
    const options = { since: 0, follow, signal: stop.signal };
    for await (const { name, text, time } of readLogs(stack, [member], options)) {
      assert.equal(name, "cache-1");
      assert.match(time, /^20\d\d-.*\.\d{6}000Z$/);
      const [, word] = /^sh\[\d+\]: (.*)$/.exec(text) ?? [];
      if (word !== undefined) words.push(word);
      if (word === last && last !== undefined) break;
    }
    stop.abort();
    return words;
  }

  it("W9: are all that its units have said, with the time", async () => {
    const words = await said(false);
    assert.deepEqual(words.slice(0, 2), ["first", "second"]);
  });

  it("W9: go on while they are followed, and leave nothing running there", async () => {
    assert.deepEqual(await said(true, "third"), ["first", "second", "third"]);
    assert.equal(await machine.look("sleep 1; pgrep -a journalctl || :"), "");
  });

  it("W9: of a machine that does not answer are one line that says so", async () => {
    const texts: string[] = [];
    const wrong = { ...stack.settings.machines?.[0], port: 1 };
    const lost = { ...stack, settings: { ...stack.settings, machines: [wrong] } } as OperatedStack;
    const { signal } = new AbortController();
    const options = { since: 0, follow: false, signal };
    for await (const { text } of readLogs(lost, [member], options)) texts.push(text);
    assert.equal(texts.length, 1);
    assert.match(texts[0] ?? "", /its log cannot be read: .*Connection refused/);
  });
});
