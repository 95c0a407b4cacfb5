/** A member that somebody has taken over answers whatever he likes: the others are seen all the same. */
import assert from "node:assert/strict";
import { readServers } from "../../../../operate/act/balancers.ts";
import { encoded } from "../../../../operate/act/store.ts";
import { type Answer, type Answers, readAnswers } from "../../../../operate/status/ask.ts";
import { readCertificates, readDisks } from "../../../../operate/status/common.ts";
import { textOf } from "../../../../operate/status/report.ts";
import { judge, questionsTo, type Said } from "../../../../operate/status/status.ts";
import { recordedAnswers, recordedStack } from "./recorded-dev.ts";

/** Of this process, whatever else the machine does. */
const cpuSeconds = () => process.cpuUsage().user / 1e6;

describe("status of a stack with a member that lies", function () {
  this.timeout(60_000);
  const { at, machines } = recordedAnswers("whole");
  const look = (said: ReadonlyMap<string, Said>) => judge(recordedStack, said, at, 1);
  const well = look(machines);

  const kept = (value: unknown) => ({
    kvs: [{ key: encoded("k"), value: encoded(JSON.stringify(value)) }],
  });
  const broken = { toString: 1, valueOf: 1 };
  const values = [
    null,
    5,
    "x",
    [],
    [null],
    { members: [null] },
    { members: 5, pause: broken },
    { state: "running", role: broken, timeline: broken, sync_standby: broken },
    { header: { member_id: broken }, leader: broken, dbSize: broken, errors: 5 },
    { answers: [null, null, null] },
    { answers: 5 },
    { answers: [kept(null), kept(5), kept("x")] },
    { answers: [kept({ operator: broken, id: "z" }), {}, kept({ what: broken, since: 5 })] },
    { answers: [{ kvs: [null] }, { kvs: 5 }, { kvs: [{ key: 5, value: broken }] }] },
  ].map((value) => JSON.stringify(value));
  const texts = [
    "",
    "\u001b[2J",
    "drain",
    "MASTER\u001b]0;x",
    "file x\n-----BEGIN CERTIFICATE-----",
  ];

  it("O1: tells of all others what it told before, whatever one of them answers", () => {
    for (const [machine, answers] of machines)
      for (const { name } of questionsTo(recordedStack, machine))
        for (const text of [...values, ...texts]) {
          const lie: Answers = { ...(answers as Answers), [name]: { code: 0, text } };
          const picture = look(new Map([...machines, [machine, lie]]));
          const others = ({ members }: typeof picture) =>
            members.filter((one) => one.machine !== machine).map(({ name, is }) => [name, is]);
          assert.deepEqual(others(picture), others(well), `${name}: ${text}`);
          assert.ok(!JSON.stringify(picture).includes("\\u001b"));
          assert.ok(!textOf(picture, false).includes("\u001b"));
        }
  });

  it("O1: is no longer than a screen for long, whatever one of them answers", () => {
    const errors = Array.from(
      { length: 10_000 },
      (_, index) => `alarm ${index} ${"x".repeat(100)}`,
    );
    const status = JSON.stringify({ header: { member_id: "1" }, leader: "1", errors });
    const lie: Answers = {
      ...(machines.get("etcd-1") as Answers),
      "etcd-1.status": { code: 0, text: status },
    };
    const text = textOf(look(new Map([...machines, ["etcd-1", lie]])), false);
    assert.ok(text.split("\n").length < 150, `${text.split("\n").length} lines`);
    assert.match(text, /and 99\d\d more/);
  });

  it("O1: takes seconds at most, however much one of them answers", () => {
    const heads = {
      haproxy: "# pxname,svname\n",
      processes: "",
      vrrp: "MASTER\n",
      certificates: "",
    };
    const parts = ["a,b\n", "a down\n", " inet 1/", "file x\n-----BEGIN CERTIFICATE-----\n"];
    for (const [name, head] of Object.entries(heads))
      for (const part of parts)
        for (const size of [780_000, 4_000_000]) {
          const text = `${head}${part.repeat(size / part.length)}\n0`;
          const answers = readAnswers(`lb-1.${name} ${Buffer.from(text).toString("base64")}\n`);
          assert.equal(Object.keys(answers).length, size < 1e6 ? 1 : 0);
          const lie = { ...(machines.get("lb-1") as Answers), ...answers };
          const started = cpuSeconds();
          look(new Map([...machines, ["lb-1", lie]]));
          const seconds = cpuSeconds() - started;
          assert.ok(seconds < 3, `${name}, ${JSON.stringify(part)}: ${seconds} s`);
        }
  });

  it("O1: takes no longer for megabytes of answers that are made to take long", () => {
    const answer = (text: string): Answer => ({ code: 0, text });
    const started = cpuSeconds();
    readCertificates(answer("file x\n-----BEGIN CERTIFICATE-----\n".repeat(50_000)));
    readDisks(answer(Array.from({ length: 50_000 }, (_, at) => `d 1 1 1 91% /${at}\n`).join("")));
    readServers(`# ${"a,".repeat(50_000)}\n${"b\n".repeat(50_000)}`);
    const seconds = cpuSeconds() - started;
    assert.ok(seconds < 4, `${seconds} s`);
  });
});
