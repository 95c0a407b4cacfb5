import assert from "node:assert/strict";
import { type LeafPlan, placeOf, planCertificates } from "../../../../infra/certificates/plan.ts";
import { planWith, renamed } from "../../../support/unit/fixtures.ts";

const plans = (usesCache = true) => planCertificates(planWith().topology, usesCache);

function leavesOf(name: string, usesCache = true): readonly LeafPlan[] {
  return plans(usesCache).find(({ member }) => member.name === name)?.leaves ?? [];
}

describe("the certificates of each member", () => {
  it("N5: are those that it shows or asks with", () => {
    const names = plans().map(({ member, leaves }) => [
      member.name,
      ...leaves.map((one) => one.leaf),
    ]);
    const etcd = ["etcd-peer", "etcd-server"];
    const database = ["etcd-client", "patroni-api", "postgres", "replicator", "rewinder"];
    assert.deepEqual(names, [
      ["etcd-1", ...etcd],
      ["etcd-2", ...etcd],
      ["etcd-3", ...etcd],
      ["db-1", ...database],
      ["db-2", ...database],
      ["cache-1", "cache-server", "cache-client"],
      ...["storefront-1", "storefront-2", "admin-1", "admin-2"].map((one) => [
        one,
        "instance",
        "cache-client",
      ]),
      ["lb-1", "load-balancer"],
      ["lb-2", "load-balancer"],
    ]);
  });

  it("O3: let the machine of backups ask the database as keeper, and answer for one that is restored", () => {
    const { topology } = planWith({ members: { backup: 1 } });
    const { leaves } =
      planCertificates(topology, true).find(({ member }) => member.name === "backup-1") ?? {};
    assert.deepEqual(leaves, [
      {
        leaf: "keeper",
        domain: "database",
        use: "client",
        commonName: "keeper",
        names: [],
        addresses: [],
      },
      {
        leaf: "restored",
        domain: "database",
        use: "server",
        commonName: "backup-1",
        names: ["backup-1"],
        addresses: ["10.2.0.121"],
      },
    ]);
  });

  it("N5: are of one domain for each purpose", () => {
    const domains = plans().flatMap(({ leaves }) =>
      leaves.map((one) => `${one.leaf} ${one.domain}`),
    );
    assert.deepEqual(
      [...new Set(domains)],
      [
        "etcd-peer quorum-peer",
        "etcd-server quorum-client",
        "etcd-client quorum-client",
        "patroni-api patroni-api",
        "postgres database",
        "replicator database",
        "rewinder database",
        "cache-server cache",
        "cache-client cache",
        "instance instances",
        "load-balancer instances",
      ],
    );
  });

  it("N5: name no common name where etcd would take it for a login", () => {
    const quorum = plans().flatMap(({ leaves }) =>
      leaves.filter(({ domain }) => domain === "quorum-client"),
    );
    assert.equal(quorum.length, 5);
    for (const one of quorum) assert.equal(one.commonName, undefined);
  });

  it("N5: name every address by which clients reach the database", () => {
    const postgres = leavesOf("db-2").find(({ leaf }) => leaf === "postgres");
    assert.deepEqual(postgres, {
      leaf: "postgres",
      domain: "database",
      use: "server",
      commonName: "db-2",
      names: ["db-2", "primary", "replicas"],
      addresses: ["10.2.0.32", "10.2.0.100", "10.2.0.11", "10.2.0.12"],
    });
  });

  it("N5, W8: name the place of an instance, which stays where its tier is renamed", () => {
    const places = (text?: string) => {
      const { topology } = planWith({}, text);
      return Object.values(topology.tiers)
        .flat()
        .map((one) => {
          const known = planCertificates(topology, true).find(({ member }) => member === one);
          const { names } = known?.leaves.find(({ leaf }) => leaf === "instance") ?? { names: [] };
          assert.deepEqual(names, [one.name, placeOf(one)]);
          return placeOf(one);
        });
    };
    assert.deepEqual(places(), [
      "10-2-0-41-3000.instance",
      "10-2-0-42-3000.instance",
      "10-2-0-51-3001.instance",
      "10-2-0-52-3001.instance",
    ]);
    assert.deepEqual(places(renamed), places());
  });

  it("N5: lead to the cache only where the application uses it", () => {
    assert.deepEqual(
      leavesOf("admin-1", false).map(({ leaf }) => leaf),
      ["instance"],
    );
  });
});
