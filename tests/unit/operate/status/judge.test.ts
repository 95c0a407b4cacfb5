/**
 * What is made of answers that real programs gave: etcd 3.5.16, Patroni 4.0.7, HAProxy 3.0 and keepalived
 * 2.3.3, each as the stack runs it, asked by the script. Their networks are those of the fixture.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { inRoot } from "../../../../lib/paths.ts";
import type { Answer, Answers } from "../../../../operate/status/ask.ts";
import { exitStatus, type Picture } from "../../../../operate/status/picture.ts";
import { columns, textOf } from "../../../../operate/status/report.ts";
import { judge, questionsTo, type Said } from "../../../../operate/status/status.ts";
import { planWith } from "../../../support/unit/fixtures.ts";
import { showStat } from "../show-stat.ts";

type Recorded = Readonly<Record<string, Readonly<Record<string, Answers>>>>;
const recorded: Recorded = JSON.parse(
  readFileSync(inRoot("tests/unit/operate/status/recorded.json"), "utf8"),
);

/** The certificates end in August 2027. */
const well = new Date("2027-05-01T12:00:00Z");

describe("status of a stack", () => {
  const stack = { name: "test", ...planWith() };
  const said = (text: string, code = 0): Answer => ({ code, text });
  const unreachable = (why: string): Said => ({ unreachable: why });

  /** Everything as promised: members that were not recorded answer as their programs do. */
  function whole(): Map<string, Said> {
    const all = { ...recorded["etcd: well"], ...recorded["lb: well"], ...recorded["db: well"] };
    const machines = new Map<string, Said>(Object.entries(all));
    for (const name of ["lb-1", "lb-2"]) change(machines, name, { haproxy: said(haproxy()) });
    const certificates = all["etcd-1"]?.["etcd-1.certificates"] ?? said("");
    const operations = said(JSON.stringify({ answers: [{}, {}, {}] }));
    for (const name of ["db-1", "db-2"]) change(machines, name, { operations });
    const disk = all["etcd-1"]?.disk ?? said("");
    machines.set("cache-1", {
      disk,
      "cache-1.ping": said("PONG\n"),
      "cache-1.processes": said("valkey up\n"),
      "cache-1.certificates": certificates,
    });
    for (const tier of ["storefront", "admin"])
      for (const name of [`${tier}-1`, `${tier}-2`])
        machines.set(name, {
          disk,
          [`${name}.health`]: said('{"status":"ok","release":"0123456789ab"}\n200'),
          [`${name}.release`]: said('HASTACK_RELEASE="0123456789ab"\n'),
          [`${name}.processes`]: said(`${tier}-proxy up\n${tier} up\n`),
          [`${name}.certificates`]: certificates,
          [`${name}.mount-uploads`]: said(""),
        });
    return machines;
  }

  const haproxy = (stat = showStat) => `Maxconn: 4000\nCurrConns: 12\n\n${stat}`;

  function change(machines: Map<string, Said>, name: string, to: Answers): void {
    const own = Object.entries(to).map(([question, answer]) => [`${name}.${question}`, answer]);
    machines.set(name, { ...(machines.get(name) as Answers), ...Object.fromEntries(own) });
  }

  const look = (machines: Map<string, Said>, at = well) => judge(stack, machines, at, 0.5);

  /** The same, with what was recorded of one state in place of the members' own. */
  function during(state: string): Picture {
    const machines = whole();
    for (const [name, answers] of Object.entries(recorded[state] ?? {}))
      machines.set(name, { ...(machines.get(name) as Answers), ...answers });
    return look(machines);
  }

  const member = ({ members }: Picture, name: string) => {
    const found = members.find((one) => one.name === name);
    assert.ok(found);
    return found;
  };
  const subject = ({ subjects }: Picture, name: string) => {
    const found = subjects.find((one) => one.name === name);
    assert.ok(found);
    return found;
  };
  const found = ({ findings }: Pick<Picture["members"][number], "findings">) =>
    findings.map(({ state, what }) => `${state}: ${what}`);

  it("O1: is ok where all is as promised, and says who is what", () => {
    const picture = look(whole());
    assert.deepEqual(picture.members.flatMap(found), []);
    assert.deepEqual(picture.subjects.flatMap(found), []);
    assert.equal(picture.state, "ok");
    assert.equal(exitStatus(picture), 0);
    assert.equal(
      subject(picture, "balancers").is,
      "frontend 10.1.0.100 at lb-1, backend 10.2.0.100 at lb-1",
    );
    assert.equal(subject(picture, "database").is, "primary db-1, synchronous standby db-2");
    assert.equal(subject(picture, "etcd").is, "3 of 3 members healthy, leader etcd-1");
    assert.match(member(picture, "db-2").is, /^synchronous standby, streaming, 0 B behind/);
    assert.match(subject(picture, "certificates").is, /in 120 days$/);
  });

  it("O1: asks every machine for all that it judges", () => {
    for (const [machine, answers] of whole()) {
      const asked = questionsTo(stack, machine).map(({ name }) => name);
      for (const name of Object.keys(answers)) assert.ok(asked.includes(name), name);
      for (const name of asked) assert.ok(name in answers, name);
    }
  });

  it("O1: names an etcd member that hangs, beside a quorum that holds", () => {
    const picture = during("etcd: one hangs");
    assert.deepEqual(found(member(picture, "etcd-1")), [
      "down: etcd takes connections and answers nothing: it hangs",
    ]);
    assert.equal(subject(picture, "etcd").state, "degraded");
    assert.equal(subject(picture, "etcd").is, "2 of 3 members healthy, leader etcd-3");
    assert.equal(exitStatus(picture), 1);
  });

  it("O1: says that there is no quorum, and what of etcd still answers", () => {
    const picture = during("etcd: no quorum");
    assert.match(found(subject(picture, "etcd")).join(), /^down: no quorum: 1 of 3 members answer/);
    assert.match(found(member(picture, "etcd-1")).join("\n"), /the process etcd is down/);
    assert.deepEqual(found(member(picture, "etcd-3")), ["degraded: it has no leader"]);
  });

  /** As their supervisor tells it of members whose processes do not run. */
  function withProcesses(state: string, keep: (name: string) => boolean): Map<string, Said> {
    const machines = whole();
    for (const [name, answers] of machines) {
      if (!keep(name)) continue;
      const { text } = (answers as Answers)[`${name}.processes`] ?? said("");
      const { disk, [`${name}.certificates`]: certificates } = answers as Answers;
      machines.set(name, {
        ...(disk && { disk }),
        ...(certificates && { [`${name}.certificates`]: certificates }),
        [`${name}.processes`]: said(text.replaceAll(/ \w+$/gm, ` ${state}`)),
      });
    }
    return machines;
  }

  it("O1: says of a stack that was stopped only that, and what starts it", () => {
    const picture = look(withProcesses("held", () => true));
    assert.deepEqual(picture.members.flatMap(found), []);
    assert.deepEqual(
      picture.subjects.flatMap(({ findings }) => findings).map(({ what, fix }) => [what, fix]),
      [["the whole stack is stopped, by npm run stop; all its data is there", "npm run resume"]],
    );
    assert.deepEqual([...new Set(picture.members.map(({ is }) => is))], ["stopped"]);
    assert.equal(picture.state, "down");
    assert.equal(exitStatus(picture), 1);
  });

  it("O1: says of a stopped stack whose machine is lost that, too", () => {
    const machines = withProcesses("held", () => true);
    machines.set("etcd-2", unreachable("no route to host"));
    const picture = look(machines);
    assert.deepEqual(picture.members.flatMap(found), ["unreachable: no route to host"]);
    assert.deepEqual(picture.subjects.flatMap(found).length, 1);
  });

  it("O1: takes no stack for stopped whose processes have died, or of which a part is stopped", () => {
    for (const machines of [
      withProcesses("down", () => true),
      withProcesses("held", (name) => !name.startsWith("etcd")),
      withProcesses("held", (name) => name !== "etcd-3"),
    ]) {
      const { subjects, members } = look(machines);
      assert.doesNotMatch(subjects.flatMap(found).join(), /the whole stack is stopped/);
      assert.ok(members.flatMap(found).length > 4);
    }
  });

  it("O1: says that there is no primary while its Patroni hangs", () => {
    const picture = during("db: patroni hangs");
    assert.deepEqual(found(subject(picture, "database")), [
      "down: no primary answers: writes wait; etcd still names db-1",
    ]);
    assert.deepEqual(found(member(picture, "db-1")), [
      "down: Patroni takes connections and answers nothing: it hangs",
    ]);
  });

  it("O1: says that the primary has no standby", () => {
    const picture = during("db: standby stopped");
    assert.equal(subject(picture, "database").is, "primary db-1, synchronous standby none");
    assert.match(found(member(picture, "db-2")).join("\n"), /down: the process patroni is down/);
    assert.deepEqual(found(member(picture, "db-1")), []);
  });

  it("O1: tells a primary that serves on without etcd from one that is well", () => {
    const picture = during("db: no etcd");
    assert.match(found(subject(picture, "database")).join(), /^degraded: failsafe mode/);
    assert.match(found(member(picture, "db-1")).join(), /not heard etcd for 29 s/);
    assert.equal(subject(picture, "database").is, "primary db-1, synchronous standby none");
  });

  it("O1: tells a HAProxy that hangs, before and after the addresses have moved", () => {
    const before = during("lb: haproxy hangs");
    assert.deepEqual(found(member(before, "lb-1")), [
      "down: HAProxy takes connections and answers nothing: it hangs",
    ]);
    const after = during("lb: haproxy hangs, later");
    assert.match(found(member(after, "lb-1")).join("\n"), /keepalived is in the state FAULT/);
    assert.match(subject(after, "balancers").is, /frontend 10\.1\.0\.100 at lb-2/);
    assert.deepEqual(found(subject(after, "balancers")), []);
  });

  it("O1: says that nobody holds the addresses, or that both do", () => {
    assert.deepEqual(found(subject(during("lb: nobody"), "balancers")), [
      "down: the frontend's address 10.1.0.100 is held by nobody",
      "down: the backend's address 10.2.0.100 is held by nobody",
    ]);
    const both = whole();
    const first = both.get("lb-1") as Answers;
    change(both, "lb-2", { vrrp: first["lb-1.vrrp"] ?? said("") });
    assert.match(found(subject(look(both), "balancers")).join(), /is held by lb-1 and lb-2/);
  });

  it("O1: does not say that nobody holds an address that a silent one may hold", () => {
    const machines = whole();
    machines.set("lb-1", unreachable("Container hastack-test-lb-1 is paused"));
    const picture = look(machines);
    assert.match(found(subject(picture, "balancers")).join(), /\(lb-1 may hold it\)/);
    assert.equal(member(picture, "lb-1").state, "unreachable");
    assert.equal(member(picture, "lb-1").findings[0]?.fix, "docker unpause hastack-test-lb-1");
  });

  it("O1: shows who is drained, and who gets no requests", () => {
    const machines = whole();
    const stat = showStat.replace(/^(storefront,storefront-2(?:,[^,]*){15},)UP/m, "$1DRAIN");
    const down = stat.replace(/^(storefront,storefront-1(?:,[^,]*){15},)UP/m, "$1DOWN");
    for (const name of ["lb-1", "lb-2"]) change(machines, name, { haproxy: said(haproxy(down)) });
    const picture = look(machines);
    assert.deepEqual(found(member(picture, "storefront-2")), [
      "degraded: it is drained (DRAIN), at lb-1 and lb-2",
    ]);
    assert.match(found(member(picture, "storefront-1")).join(), /gets no requests: DOWN/);
    assert.equal(
      member(picture, "storefront-2").findings[0]?.fix,
      "npm run undrain -- storefront-2",
    );
  });

  it("O1: shows instances of two releases, and one that runs another than its files say", () => {
    const machines = whole();
    change(machines, "admin-2", { release: said('HASTACK_RELEASE="ba9876543210"\n') });
    const picture = look(machines);
    assert.match(found(subject(picture, "application")).join(), /instances run 2 releases/);
    assert.match(found(member(picture, "admin-2")).join(), /answers as another release/);
  });

  it("O1: shows what is not healthy, not mounted, silent, full, or about to end", () => {
    const machines = whole();
    change(machines, "admin-1", { health: said("{}\n503") });
    change(machines, "admin-2", { "mount-uploads": said("", 124) });
    change(machines, "cache-1", { ping: said("", 1) });
    const full = said(
      "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/a 9 9 0 96% /\n",
    );
    machines.set("db-2", { ...(machines.get("db-2") as Answers), disk: full });
    const picture = look(machines);
    assert.match(found(member(picture, "admin-1")).join(), /says 503/);
    assert.match(found(member(picture, "admin-2")).join(), /uploads does not answer/);
    assert.deepEqual(found(member(picture, "cache-1")), ["down: it does not answer PONG"]);
    assert.deepEqual(found(subject(picture, "disks")), ["degraded: db-2: / is 96 % full"]);
    const certificates = ["etcd-1", "etcd-2"]
      .map((name) => (whole().get(name) as Answers)[`${name}.certificates`]?.text ?? "")
      .join("\n");
    const ending = whole();
    change(ending, "etcd-1", { certificates: said(certificates) });
    const late = look(ending, new Date("2027-08-22T12:00:00Z"));
    assert.match(found(member(late, "etcd-1")).join(), /ends in 7 days \(2027-08-30\), and 1 more/);
    change(ending, "etcd-1", { certificates: said("", 124) });
    assert.deepEqual(found(member(look(ending), "etcd-1")), [
      "unknown: its certificates cannot be told",
    ]);
  });

  it("O1: tells what could not be told from what is not well", () => {
    const silent = whole();
    change(silent, "admin-1", { release: said("") });
    assert.equal(exitStatus(look(silent)), 2);
    const none = new Map([...whole().keys()].map((name) => [name, unreachable("no route")]));
    assert.equal(exitStatus(look(none)), 2);
    assert.equal(subject(look(none), "application").state, "unreachable");
    const one = whole().set("etcd-2", unreachable("No such container: hastack-test-etcd-2"));
    assert.equal(exitStatus(look(one)), 1);
  });

  it("O1: tells of a stack that is not there that it is not, and how it comes to be", () => {
    const none = new Map(
      [...whole().keys()].map((name) => [
        name,
        unreachable(`No such container: hastack-test-${name}`),
      ]),
    );
    const picture = look(none);
    assert.equal(exitStatus(picture), 2);
    const text = textOf(picture, false);
    assert.match(text, /^stack +down +not there$/m);
    assert.match(
      text,
      /^down stack: none of its containers is there: .*\n.*\n {2}to do: npm start -- --stack test$/m,
    );
    assert.doesNotMatch(text, /No such container/);
    const absent = none.set("etcd-3", unreachable("it is absent"));
    assert.match(textOf(look(absent), false), /none of its containers is there/);
  });

  it("O1: fits on a screen, in colour only on a terminal", () => {
    for (const state of Object.keys(recorded)) {
      const text = textOf(during(state), false);
      const lines = text.split("\n");
      assert.ok(
        lines.every((line) => line.length <= columns),
        text,
      );
      assert.ok(!text.includes("\u001b"));
      const painted = textOf(during(state), true);
      assert.ok(painted.includes("\u001b[32mok"));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
      assert.equal(painted.replaceAll(/\u001b\[\d+m/g, ""), text);
    }
    assert.ok(textOf(look(whole()), false).split("\n").length <= 24);
  });
});
