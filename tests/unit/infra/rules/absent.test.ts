import assert from "node:assert/strict";
import { absentProblems, absentWarnings } from "../../../../infra/rules/absent.ts";
import { singleInstanceWarnings } from "../../../../infra/rules/counts.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { givenMachines } from "../../../../infra/topology.ts";
import {
  machineSettings,
  planWith,
  refusal,
  settingsWith,
  tiersOf,
} from "../../../support/unit/fixtures.ts";
import { onMachines, onNfs } from "../../../support/unit/machine-stack.ts";

const refused = (absent: readonly string[], changes = {}) =>
  refusal(() => planWith({ absent, ...changes }));

describe("rules on machines that are absent", () => {
  it("W11: take what leaves a majority, a database member, a load balancer and an instance", () => {
    assert.deepEqual(refused(["db-2", "etcd-3", "lb-1", "storefront-2", "admin-1", "cache-1"]), []);
    assert.deepEqual(refused(["etcd-1", "etcd-5"], { members: { quorum: 5 } }), []);
    assert.deepEqual(refused(["node-2"], onMachines), []);
  });

  it("W11: refuse what leaves too little of anything, each with the machines and the fix", () => {
    const all = ["lb-1", "lb-2", "etcd-1", "etcd-2", "db-1", "db-2", "admin-1", "admin-2"];
    const fix = "bring one of them back first";
    assert.deepEqual(refused(all), [
      `hastack:absent: lb-1, lb-2 leaves no load balancer, ${fix}`,
      `hastack:absent: etcd-1, etcd-2 leaves etcd without a majority, ${fix}`,
      `hastack:absent: db-1, db-2 leaves no database member, ${fix}`,
      `hastack:absent: admin-1, admin-2 leaves the tier admin without an instance, ${fix}`,
    ]);
  });

  it("W11: refuse two of the three that keep shared files, and the one that serves them", () => {
    const settings = machineSettings();
    const machines = givenMachines(settings);
    const withRole = (role: string) =>
      machines.filter(({ roles }) => roles.includes(role)).map(({ name }) => name);
    const [brick = ""] = withRole("brick");
    const [arbiter = ""] = withRole("arbiter");
    const lines = absentProblems({ absent: [brick, arbiter] }, machines, tiersOf(settings));
    assert.match(lines.map(formatProblem).join("\n"), /leaves shared files without a majority/);
    assert.match(
      refused(["node-3"], { ...onMachines, ...onNfs }).join("\n"),
      /hastack:absent: node-3 leaves no shared files, bring it back first/,
    );
  });

  it("W11: refuse a name that is none, and one that is there twice", () => {
    assert.deepEqual(refused(["db-3", "db-2", "db-2"]), [
      "hastack:absent: db-3 is no machine of the stack, use one of lb-1, lb-2, etcd-1, etcd-2, etcd-3, db-1, db-2, cache-1, storefront-1, storefront-2, admin-1, admin-2",
      "hastack:absent: db-2 is there twice, name it once",
    ]);
  });

  it("W11: every preview tells of it, and of an instance that is alone", () => {
    const { settings, topology } = planWith({ absent: ["storefront-2", "db-2"] });
    assert.deepEqual(absentWarnings(topology).map(formatProblem), [
      "db-2: is absent: nothing of it is changed, take it out of hastack:absent when it is back, and run up before it is needed",
      "storefront-2: is absent: nothing of it is changed, and it gets no requests, take it out of hastack:absent when it is back, and run up before it is needed",
    ]);
    assert.deepEqual(singleInstanceWarnings(settings, topology).map(formatProblem), [
      "hastack:absent: leaves storefront-1 alone in the tier storefront: its requests fail while that is down, restarted or updated, have a new release wait for the others, or for a quiet hour",
    ]);
    assert.deepEqual(absentWarnings(planWith().topology), []);
    assert.deepEqual(settingsWith().absent, []);
  });
});
