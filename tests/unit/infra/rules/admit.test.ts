import assert from "node:assert/strict";
import { admitProblems } from "../../../../infra/rules/admit.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { givenMachines } from "../../../../infra/topology.ts";
import { machineSettings, refusal, tiersOf } from "../../../support/unit/fixtures.ts";

const one = { what: "node_exporter", port: 9100, from: ["192.0.2.0/24"] };
const problemsOf = (...admit: readonly object[]) => {
  const settings = machineSettings({ firewall: { admit } });
  return admitProblems(settings, tiersOf(settings), givenMachines(settings)).map(formatProblem);
};
const { port, ...without } = one;

describe("rules on what firewalls let in besides", () => {
  const refused: readonly (readonly [string, object, string])[] = [
    ["no port", without, "hastack:firewall.admit.0: has no port, give one of port and ports"],
    [
      "a port and a range",
      { ...one, ports: "1-2" },
      "hastack:firewall.admit.0: has port and ports, give one of port and ports",
    ],
    [
      "a range that ends before it begins",
      { ...without, ports: "7010-7000" },
      "hastack:firewall.admit.0.ports: 7010-7000 is no range of ports, use two of 1 to 65535, the lower one first",
    ],
    [
      "addresses of both kinds",
      { ...one, from: ["192.0.2.0/24", "2001:db8::/32"] },
      "hastack:firewall.admit.0.from: has IPv4 and IPv6 subnets, write two entries",
    ],
    [
      "IPv6 in a network of IPv4",
      { ...one, from: ["2001:db8::/32"], network: "backend" },
      "hastack:firewall.admit.0.from: 2001:db8::/32 is IPv6, and the backend network is IPv4, leave the network out",
    ],
    [
      "a machine that is not there",
      { ...one, machines: ["node-9"] },
      "hastack:firewall.admit.0.machines: node-9 is not in hastack:machines, remove it, or add it there",
    ],
    [
      "a machine that is not in the network",
      { ...one, network: "frontend", machines: ["db-1"] },
      "hastack:firewall.admit.0.machines: db-1 has no address in the frontend network, leave it out, or give it one",
    ],
    [
      "everybody at a port of the stack's own",
      { ...without, ports: "5000-6000", from: "everybody", machines: ["db-1"] },
      "hastack:firewall.admit.0: 5432 is a port of the role database, and would be open to everybody, name in from who is to reach it",
    ],
    [
      "the same, said as a subnet",
      { ...one, port: 5432, from: ["0.0.0.0/0"], machines: ["db-1"] },
      "hastack:firewall.admit.0: 5432 is a port of the role database, and would be open to everybody, name in from who is to reach it",
    ],
  ];
  for (const [what, admit, problem] of refused) {
    it(`N2: refuse ${what}`, () => assert.deepEqual(problemsOf(admit), [problem]));
  }

  it("N2: take what is none of the stack's, and named sources at what is", () => {
    const taken = [
      one,
      { ...one, from: "everybody" },
      { ...one, port: 8008, network: "backend", machines: ["db-1"] },
      { ...without, ports: "7000-7010", protocol: "udp", from: ["2001:db8::/32"] },
    ];
    assert.deepEqual(problemsOf(...taken), []);
  });

  it("N2: what is no subnet is told as such", () => {
    const of = (from: unknown) =>
      refusal(() => machineSettings({ firewall: { admit: [{ ...one, from }] } }));
    assert.match(of(["192.0.2.7"])[0] ?? "", /hastack:firewall\.admit\.0\.from/);
    assert.match(of("nobody")[0] ?? "", /must be a list of subnets/);
  });
});
