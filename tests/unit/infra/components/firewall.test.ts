import assert from "node:assert/strict";
import { flowsOf } from "../../../../infra/components/firewall.ts";
import { planWith } from "../../../support/unit/fixtures.ts";
import { type Description, describeStack, recordStack } from "../../../support/unit/stack.ts";

const flows = flowsOf(planWith().application);

const into = (role: string) =>
  flows
    .filter(({ to }) => to === role)
    .map(({ from, network, port }) => `${from} ${network} ${port}`)
    .sort();

describe("Firewall", () => {
  it("N1: is the two networks on Docker, and the backend has no way out", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("Firewall", "firewall"), [
      "Network backend",
      "Network frontend",
    ]);
    const network = (name: string) => recording.get("Network", name).inputs;
    assert.equal(network("frontend").internal, false);
    assert.equal(network("backend").internal, true);
    assert.deepEqual(network("frontend"), {
      name: "hastack-test-frontend",
      driver: "bridge",
      internal: false,
      ipamConfigs: [{ subnet: "10.1.0.0/24", gateway: "10.1.0.1", ipRange: "10.1.0.128/25" }],
      labels: [
        { label: "hastack.component", value: "Firewall" },
        { label: "hastack.stack", value: "test" },
      ],
    });
  });

  it("N1: lets a visitor reach the load balancer's site, and nobody else", () => {
    const allowed = flows.filter(({ from }) => from === "visitor");
    assert.deepEqual(allowed, [
      { from: "visitor", to: "loadBalancer", network: "frontend", port: 80 },
      { from: "visitor", to: "loadBalancer", network: "frontend", port: 443 },
    ]);
  });

  it("L3: shows the statistics page to the operator alone", () => {
    const allowed = flows.filter(({ port }) => port === 8404);
    assert.deepEqual(
      allowed.map(({ from }) => from),
      ["operator"],
    );
  });

  it("A5: lets only load balancers reach the tiers", () => {
    assert.deepEqual(into("storefront"), ["loadBalancer backend 3000"]);
    assert.deepEqual(into("admin"), ["loadBalancer backend 3001"]);
  });

  it("D6: lets load balancers, the other member and migrations reach PostgreSQL", () => {
    assert.deepEqual(into("database"), [
      "database backend 5432",
      "database backend 8008",
      "loadBalancer backend 5432",
      "loadBalancer backend 8008",
      "storefront backend 5432",
      "storefront backend 8008",
    ]);
  });

  it("D7: lets only the database and its own members reach etcd", () => {
    assert.deepEqual(into("quorum"), [
      "database backend 2379",
      "quorum backend 2379",
      "quorum backend 2380",
    ]);
  });

  it("O3: lets only database members reach the machine of backups, and only where one is restored", () => {
    assert.deepEqual(into("backup"), ["database backend 5440"]);
  });

  it("D7, A9: lets only the tiers of the application reach the cache", () => {
    assert.deepEqual(into("cache"), ["admin backend 6379", "storefront backend 6379"]);
  });

  it("L5, A6: lets both tiers reach both listeners of the database, and the storefront its mail server", () => {
    const backend = into("loadBalancer").filter((flow) => flow.includes("backend"));
    assert.deepEqual(backend, [
      "admin backend 5000",
      "admin backend 5001",
      "backup backend 5000",
      "backup backend 5001",
      "loadBalancer backend vrrp",
      "storefront backend 2525",
      "storefront backend 5000",
      "storefront backend 5001",
    ]);
  });

  it("L4: lets load balancers tell each other by VRRP who holds the addresses, and nobody else", () => {
    const vrrp = flows.filter(({ port }) => port === "vrrp");
    assert.deepEqual(
      vrrp.map(({ from, to, network }) => `${from} -> ${to} ${network}`),
      ["loadBalancer -> loadBalancer backend"],
    );
  });

  it("N1: allows every connection that a file, a health check or a task speaks of", async () => {
    const stack = await describeStack({ smtp: { host: "mail.example", from: "a@example.org" } });
    const allowed = new Set(stack.flows.map(({ from, to, port }) => `${from} -> ${to}:${port}`));
    const wanted = wantedFlows(stack);
    assert.ok(wanted.size > 15, `only ${wanted.size} connections were found`);
    assert.deepEqual([...wanted].filter((flow) => !allowed.has(flow)).sort(), []);
  });
});

/** Who speaks to whom, by the addresses that a member's texts name, less its own. */
function wantedFlows({ topology, workloads, tasks }: Description): Set<string> {
  const roleAt = new Map<string, string>([
    [topology.network.frontend.vip, "loadBalancer"],
    [topology.network.backend.vip, "loadBalancer"],
    ...topology.machines.flatMap(({ roles: [role = ""], frontend, backend }) =>
      [frontend ?? "", backend].map((address): [string, string] => [address, role]),
    ),
  ]);
  const texts = [
    ...workloads.map(({ host, files, health }) => ({
      host,
      text: [...files.map(({ content }) => content), health?.command].join("\n"),
    })),
    ...tasks.map(({ host, script, files }) => ({
      host,
      text: [script, ...files.map(({ content }) => content)].join("\n"),
    })),
  ];
  const found = texts.flatMap(({ host, text }) =>
    destinations(text)
      .filter(({ address }) => address !== host.backend && address !== host.frontend)
      .map(({ address, port }) => `${host.role} -> ${roleAt.get(address)}:${port}`),
  );
  return new Set(found);
}

/** The migrations' script asks each database member; `$PRIMARY` is one of them. */
function expanded(text: string): string {
  const [, members = ""] = /for PRIMARY in ([\d. ]+);/.exec(text) ?? [];
  return [text, ...members.split(" ").map((one) => text.replaceAll("$PRIMARY", one))].join("\n");
}

function destinations(text: string): { address: string; port: string }[] {
  const withoutBinds = expanded(text).replace(/^ *bind .*$/gm, "");
  const patterns = [
    /(?<address>10\.\d+\.\d+\.\d+):(?<port>\d+)/g,
    /(?<address>10\.\d+\.\d+\.\d+):\d+ check port (?<port>\d+)/g,
  ];
  return patterns.flatMap((pattern) =>
    [...withoutBinds.matchAll(pattern)].map(({ groups }) => ({
      address: groups?.address ?? "",
      port: groups?.port ?? "",
    })),
  );
}
