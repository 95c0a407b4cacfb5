import assert from "node:assert/strict";
import { machineProblems } from "../../../../infra/rules/machines.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import type { Machine } from "../../../../infra/topology.ts";
import { machineSettings, settingsWith } from "../../../support/unit/fixtures.ts";

const machine = (name: string, roles: readonly string[], frontend?: string): Machine => ({
  name,
  roles,
  backend: "10.2.0.61",
  ...(frontend !== undefined && { frontend }),
});
const unmanaged = settingsWith();
const { network } = machineSettings();
const managed = { network: { ...network, management: { subnet: "10.3.0.0/24" } } };
const problemsOf = (...machines: readonly Machine[]) =>
  machineProblems(unmanaged, machines).map(formatProblem);

describe("rules on machines that are listed", () => {
  const lost = "is a duplicate, and two members on one machine would be lost together";
  for (const role of ["database", "quorum", "brick"]) {
    it(`W5: refuse two members of the role ${role} on one machine`, () => {
      assert.deepEqual(problemsOf(machine("node-1", [role, role])), [
        `hastack:machines.node-1.roles: ${role} ${lost}, put them on two machines`,
      ]);
    });
  }

  it("W5: refuse another role or a tier that is named twice", () => {
    assert.deepEqual(problemsOf(machine("node-1", ["cache", "web", "cache", "web", "web"])), [
      "hastack:machines.node-1.roles: cache is a duplicate, name it once",
      "hastack:machines.node-1.roles: web is a duplicate, name it once",
    ]);
  });

  it("W5: refuse a load balancer that is not in the frontend", () => {
    assert.deepEqual(problemsOf(machine("node-1", ["loadBalancer"])), [
      "hastack:machines.node-1.frontend: is missing, and the role loadBalancer needs it, give the machine's address in the frontend network",
    ]);
    assert.deepEqual(problemsOf(machine("node-1", ["loadBalancer"], "10.1.0.11")), []);
    assert.deepEqual(problemsOf(machine("node-1", ["database", "web"])), []);
  });

  it("N2: refuse a management network that not every machine is in", () => {
    const inside = { ...machine("node-1", ["web"]), management: "10.3.0.11" };
    const outside = machine("node-2", ["web"]);
    assert.deepEqual(machineProblems(managed, [inside, outside]).map(formatProblem), [
      "hastack:machines.node-2.management: is missing, and hastack:network.management is given, give the machine's address in the management network",
    ]);
    assert.deepEqual(problemsOf(inside, outside), [
      "hastack:machines.node-1.management: 10.3.0.11 is in no network, give hastack:network.management, or leave it out",
    ]);
    assert.deepEqual(machineProblems(managed, [inside]), []);
    assert.deepEqual(problemsOf(outside), []);
  });

  it("W5: refuse a name for two machines, told once", () => {
    const three = ["node-1", "node-1", "node-1", "node-2"].map((name) => machine(name, ["web"]));
    assert.deepEqual(problemsOf(...three), [
      "hastack:machines.node-1.name: node-1 is a duplicate, use another",
    ]);
  });
});
