import assert from "node:assert/strict";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { reachProblems } from "../../../../infra/rules/reach.ts";
import { hostKeyOf, settingsWith } from "../../../support/unit/fixtures.ts";

const known = { address: "192.0.2.11", hostKey: hostKeyOf("1") };
const problemsOf = (...machines: readonly object[]) =>
  reachProblems(
    settingsWith({
      platform: "ssh",
      machines: machines.map((values, index) => ({
        name: `node-${index + 1}`,
        backend: `10.2.0.${index + 11}`,
        roles: ["cache"],
        ...values,
      })),
    }),
  ).map(formatProblem);

describe("rules on how machines are reached", () => {
  it("W5: refuse machines of which too little is known, all at once", () => {
    assert.deepEqual(problemsOf({}, known, { hostKey: hostKeyOf("3") }), [
      "hastack:machines: node-1 and node-3 have no address, give it as `address`, there or in the inventory (hastack:ssh.inventory)",
      "hastack:machines: node-1 has no host key, collect it by npm run host-keys -- --stack test",
    ]);
  });

  it("W5: refuse a host key that is none", () => {
    assert.deepEqual(problemsOf({ ...known, hostKey: "SHA256:abc" }), [
      'hastack:machines.node-1.hostKey: "SHA256:abc" is not an SSH host key, use its type (ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa) and the key',
    ]);
  });

  it("W5: refuse two machines at one place, and one at a virtual IP", () => {
    assert.deepEqual(problemsOf(known, { ...known }, { ...known, address: "10.1.0.100" }), [
      "hastack:machines.node-2.address: 192.0.2.11 is the address of node-1, use another",
      "hastack:machines.node-3.address: 10.1.0.100 is a virtual IP, which moves, use the machine's own address",
    ]);
  });

  it("take two machines behind one address, by their ports", () => {
    assert.deepEqual(problemsOf(known, { ...known, port: 2222 }), []);
  });
});
