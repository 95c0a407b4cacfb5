import assert from "node:assert/strict";
import { parseFacts } from "../../../../infra/platform/ssh/facts.ts";
import { renderEtcd } from "../../../../infra/render/etcd.ts";
import { renderKeepalived } from "../../../../infra/render/keepalived.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { runningIn, runningProblems } from "../../../../infra/rules/running.ts";
import { first, planWith, settingsWith } from "../../../support/unit/fixtures.ts";

const { settings, topology } = planWith();
const files = [
  renderEtcd(topology, first(topology.members.quorum)),
  renderKeepalived(settings, topology, first(topology.members.loadBalancer)),
];
const refused = (changes: object, quorum = 3, there = files) =>
  runningProblems(settingsWith({ ...changes }), quorum, runningIn(there)).map(formatProblem);

describe("rules on what a stack that runs cannot change", () => {
  it("reads it from the members' own files", () =>
    assert.deepEqual(runningIn(files), { quorum: 3, virtual: ["10.2.0.100", "10.1.0.100"] }));

  it("hears it of a machine in the same words", () => {
    const said =
      "running initial-cluster: etcd-1=https://a,etcd-2=https://b\nrunning     10.2.0.100/32 dev $X\n";
    assert.deepEqual(runningIn(parseFacts(said).running ?? []), {
      quorum: 2,
      virtual: ["10.2.0.100"],
    });
  });

  it("W5: take what is as it was, and anything where nothing runs yet", () => {
    assert.deepEqual(refused({}), []);
    assert.deepEqual(refused({ members: { quorum: 5 } }, 5, []), []);
  });

  it("W5: refuse a quorum of another size, larger or smaller", () => {
    const why = "is not what runs: etcd runs with 3 members, and none can be added or removed yet";
    assert.deepEqual(refused({}, 5), [
      `hastack:members.quorum: 5 ${why}, use 3, or destroy the stack first`,
    ]);
    const five = planWith({ members: { quorum: 5 } }).topology;
    assert.match(
      refused({}, 3, [renderEtcd(five, first(five.members.quorum))]).join(),
      /members.quorum: 3 is not what runs: etcd runs with 5 members/,
    );
    const machines = { ...settings, platform: "ssh" as const };
    assert.deepEqual(runningProblems(machines, 5, runningIn(files)).map(formatProblem), [
      "hastack:machines: role quorum is on 5 machines: etcd runs with 3 members, and none can be added or removed yet, give 3 machines the role, or destroy the stack first",
    ]);
  });

  it("W5: refuse another virtual address, in either network", () => {
    const network = {
      frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.99" },
      backend: { subnet: "10.2.0.0/24", vip: "10.2.0.98" },
    };
    const why = (there: string) =>
      `is not ${there}, where the stack is served: it would be reached by neither for a while, use ${there}, or destroy the stack first`;
    assert.deepEqual(refused({ network }), [
      `hastack:network.frontend.vip: 10.1.0.99 ${why("10.1.0.100")}`,
      `hastack:network.backend.vip: 10.2.0.98 ${why("10.2.0.100")}`,
    ]);
  });
});
