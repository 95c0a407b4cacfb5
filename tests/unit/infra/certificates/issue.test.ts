import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issueAuthority, issueLeaf, type Pair } from "../../../../infra/certificates/issue.ts";
import type { LeafPlan } from "../../../../infra/certificates/plan.ts";
import { run } from "../../../../lib/run.ts";

const plan: LeafPlan = {
  leaf: "postgres",
  domain: "database",
  use: "server",
  commonName: "db-1",
  names: ["db-1", "primary"],
  addresses: ["10.2.0.31"],
};
const end = new Date("2100-01-01T00:00Z");

/** What openssl says of a certificate: nothing, or why it refuses it. */
async function refusal(authority: Pair, own: Pair, ...words: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-issue-"));
  try {
    writeFileSync(join(folder, "ca"), authority.certificate);
    writeFileSync(join(folder, "own"), own.certificate);
    const verify = ["openssl", "verify", "-x509_strict", "-CAfile", "ca", ...words, "own"];
    const { code, stderr } = await run(verify, { cwd: folder });
    return code === 0 ? "" : stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("issued certificates", () => {
  let authority: Pair;
  let leaf: Pair;
  before(async () => {
    authority = await issueAuthority("test database 1");
    leaf = await issueLeaf(plan, authority, end);
  });

  it("N5: are accepted by OpenSSL's strict rules, for their purpose and their names", async () => {
    const purpose = ["-purpose", "sslserver"];
    assert.equal(await refusal(authority, leaf, ...purpose, "-verify_hostname", "primary"), "");
    assert.equal(await refusal(authority, leaf, ...purpose, "-verify_ip", "10.2.0.31"), "");
    assert.match(
      await refusal(authority, leaf, "-verify_hostname", "db-2"),
      /[Hh]ostname mismatch/,
    );
    assert.match(await refusal(authority, leaf, "-verify_ip", "10.2.0.32"), /IP address mismatch/);
    assert.match(await refusal(authority, leaf, "-purpose", "sslclient"), /unsuitable|unsupported/);
  });

  it("N5: are refused under another authority, also one of the same name", async () => {
    const other = await issueAuthority("test database 1");
    assert.match(await refusal(other, leaf), /unable to get local issuer|signature failure/);
  });

  it("N5: vouch for nobody, and their authority for no further one", async () => {
    const below = await issueLeaf(plan, leaf, end);
    const both = { certificate: authority.certificate + leaf.certificate, key: "" };
    assert.match(await refusal(both, below), /invalid CA certificate/);
    const { ca } = new X509Certificate(authority.certificate);
    assert.deepEqual([ca, new X509Certificate(leaf.certificate).ca], [true, false]);
  });

  it("N5: are valid from an hour before, for clocks that differ, until their end", () => {
    const { validFromDate, validToDate } = new X509Certificate(leaf.certificate);
    const minutes = (Date.now() - validFromDate.getTime()) / 60_000;
    assert.ok(minutes >= 59 && minutes < 70, `${minutes} minutes`);
    assert.equal(validToDate.getTime(), end.getTime());
  });

  it("N5: name who they are for, and a client of etcd without a common name", async () => {
    const client = await issueLeaf(
      {
        ...plan,
        leaf: "etcd-client",
        use: "client",
        commonName: undefined,
        unit: "patroni",
        names: [],
        addresses: [],
      },
      authority,
      end,
    );
    assert.equal(new X509Certificate(client.certificate).subject, "O=hastack\nOU=patroni");
    const { subject, subjectAltName } = new X509Certificate(leaf.certificate);
    assert.equal(subject, "O=hastack\nCN=db-1");
    assert.equal(subjectAltName, "DNS:db-1, DNS:primary, IP Address:10.2.0.31");
  });

  it("N5: have serial numbers of their own", async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, () => issueLeaf(plan, authority, end)),
    );
    const numbers = all.map(({ certificate }) => new X509Certificate(certificate).serialNumber);
    assert.equal(new Set(numbers).size, 20);
    for (const one of numbers) assert.match(one, /^4[0-9A-F]{31}$/);
  });
});
