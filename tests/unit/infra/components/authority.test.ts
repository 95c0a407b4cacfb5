import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { domains } from "../../../../infra/certificates/domains.ts";
import { Authority, type AuthorityArgs } from "../../../../infra/components/authority.ts";
import { planWith } from "../../../support/unit/fixtures.ts";
import { record, secret } from "../../../support/unit/mocks.ts";
import { describeStack } from "../../../support/unit/stack.ts";

const { topology } = planWith();
const usual: AuthorityArgs = {
  topology,
  usesCache: true,
  certificates: { authorities: [1], renewal: 0 },
  now: new Date("2026-11-27"),
};
const recordWith = (args: Partial<AuthorityArgs> = {}) =>
  record(() => new Authority("authority", { ...usual, ...args }));

function environment(recording: Awaited<ReturnType<typeof recordWith>>, name: string) {
  return recording.get("Command", name).shown.environment as Record<string, string>;
}

describe("Authority", () => {
  it("N5: makes an authority for each purpose, and certificates for each member", async () => {
    const recording = await recordWith();
    assert.deepEqual(
      recording.childrenOf("Authority", "authority").sort(),
      [
        ...Object.keys(domains).map((domain) => `Command authority-${domain}-1`),
        ...["admin-1", "admin-2", "cache-1", "db-1", "db-2", "etcd-1", "etcd-2", "etcd-3"].map(
          (name) => `Command ${name}-certificates`,
        ),
        ...["lb-1", "lb-2", "storefront-1", "storefront-2"].map(
          (name) => `Command ${name}-certificates`,
        ),
      ].sort(),
    );
    assert.deepEqual(recording.get("Authority", "authority").outputs, { ends: "2027-08-30" });
  });

  it("W3: shows a reviewer names and addresses, the end, and what a renewal does", async () => {
    const {
      CERTIFICATES = "",
      ENDS,
      RENEWAL,
    } = environment(await recordWith(), "etcd-1-certificates");
    assert.deepEqual(JSON.parse(CERTIFICATES)[0], {
      leaf: "etcd-peer",
      domain: "quorum-peer",
      use: "both",
      commonName: "etcd-1",
      names: ["etcd-1"],
      addresses: ["10.2.0.21"],
    });
    assert.equal(ENDS, "2027-08-30");
    assert.equal(RENEWAL, "until 2027-08-30, renewal 0, authorities 1: etcd reads it by itself");
  });

  it("N3: keeps every key a secret, on its way in and out", async () => {
    const recording = await recordWith();
    for (const { name, shown } of recording.ofType("Command")) {
      assert.equal(shown.logging, "none", name);
      if (name.endsWith("-certificates")) assert.equal(shown.stdin, secret, name);
    }
    const authority = recording.result as Authority;
    const { secrets } = authority.of("db-1", { leaves: ["postgres"] });
    for (const value of Object.values(secrets)) assert.ok(await pulumi.isSecret(value));
  });

  it("N5: signs by the first authority and trusts all", async () => {
    const recording = await recordWith({ certificates: { authorities: [2, 1], renewal: 0 } });
    const { stdin } = recording.get("Command", "lb-1-certificates").inputs;
    assert.match(String(stdin), /mock-key-of-authority-instances-2/);
    assert.doesNotMatch(String(stdin), /instances-1/);
    const authority = recording.result as Authority;
    const { secrets } = authority.of("lb-1", { leaves: ["load-balancer"] });
    const trusted = await new Promise<string>((resolve) =>
      secrets.ca_instances?.apply((text) => resolve(text)),
    );
    assert.equal(trusted.match(/BEGIN CERTIFICATE/g)?.length, 2);
  });

  it("N5: trusts them in one order, whichever issues: that step changes no authority's file", async () => {
    const texts = [];
    for (const authorities of [
      [1, 2],
      [2, 1],
    ]) {
      const recording = await recordWith({ certificates: { authorities, renewal: 0 } });
      const { secrets } = (recording.result as Authority).of("etcd-1", { leaves: ["etcd-peer"] });
      texts.push(
        await new Promise<string>((resolve) =>
          secrets.ca_quorum_peer?.apply((text) => resolve(text)),
        ),
      );
    }
    const [before = "", after] = texts;
    assert.equal(after, before);
    assert.match(before, /# authority-quorum-peer-1\n[^#]*# authority-quorum-peer-2\n$/);
  });

  it("N5: gives each member its own certificates, under the names of its placeholders", async () => {
    const recording = await recordWith();
    const authority = recording.result as Authority;
    const { files, secrets } = authority.of("db-2", {
      leaves: ["postgres"],
      authorities: ["patroni-api"],
    });
    assert.deepEqual(
      files.map(({ path }) => path),
      ["tls/postgres.pem", "tls/database-ca.crt", "tls/patroni-api-ca.crt"],
    );
    assert.deepEqual(Object.keys(secrets), ["tls_postgres", "ca_database", "ca_patroni_api"]);
    const own = await new Promise((resolve) => secrets.tls_postgres?.apply(resolve));
    assert.match(String(own), /# mock-postgres-of-db-2-certificates$/m);
    assert.throws(
      () => authority.of("db-2", { leaves: ["instance"] }),
      /db-2 has no certificate instance/,
    );
  });

  it("N5: has another version when anything of a certificate changes, and the same otherwise", async () => {
    const versions = [
      usual,
      { ...usual, now: new Date("2026-12-24") },
      { ...usual, now: new Date("2027-06-01") },
      { ...usual, certificates: { authorities: [1], renewal: 1 } },
      { ...usual, certificates: { authorities: [1, 2], renewal: 0 } },
    ].map(async (args) => {
      const authority = (await recordWith(args)).result as Authority;
      return authority.of("lb-1", { leaves: ["load-balancer"] }).version;
    });
    const [first, same, ...others] = await Promise.all(versions);
    assert.equal(same, first);
    assert.equal(new Set([first, ...others]).size, 4);
  });

  it("N5: gives a task certificates only where it cannot use those of its workload", async () => {
    const { tasks } = await describeStack();
    const bring = tasks.filter(({ files }) => files.some(({ path }) => path.startsWith("tls/")));
    // Before the workload has them, or in a container of its own: each renewal runs these again
    assert.deepEqual(bring.map(({ name }) => name).sort(), [
      "db-1-bridge",
      "db-2-bridge",
      "lb-1-bridge",
      "lb-2-bridge",
      "migrations",
    ]);
  });
});
