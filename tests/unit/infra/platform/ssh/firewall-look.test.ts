import assert from "node:assert/strict";
import { flowsOf } from "../../../../../infra/components/firewall.ts";
import { planTopology } from "../../../../../infra/plan.ts";
import { type Facts, parseFacts } from "../../../../../infra/platform/ssh/facts.ts";
import {
  firewallWarnings,
  timesMended,
  wayProblems,
} from "../../../../../infra/platform/ssh/firewall-look.ts";
import { formatProblem } from "../../../../../infra/rules/problem.ts";
import {
  agency,
  applicationWith,
  first,
  hostKeyOf,
  machineSettings,
} from "../../../../support/unit/fixtures.ts";

const metrics = { what: "metrics", port: 9100, from: ["192.0.2.0/24"] };
const ssh = (text: string) => ({ sshConnection: text });

/** The shipped stack's first load balancer, with what was seen there. */
function seen(lines: string, more: Partial<Facts> = {}, changes = {}) {
  const settings = machineSettings(changes);
  const application = applicationWith(agency, settings);
  const topology = planTopology(settings, application.tiers);
  const target = {
    name: "lb-1",
    address: "172.30.12.11",
    port: 22,
    user: "deploy",
    hostKey: hostKeyOf("lb-1"),
  };
  const one = {
    target,
    machine: first(topology.machines),
    facts: { ...parseFacts(lines), ...more },
  };
  return {
    warnings: firewallWarnings(settings, topology, flowsOf(application), one).map((problem) =>
      formatProblem(problem).replace("machine lb-1 (deploy@172.30.12.11): ", ""),
    ),
    way: wayProblems(settings, one).map(({ why, fix }) => `${why}, ${fix}`),
    mended: timesMended(one.facts),
  };
}

const listening = `listenersSeen
listener LISTEN 0 4096 0.0.0.0:9100 0.0.0.0:* users:(("node_exporter",pid=7,fd=3))
listener LISTEN 0 4096 [::]:9100 [::]:* users:(("node_exporter",pid=7,fd=4))
listener LISTEN 0 4096 127.0.0.1:25 0.0.0.0:* users:(("master",pid=8,fd=3))
listener LISTEN 0 4096 0.0.0.0:2222 0.0.0.0:* users:(("sshd",pid=9,fd=3))
listener LISTEN 0 4096 172.30.10.11:80 0.0.0.0:* users:(("haproxy",pid=10,fd=3))
udpListener UNCONN 0 0 0.0.0.0:161 0.0.0.0:* users:(("snmpd",pid=11,fd=3))
udpListener UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:(("dhclient",pid=12,fd=3))
udpListener UNCONN 0 0 0.0.0.0:48213 0.0.0.0:* users:(("chronyd",pid=13,fd=3))
`;

describe("what a preview says of a machine's firewall", () => {
  it("N2: names what nothing will reach any more, with what to write", () => {
    assert.deepEqual(seen(listening).warnings, [
      "nothing will reach port 9100 (node_exporter) any more, name it in hastack:firewall.admit if somebody is to: { what: node_exporter, port: 9100, from: [SUBNET] }",
      "nothing will reach UDP port 161 (snmpd) any more, name it in hastack:firewall.admit if somebody is to: { what: snmpd, port: 161, protocol: udp, from: [SUBNET] }",
    ]);
  });

  it("N2: names it no more once it is let in, or was there when the rules were applied", () => {
    const admitted = seen(listening, {}, { firewall: { admit: [metrics] } }).warnings;
    assert.equal(admitted.filter((one) => one.includes("9100")).length, 0);
    const later = seen(`${listening}firewall\nknownDoor tcp 9100\nknownDoor udp 161\n`);
    assert.deepEqual(later.warnings, []);
  });

  it("N2: names other firewalls that drop what they do not know", () => {
    const chains = `chain table inet filter {
chain 	chain input {
chain 		type filter hook input priority filter; policy drop;
chain 	}
chain table inet hastack {
chain 	chain input {
chain 		type filter hook input priority filter; policy drop;
chain table ip nat {
chain 	chain PREROUTING {
chain 		type nat hook prerouting priority dstnat; policy accept;
iptables -P INPUT DROP
`;
    assert.deepEqual(
      seen(chains).warnings.map((one) => one.replace(/ drops.*/, "")),
      ["its own firewall (table inet filter)", "its own firewall (iptables)"],
    );
    assert.deepEqual(seen("iptables -P INPUT ACCEPT\n").warnings, []);
  });

  it("N2: says that it was found open, and has up mend it once", () => {
    const closed = seen("firewall\nfirewallMended 2\n");
    assert.deepEqual([closed.warnings, closed.mended], [[], 2]);
    const open = seen("firewall\nfirewallOpen\nfirewallMended 2\n");
    assert.equal(open.mended, 3);
    assert.match(
      open.warnings[0] ?? "",
      /other firewall rules are loaded than the stack's, or none/,
    );
    assert.equal(seen("").mended, 0);
  });

  it("N2: says that an up that failed has left doors open, and has the next one close them", () => {
    const half = seen("firewall\nfirewallFormer\nfirewallMended 2\n");
    assert.equal(half.mended, 3);
    assert.match(half.warnings[0] ?? "", /it still lets in what an up that failed has opened/);
  });

  it("N2: refuses before any change whoever would be locked out", () => {
    const at = (connection: string, changes = {}) => seen("", ssh(connection), changes).way;
    assert.deepEqual(at("172.30.12.1 40000 172.30.12.11 22"), []);
    assert.match(
      at("192.0.2.7 40000 172.30.12.11 22")[0] ?? "",
      /^your address 192\.0\.2\.7 is not in the management network 172\.30\.12\.0\/24, come from there/,
    );
    assert.match(
      at("2001:db8::7 40000 2001:db8::1 22")[0] ?? "",
      /^your address 2001:db8::7 is not/,
    );
    assert.match(
      at("172.30.12.1 40000 172.30.10.11 22")[0] ?? "",
      /^SSH reaches it at 172\.30\.10\.11, and will be let in at 172\.30\.12\.11 alone, let hastack:machines\.lb-1\.address lead/,
    );
    const admit = [{ what: "SSH from the office", port: 22, from: ["192.0.2.0/24"] }];
    assert.deepEqual(at("192.0.2.7 40000 172.30.10.11 22", { firewall: { admit } }), []);
  });
});
