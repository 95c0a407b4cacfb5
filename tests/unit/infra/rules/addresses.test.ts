import assert from "node:assert/strict";
import { addressProblems } from "../../../../infra/rules/addresses.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { generateMachines, type Machine } from "../../../../infra/topology.ts";
import { machineSettings, settingsWith, tiersOf } from "../../../support/unit/fixtures.ts";

const { network } = settingsWith();
const machine = (name: string, backend: string, frontend?: string): Machine => ({
  name,
  roles: [],
  backend,
  ...(frontend !== undefined && { frontend }),
});
const problemsOf = (...machines: readonly Machine[]) =>
  addressProblems({ ...machineSettings(), network }, machines).map(formatProblem);

describe("rules on addresses", () => {
  it("W5: refuse one address for two machines, and a machine on a virtual IP", () => {
    const problems = problemsOf(
      machine("node-1", "10.2.0.100"),
      machine("node-2", "10.2.0.62"),
      machine("node-3", "10.2.0.62"),
      machine("node-4", "10.2.0.64", "10.1.0.100"),
    );
    assert.deepEqual(problems, [
      "hastack:machines.node-4.frontend: 10.1.0.100 belongs to the virtual IP, use another",
      "hastack:machines.node-1.backend: 10.2.0.100 belongs to the virtual IP, use another",
      "hastack:machines.node-3.backend: 10.2.0.62 belongs to node-2, use another",
    ]);
  });

  it("W5: refuse a machine outside its subnet", () => {
    assert.deepEqual(problemsOf(machine("node-1", "10.9.0.5")), [
      "hastack:machines.node-1.backend: 10.9.0.5 is outside 10.2.0.0/24, use an address inside it",
    ]);
  });

  it("W5: refuse the network and the broadcast address", () => {
    assert.deepEqual(problemsOf(machine("node-1", "10.2.0.255", "10.1.0.0")), [
      "hastack:machines.node-1.frontend: 10.1.0.0 is the network address of 10.1.0.0/24, use another",
      "hastack:machines.node-1.backend: 10.2.0.255 is the broadcast address of 10.2.0.0/24, use another",
    ]);
  });

  it("N1: refuse a management address outside its subnet, and one for two machines", () => {
    const managed = { ...network, management: { subnet: "10.3.0.0/24" } };
    const at = (name: string, last: number, management: string) => ({
      ...machine(name, `10.2.0.${last}`),
      management,
    });
    const problems = addressProblems({ ...machineSettings(), network: managed }, [
      at("node-1", 1, "10.3.0.11"),
      at("node-2", 2, "10.3.0.11"),
      at("node-3", 3, "10.1.0.13"),
    ]);
    assert.deepEqual(problems.map(formatProblem), [
      "hastack:machines.node-2.management: 10.3.0.11 belongs to node-1, use another",
      "hastack:machines.node-3.management: 10.1.0.13 is outside 10.3.0.0/24, use an address inside it",
    ]);
  });

  it("take machines that each have addresses of their own", () => {
    const [one, two] = [machine("a", "10.2.0.1", "10.1.0.1"), machine("b", "10.2.0.254")];
    assert.deepEqual(problemsOf(one, two), []);
  });

  it("W5: refuse a virtual IP where the platform puts an instance", () => {
    const settings = settingsWith({
      network: { ...network, backend: { ...network.backend, vip: "10.2.0.73" } },
    });
    const problems = (instances: number) => {
      const third = {
        name: "worker",
        instances,
        poolSize: 1,
        drainSeconds: 3,
        stopGraceSeconds: 9,
      };
      const machines = generateMachines(settings, [...tiersOf(settings), third]);
      return addressProblems(settings, machines).map(formatProblem);
    };
    assert.deepEqual(problems(2), []);
    assert.deepEqual(problems(3), [
      "hastack:network.backend.vip: 10.2.0.73 is the address of worker-3, use another",
    ]);
  });
});
