/** What is made of a whole stack's answers, recorded while one thing after the other was broken. */
import assert from "node:assert/strict";
import { driftSubject, withDrift } from "../../../../operate/status/drift.ts";
import { exitStatus, type Picture } from "../../../../operate/status/picture.ts";
import { recordedPicture } from "./recorded-dev.ts";

describe("status of a whole stack", () => {
  /** All findings, as `STATE NAME: WHAT`. */
  const found = ({ subjects, members }: Picture) =>
    [...subjects, ...members].flatMap(({ name, findings }) =>
      findings.map(({ state, what }) => `${state} ${name}: ${what}`),
    );
  const marksOf = ({ members }: Picture, name: string) =>
    members.find((one) => one.name === name)?.marks;
  const is = ({ subjects }: Picture, name: string) => subjects.find((one) => one.name === name)?.is;

  it("O1: finds nothing where all is as promised, and knows who does what", () => {
    const picture = recordedPicture("whole");
    assert.deepEqual(found(picture), []);
    assert.equal(exitStatus(picture), 0);
    assert.deepEqual(marksOf(picture, "lb-1")?.holds, ["frontend", "backend"]);
    assert.deepEqual(marksOf(picture, "lb-2")?.holds, []);
    assert.ok(marksOf(picture, "lb-1")?.sendsTo?.includes("admin-2"));
    assert.equal(marksOf(picture, "db-1")?.database, "primary");
    assert.equal(marksOf(picture, "db-2")?.database, "synchronous standby");
    assert.equal(marksOf(picture, "etcd-1")?.leader, true);
    assert.equal(marksOf(picture, "storefront-1")?.release, "fcc210e4a787");
    assert.equal(is(picture, "operations"), "none under way");
  });

  const broken: readonly [state: string, ...found: string[]][] = [
    ["lb-killed", "unreachable lb-1: its container does not run"],
    [
      "haproxy-stopped",
      "down balancers: the frontend's address 172.28.10.100 is held by nobody",
      "down balancers: the backend's address 172.28.11.100 is held by nobody",
      ...["lb-1", "lb-2"].flatMap((name) => [
        `down ${name}: HAProxy takes connections and answers nothing: it hangs`,
        `degraded ${name}: keepalived is in the state FAULT: the addresses cannot come here`,
      ]),
    ],
    ["standby-paused", "unreachable db-2: its container is paused"],
    [
      "etcd-two-paused",
      "degraded database: failsafe mode: the primary serves on without etcd, and none replaces it",
      "down etcd: no quorum: 1 of 3 members answer; nobody can become primary, a primary serves on",
      "degraded etcd-1: it has no leader",
      "unreachable etcd-2: its container is paused",
      "unreachable etcd-3: its container is paused",
    ],
    ["cache-paused", "unreachable cache-1: its container is paused"],
    ["instance-killed", "unreachable admin-1: its container does not run"],
    [
      "primary-killed",
      "down balancers: no primary to send writes to, at lb-1 and lb-2",
      "down database: no primary answers: writes wait; etcd names db-2",
      "unreachable db-1: its container does not run",
    ],
  ];
  for (const [state, ...expected] of broken)
    it(`O1: names what is broken and nothing else: ${state}`, () => {
      const picture = recordedPicture(state);
      assert.deepEqual(found(picture).toSorted(), expected.toSorted());
      assert.equal(exitStatus(picture), 1);
    });

  it("O1: says who drained or paused something, as the journal tells, and how to end it", () => {
    const drained = recordedPicture("lb-drained");
    assert.deepEqual(found(drained), [
      "degraded lb-1: the process keepalived is stopped (drain lb-1 by root@vm, 2026-11-27 17:44 UTC)",
    ]);
    const lb = drained.members.find(({ name }) => name === "lb-1");
    assert.equal(lb?.findings[0]?.fix, "npm run undrain -- lb-1");
    assert.deepEqual(marksOf(drained, "lb-2")?.holds, ["frontend", "backend"]);
    assert.deepEqual(found(recordedPicture("paused")), [
      "degraded database: automatic failover is paused (pause by root@vm, 2026-11-27 18:03 UTC)",
    ]);
  });

  it("O1: tells what was changed by hand where it was looked for, and that it was not", () => {
    const whole = recordedPicture("whole");
    assert.equal(is(withDrift(whole), "drift"), "not looked at here: npm run drift");
    assert.equal(exitStatus(withDrift(whole)), 0);
    const at = new Date("2026-11-27T18:00:00Z");
    const finding = { machine: "lb-1", what: "haproxy.cfg differs", fix: "npx pulumi up" };
    const json = (findings: object[]) =>
      JSON.stringify({ findings, unseen: [], remarks: [], compared: 120 });
    assert.equal(
      driftSubject(json([]), "", at).is,
      "nothing of 120 things changed by hand, at 18:00:00 UTC",
    );
    const changed = driftSubject(json([finding]), "", at);
    assert.equal(changed.state, "degraded");
    assert.match(changed.findings[0]?.what ?? "", /lb-1: haproxy.cfg differs/);
    const none = JSON.stringify({ findings: [], unseen: [], remarks: [], compared: 0 });
    assert.match(driftSubject(none, "", at).is, /^not looked at: no up/);
    assert.match(driftSubject("", "dev: another command works on it\n", at).is, /another command/);
  });
});
