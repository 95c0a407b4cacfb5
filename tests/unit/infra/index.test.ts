import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { makeCertificate, pemOf } from "../../support/certificates.ts";
import { asPulumiGives, leastConfiguration } from "../../support/unit/fixtures.ts";
import { mockPassword, record } from "../../support/unit/mocks.ts";

let runs = 0;

/** The whole program with a configuration, and what it gives out. */
async function run(changes: Readonly<Record<string, unknown>>) {
  const configuration = asPulumiGives({ ...leastConfiguration, ...changes });
  return record(async () => {
    pulumi.runtime.setAllConfig(configuration);
    const program = await import(`../../../infra/index.ts?run=${++runs}`);
    // Pulumi refuses any other export beside it
    assert.deepEqual(Object.keys(program), ["default"]);
    return program.default;
  });
}

/** Subnets for documentation, which no network of this machine has. */
const network = {
  frontend: { subnet: "198.51.100.0/24", vip: "198.51.100.100" },
  backend: { subnet: "203.0.113.0/24", vip: "203.0.113.100" },
};

describe("the program", function () {
  this.timeout(30_000);
  after(() => pulumi.runtime.setAllConfig({}));

  it("W2: gives out where to go, and the release", async () => {
    const { result } = await run({ "hastack:network": network });
    const outputs = result as Record<string, unknown>;
    assert.equal(outputs.url, "http://198.51.100.100/");
    assert.equal(outputs.adminUrl, "http://198.51.100.100/admin");
    assert.deepEqual(outputs.localUrls, []);
    assert.deepEqual(outputs.statsUrls, [
      "http://198.51.100.11:8404/",
      "http://198.51.100.12:8404/",
    ]);
    assert.deepEqual(Object.keys(outputs).sort(), [
      "adminPassword",
      "adminUrl",
      "localUrls",
      "machines",
      "release",
      "statsPassword",
      "statsUrls",
      "url",
    ]);
    assert.match(String(outputs.release), /^[0-9a-f]{12}$/);
    const machines = outputs.machines as Record<string, string>;
    assert.equal(machines["lb-1"], "198.51.100.11");
    assert.equal(machines["db-2"], "203.0.113.32");
    assert.equal(machines["cache-1"], "203.0.113.61");
    assert.equal(Object.keys(machines).length, 12);
  });

  it("W2: gives out the published ports as addresses, one for each load balancer", async () => {
    const { result } = await run({
      "hastack:network": network,
      "hastack:loadBalancer": {
        publishedPorts: [22_080, 22_081],
        publishedStatsPorts: [22_404, 22_405],
      },
    });
    const { localUrls, statsUrls } = result as Record<string, unknown>;
    assert.deepEqual(localUrls, ["http://127.0.0.1:22080/", "http://127.0.0.1:22081/"]);
    assert.deepEqual(statsUrls, ["http://127.0.0.1:22404/", "http://127.0.0.1:22405/"]);
  });

  it("L9: gives out addresses by HTTPS where there is a certificate", async () => {
    const names = ["IP:198.51.100.100"];
    const { result } = await run({
      "hastack:network": network,
      "hastack:certificate": pemOf(await makeCertificate({ names })),
      "hastack:loadBalancer": { publishedPorts: [22_080, 22_081] },
    });
    const { url, adminUrl, localUrls, statsUrls } = result as Record<string, unknown>;
    assert.equal(url, "https://198.51.100.100/");
    assert.equal(adminUrl, "https://198.51.100.100/admin");
    assert.deepEqual(localUrls, ["https://127.0.0.1:22080/", "https://127.0.0.1:22081/"]);
    assert.deepEqual(statsUrls, ["https://198.51.100.11:8404/", "https://198.51.100.12:8404/"]);
  });

  it("N3, A14: gives out the passwords of the statistics and of the administrator as secrets", async () => {
    const { result } = await run({ "hastack:network": network });
    const outputs = result as Record<string, pulumi.Output<string>>;
    const passwords = { statsPassword: "statistics", adminPassword: "adminPassword" };
    for (const [name, principal] of Object.entries(passwords)) {
      const output = outputs[name];
      assert.ok(output);
      assert.equal(await pulumi.isSecret(output), true, name);
      const seen = new Promise((resolve) => output.apply(resolve));
      assert.equal(await seen, mockPassword(principal), name);
    }
  });

  it("W5: refuses an unsafe topology before it makes anything", async () => {
    await assert.rejects(run({ "hastack:network": network, "hastack:members": { quorum: 2 } }), {
      name: "SettingsError",
      message: /hastack:members\.quorum: 2 has no majority when one is lost, use 3/,
    });
  });

  it("W5: refuses a subnet that this machine uses, by the preflight's look at it", async () => {
    const bridge = { subnet: "172.17.0.0/16", vip: "172.17.0.100" };
    await assert.rejects(
      run({ "hastack:network": { ...network, frontend: bridge } }),
      /hastack:network\.frontend\.subnet: 172\.17\.0\.0\/16 overlaps .*, use another subnet/,
    );
  });
});
