import assert from "node:assert/strict";
import { flowsOf } from "../../../../infra/components/firewall.ts";
import { planTopology } from "../../../../infra/plan.ts";
import { storageDriver } from "../../../../infra/platform/ssh/storage/storage.ts";
import { renderKeepalived } from "../../../../infra/render/keepalived.ts";
import { renderFirewall, sshPortsMark } from "../../../../infra/render/nftables.ts";
import type { Settings } from "../../../../infra/settings.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import {
  agency,
  applicationWith,
  machineSettings,
  threeMachines,
} from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";

/** The text of each machine of a stack, by its name. */
function textsOf(settings: Settings): ReadonlyMap<string, string> {
  const application = applicationWith(agency, settings);
  const topology = planTopology(settings, application.tiers);
  const flows = [...flowsOf(application), ...storageDriver(settings).flows(topology)];
  return new Map(
    topology.machines.map((machine) => [
      machine.name,
      renderFirewall(topology, flows, machine, settings.firewall.admit),
    ]),
  );
}

const smtp = { host: "mail.example", from: "shop@example.org" };
const seven = textsOf(machineSettings());
const admit = [
  { what: 'its "metrics"', port: 9100, from: ["192.0.2.0/24"], machines: ["node-3"] },
  { what: "voice", ports: "7000-7010", protocol: "udp", from: "everybody", network: "backend" },
  { what: "more metrics", port: 9100, from: ["2001:db8::/32"] },
];
const three = textsOf(machineSettings({ smtp, firewall: { admit } }, threeMachines()));

/** The rules that let something in on a machine. */
function rulesOf(texts: ReadonlyMap<string, string>, machine: string): string[] {
  const [, body = ""] = /chain flows \{\n(.*?)\n {2}\}/s.exec(texts.get(machine) ?? "") ?? [];
  return body.split("\n").map((line) => line.trim().replace(/ counter accept comment .*/, ""));
}

describe("a machine's firewall as text", () => {
  it("N2: lets in by own address, source and port what the machine's roles need", () => {
    assert.deepEqual(rulesOf(seven, "db-1"), [
      `ip daddr { 172.30.12.15 } ip saddr { 172.30.12.0/24 } tcp dport { ${sshPortsMark} }`,
      "ip daddr { 172.30.11.15 } ip saddr { 172.30.11.11, 172.30.11.100, 172.30.11.12 } tcp dport { 5432, 8008 }",
      "ip daddr { 172.30.11.15 } ip saddr { 172.30.11.16 } tcp dport { 5432, 8008 }",
      "ip daddr { 172.30.11.15 } ip saddr { 172.30.11.13, 172.30.11.14 } tcp dport { 5432, 8008 }",
    ]);
    assert.deepEqual(rulesOf(seven, "lb-1").slice(1), [
      "ip daddr { 172.30.10.11, 172.30.10.100 } tcp dport { 80, 443, 8404 }",
      "ip daddr { 172.30.10.11, 172.30.10.100 } ip saddr { 172.30.10.12, 172.30.10.100 } tcp dport { 80, 443 }",
      "ip daddr { 172.30.11.11 } ip saddr { 172.30.11.12 } ip protocol 112 ip ttl 255",
      "ip daddr { 172.30.11.11, 172.30.11.100 } ip saddr { 172.30.11.17 } tcp dport { 5000, 5001 }",
      "ip daddr { 172.30.11.11, 172.30.11.100 } ip saddr { 172.30.11.13, 172.30.11.14 } tcp dport { 5000, 5001, 2525 }",
    ]);
  });

  it("N2: lets nothing in by a network that the machine is not in", () => {
    const one = { what: "exporter", port: 9100, from: ["192.0.2.0/24"], network: "frontend" };
    const texts = textsOf(machineSettings({ firewall: { admit: [one] } }));
    assert.match(texts.get("lb-1") ?? "", /tcp dport \{ 9100 \}/);
    assert.doesNotMatch(texts.get("db-1") ?? "", /9100/);
  });

  it("N2: what is let in besides fits into nft's comment, in any alphabet", () => {
    const strange = { what: "\u00e9".repeat(100), port: 9100, from: ["192.0.2.0/24"] };
    const text = textsOf(machineSettings({ firewall: { admit: [strange] } })).get("db-1") ?? "";
    const [, comment = ""] = /tcp dport \{ 9100 \} counter accept comment "(.*)"/.exec(text) ?? [];
    assert.match(comment, /^\u00e9+$/);
    assert.ok(Buffer.byteLength(comment) <= 128);
  });

  it("L4, N1: lets keepalived's adverts in from where they are sent, and from nowhere else", () => {
    const settings = machineSettings();
    const topology = planTopology(settings, applicationWith(agency, settings).tiers);
    for (const self of topology.members.loadBalancer) {
      const text = renderKeepalived(settings, topology, self);
      const [, own] = /unicast_src_ip (\S+)/.exec(text) ?? [];
      const [, peers = ""] = /unicast_peer \{([^}]*)\}/.exec(text) ?? [];
      const from = peers.trim().replaceAll(/ .*/g, "").replaceAll(/\s+/g, ", ");
      assert.deepEqual(
        rulesOf(seven, self.machine).filter((rule) => rule.includes("protocol 112")),
        [`ip daddr { ${own} } ip saddr { ${from} } ip protocol 112 ip ttl 255`],
      );
    }
  });

  it("A5, D7: lets no tier into etcd, and nobody but load balancers into an instance", () => {
    for (const [machine, rules] of [...seven.keys()].map(
      (name) => [name, rulesOf(seven, name)] as const,
    )) {
      const into = (port: number) =>
        rules.filter((rule) => new RegExp(`dport .*\\b${port}\\b`).test(rule));
      for (const rule of into(3000))
        assert.match(
          rule,
          /saddr \{ 172\.30\.11\.11, 172\.30\.11\.100, 172\.30\.11\.12 \}/,
          machine,
        );
      for (const rule of into(2379))
        assert.doesNotMatch(rule, /saddr .*172\.30\.11\.1[12]\b/, machine);
    }
  });

  it("S2: lets machines with a tier and those with bricks into GlusterFS", () => {
    const [rule = ""] = rulesOf(seven, "witness-1").filter((one) => one.includes("24007"));
    assert.match(
      rule,
      /saddr \{ 172\.30\.11\.13, 172\.30\.11\.14 \} tcp dport \{.* 24007, 49152-60999 \}/,
    );
    assert.deepEqual(
      rulesOf(seven, "db-1").filter((one) => one.includes("24007")),
      [],
    );
  });

  it("N2: lets SSH in from everywhere where there is no management network", () => {
    assert.equal(rulesOf(three, "node-1")[0], `tcp dport { ${sshPortsMark} }`);
  });

  it("N2: lets in what the owner runs besides, where and to whom he says", () => {
    const udp = "udp dport { 7000-7010 }";
    assert.deepEqual(rulesOf(three, "node-3").slice(-3), [
      "ip saddr { 192.0.2.0/24 } tcp dport { 9100 }",
      `ip daddr { 10.20.0.13 } ${udp}`,
      "ip6 saddr { 2001:db8::/32 } tcp dport { 9100 }",
    ]);
    assert.deepEqual(rulesOf(three, "node-1").slice(-2), [
      `ip daddr { 10.20.0.11, 10.20.0.100 } ${udp}`,
      "ip6 saddr { 2001:db8::/32 } tcp dport { 9100 }",
    ]);
  });

  it("A5: has a tier's program on the loopback for its proxy, and its way to the cache for itself", () => {
    const text = three.get("node-1") ?? "";
    assert.match(
      text,
      /ip daddr 127\.0\.0\.1 tcp dport 3000 meta skuid != \{ 0, @uid:haproxy@, @uid:hastack-storefront@ \}/,
    );
    assert.match(
      text,
      /ip daddr 127\.\d+\.\d+\.\d+ tcp dport 6379 meta skuid != \{ 0, @uid:hastack-admin@ \}/,
    );
    assert.doesNotMatch(seven.get("db-1") ?? "", /skuid/);
  });

  it("L10: does not track visitors, whose number would fill the table of connections", () => {
    const site = "172.30.10.11, 172.30.10.100";
    const text = seven.get("lb-1") ?? "";
    assert.match(text, new RegExp(`ip daddr \\{ ${site} \\} tcp dport \\{ 80, 443 \\} notrack`));
    assert.match(text, new RegExp(`ip saddr \\{ ${site} \\} tcp sport \\{ 80, 443 \\} notrack`));
    assert.doesNotMatch(seven.get("db-1") ?? "", /notrack/);
  });

  it("N2: touches nothing but its own table", () => {
    for (const text of [...seven.values(), ...three.values()]) {
      assert.doesNotMatch(text, /flush|hook forward/);
      assert.deepEqual(text.match(/^(delete )?table .*$/gm), [
        "table inet hastack",
        "delete table inet hastack",
        "table inet hastack {",
      ]);
    }
  });

  describe("read by nft", function () {
    this.timeout(300_000);
    let container: Container;

    before(async function () {
      this.timeout(900_000);
      const image = await imageFor({ component: "Nftables", packages: ["nftables"] });
      container = await start(image, "nftables", { arguments: ["--cap-add=NET_ADMIN"] });
    });
    after(() => container?.remove());

    const known = (text: string) =>
      text.replaceAll(sshPortsMark, "22, 2222").replaceAll(/@uid:[a-z-]+@/g, "990");

    it("N2: is loaded as it is, and again over itself", async () => {
      for (const text of [...seven.values(), ...three.values()]) {
        await container.run("cat > /tmp/rules; nft -f /tmp/rules; nft -f /tmp/rules", known(text));
        assert.equal(await container.run("nft list tables"), "table inet hastack");
      }
    });

    it("is refused with a mistake in it", async () => {
      const text = known(three.get("node-1") ?? "").replace("tcp dport", "tcp door");
      const { code, stderr } = await container.attempt("nft -c -f -", text);
      assert.notEqual(code, 0);
      assert.match(stderr, /door/);
    });
  });
});
