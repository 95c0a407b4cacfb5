import assert from "node:assert/strict";
import { certificateSummary, certificateVersion } from "../../../../infra/certificate.ts";
import { LoadBalancer } from "../../../../infra/components/load-balancer.ts";
import { haproxyHasRead } from "../../../../infra/render/haproxy.ts";
import { makeCertificate, pemOf } from "../../../support/certificates.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { secret } from "../../../support/unit/mocks.ts";
import {
  describeStack,
  differences,
  imageOf,
  recordStack,
  workloadOf,
} from "../../../support/unit/stack.ts";

const published = {
  loadBalancer: { publishedPorts: [8080, 8081], publishedStatsPorts: [8405, 8404] },
};

describe("LoadBalancer", () => {
  it("L4: is two members, each with files, a container and a gate", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("LoadBalancer", "load-balancer"), [
      "Command lb-1-files",
      "Command lb-1-gate",
      "Command lb-2-files",
      "Command lb-2-gate",
      "Container lb-1",
      "Container lb-2",
      imageOf(recording, "load-balancer").label,
      "Volume lb-1-files",
      "Volume lb-2-files",
    ]);
  });

  it("L4: is in both networks, at its own addresses", async () => {
    const { inputs } = (await recordStack()).get("Container", "lb-2");
    assert.deepEqual(inputs.networksAdvanced, [
      { name: "hastack-test-frontend", ipv4Address: "10.1.0.12" },
      { name: "hastack-test-backend", ipv4Address: "10.2.0.12" },
    ]);
  });

  it("W2: publishes one port of each list on 127.0.0.1 only", async () => {
    const recording = await recordStack({ changes: published });
    assert.deepEqual(recording.get("Container", "lb-1").inputs.ports, [
      { internal: 80, external: 8080, ip: "127.0.0.1" },
      { internal: 8404, external: 8405, ip: "127.0.0.1" },
    ]);
    assert.deepEqual(recording.get("Container", "lb-2").inputs.ports, [
      { internal: 80, external: 8081, ip: "127.0.0.1" },
      { internal: 8404, external: 8404, ip: "127.0.0.1" },
    ]);
  });

  it("W2: publishes nothing where the settings name no ports", async () => {
    assert.deepEqual((await recordStack()).get("Container", "lb-1").inputs.ports, []);
  });

  it("L4: may hold an address that is not there yet, and no more than that needs", async () => {
    const { inputs } = (await recordStack()).get("Container", "lb-1");
    assert.deepEqual(inputs.capabilities, { adds: ["CAP_NET_ADMIN", "CAP_NET_BROADCAST"] });
    assert.deepEqual(inputs.sysctls, { "net.ipv4.ip_nonlocal_bind": "1" });
  });

  it("L2, L8: reloads HAProxy without a restart, and stops it softly after the addresses went", async () => {
    const { processes } = workloadOf(await describeStack(), "lb-1");
    assert.deepEqual(
      processes.map(({ name, reloadSignal, stopSignal, pausesFor }) => [
        ...[name, reloadSignal, stopSignal, pausesFor],
      ]),
      [
        ["haproxy", "SIGUSR2", "SIGUSR1", undefined],
        ["keepalived", "SIGHUP", undefined, "haproxy"],
      ],
    );
  });

  it("L4: has the addresses taken off whenever keepalived has ended", async () => {
    const { files, processes } = workloadOf(await describeStack(), "lb-1");
    const [end] = processes.find(({ name }) => name === "keepalived")?.afterwards ?? [];
    assert.ok(files.some(({ path, mode }) => path === end && mode === "0755"));
  });

  it("L8: passes its gate only where HAProxy has read the very file that was delivered", async () => {
    const health = async (changes: Readonly<Record<string, unknown>>, name: string) => {
      const { files, health } = workloadOf(await describeStack(changes), name);
      const { content = "" } = files.find(({ path }) => path === "haproxy.cfg") ?? {};
      assert.ok(health?.command.includes(haproxyHasRead(content)), name);
      return health?.command ?? "";
    };
    const changes = { loadBalancer: { balance: "leastconn" } };
    const commands = [
      await health({}, "lb-1"),
      await health({}, "lb-2"),
      await health(changes, "lb-1"),
    ];
    assert.equal(new Set(commands).size, 3);
  });

  it("L8: checks both configurations before one of them is moved into place", async () => {
    const { files } = workloadOf(await describeStack(), "lb-1");
    const checks = Object.fromEntries(files.map(({ path, check }) => [path, check]));
    assert.equal(checks["haproxy.cfg"], "bin/haproxy-start -c -f haproxy.cfg");
    assert.equal(checks["keepalived.conf"], "bin/keepalived-start --config-test");
  });

  it("N3: has the statistics password in one file, which only HAProxy's user reads", async () => {
    const { files } = workloadOf(await describeStack(), "lb-1");
    const secretFiles = files.filter(({ content }) => content.includes("@{"));
    assert.deepEqual(
      secretFiles.map(({ path, owner = "root", mode }) => [path, owner, mode]),
      [
        // HAProxy's master reads it as root
        ["tls/load-balancer.pem", "root", "0400"],
        ["tls/instances-ca.crt", "root", "0444"],
        ["tls/patroni-api-ca.crt", "root", "0444"],
        ["haproxy.cfg", "haproxy", "0600"],
      ],
    );
  });

  it("L6, L10: brings texts of its own for every error, as a page and for programs", async () => {
    const { files } = workloadOf(await describeStack(), "lb-1");
    const { content = "", reloads } = files.find(({ path }) => path === "errors.map") ?? {};
    assert.equal(reloads, "haproxy");
    const texts = new Map(
      content
        .trimEnd()
        .split("\n")
        .map((line) => [line.split(" ")[0] ?? "", line.slice(line.indexOf(" ") + 1)]),
    );
    for (const status of [400, 404, 408, 413, 429, 431, 502, 503, 504]) {
      const page = `${texts.get(`${status}-`)}ID${texts.get("end-")}`;
      assert.match(
        page,
        new RegExp(`^<!doctype html>.*Error ${status}, request <span>ID</span></small>.*</html>$`),
      );
      assert.doesNotMatch(page, /[{}](title|text|status|id)/);
      const json = JSON.parse(`${texts.get(`${status}-json`)}ID${texts.get("end-json")}`);
      assert.equal(json.requestId, "ID");
      assert.match(json.error, /^[a-z-]+$/);
      assert.ok(page.includes(json.message));
    }
  });

  describe("with a certificate", () => {
    let certificate: string;
    let renewed: string;

    before(async () => {
      certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
      renewed = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    });

    it("L9: publishes the port of HTTPS", async () => {
      const recording = await recordStack({ changes: { ...published, certificate } });
      for (const [name, external] of Object.entries({ "lb-1": 8080, "lb-2": 8081 })) {
        const [site] = recording.get("Container", name).inputs.ports as unknown[];
        assert.deepEqual(site, { internal: 443, external, ip: "127.0.0.1" });
      }
    });

    it("L9: brings it as one file that root alone reads, as HAProxy's master does, and that is reloaded", async () => {
      const { files, processes } = workloadOf(await describeStack({ certificate }), "lb-1");
      assert.deepEqual(
        files.filter(({ content }) => content.includes("@{certificate}")),
        [{ path: "certificate.pem", content: "@{certificate}", mode: "0600", reloads: "haproxy" }],
      );
      assert.equal(processes[0]?.name, "haproxy");
      assert.equal(processes[0]?.user, undefined);
    });

    it("L9: has no such file and no such secret without one", async () => {
      const { files, secrets } = workloadOf(await describeStack(), "lb-1");
      assert.ok(!files.some(({ path }) => path === "certificate.pem"));
      const own = Object.keys(secrets).filter((one) => !/^(tls|ca)_/.test(one));
      assert.deepEqual(own, ["stats_password"]);
    });

    it("N3: hands it on by standard input only, and shows nothing of it but a hash", async () => {
      const recording = await recordStack({ changes: { certificate } });
      const hex = Buffer.from(certificate).toString("hex");
      const holders = recording.all.filter(({ inputs }) => JSON.stringify(inputs).includes(hex));
      assert.deepEqual(holders.map(({ label }) => label).sort(), [
        "Command lb-1-files",
        "Command lb-2-files",
      ]);
      for (const { shown } of holders) assert.equal(shown.stdin, secret);
      const lines = certificate.split("\n").filter((line) => /^[\w+/=]{16,}$/.test(line));
      assert.ok(lines.length > 5);
      for (const { label, shown } of recording.all) {
        const text = JSON.stringify(shown);
        for (const line of lines) {
          for (const code of ["utf8", "hex", "base64"] as const) {
            const trace = Buffer.from(line).toString(code).slice(0, 16);
            assert.ok(!text.includes(trace), `${label} shows a line of it`);
          }
        }
      }
    });

    it("L9: takes another one as new files and gates of the load balancers, and replaces no container", async () => {
      const [before, after] = await Promise.all(
        [certificate, renewed].map((one) => recordStack({ changes: { certificate: one } })),
      );
      assert.ok(before && after);
      assert.deepEqual(differences(before, after), [
        "Command lb-1-files",
        "Command lb-1-gate",
        "Command lb-2-files",
        "Command lb-2-gate",
        "Stash certificate",
      ]);
      const { inputs, replaceOnChanges } = after.get("Stash", "certificate");
      assert.deepEqual(inputs.input, certificateSummary(renewed));
      assert.deepEqual(replaceOnChanges, ["input"]);
    });

    it("L9: passes its gate only where HAProxy has read this certificate", async () => {
      const commands = [certificate, renewed].map(async (one) => {
        const { files, health } = workloadOf(await describeStack({ certificate: one }), "lb-1");
        const { content = "" } = files.find(({ path }) => path === "haproxy.cfg") ?? {};
        assert.ok(health?.command.includes(haproxyHasRead(content)));
        return haproxyHasRead(content);
      });
      assert.equal(new Set(await Promise.all(commands)).size, 2);
      assert.notEqual(certificateVersion(certificate), certificateVersion(renewed));
    });
  });
});

describe("LoadBalancer on its own", () => {
  const build = ({ password, options, ...given }: Surroundings) =>
    new LoadBalancer(
      "load-balancer",
      { ...given, statisticsPassword: password("statistics") },
      options,
    );
  const outputs = async (where: (typeof platforms)[number], changes = {}) =>
    (await recordAlone(where, build, { changes })).get("LoadBalancer", "load-balancer").outputs;

  it("W2: gives out where the site and its statistics are, on docker also the published ports", async () => {
    const own = {
      url: "http://10.1.0.100/",
      localUrls: [],
      statsUrls: ["http://10.1.0.11:8404/", "http://10.1.0.12:8404/"],
    };
    for (const where of platforms) assert.deepEqual(await outputs(where), own);
    assert.deepEqual(await outputs("docker", published), {
      url: "http://10.1.0.100/",
      localUrls: ["http://127.0.0.1:8080/", "http://127.0.0.1:8081/"],
      statsUrls: ["http://127.0.0.1:8405/", "http://127.0.0.1:8404/"],
    });
  });

  it("L9: gives out addresses by HTTPS where there is a certificate", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    for (const where of platforms) {
      assert.deepEqual(await outputs(where, { certificate }), {
        url: "https://10.1.0.100/",
        localUrls: [],
        statsUrls: ["https://10.1.0.11:8404/", "https://10.1.0.12:8404/"],
      });
    }
  });

  it("L9: keeps which certificate it serves once both serve it", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    const [docker, ssh] = await Promise.all(
      platforms.map((where) => recordAlone(where, build, { changes: { certificate } })),
    );
    assert.ok(docker && ssh);
    assertOrder(docker, "Command lb-2-gate", "Stash certificate");
    assertOrder(ssh, "Command lb-2", "Stash certificate");
    for (const recording of [docker, ssh]) assertNothingShown(recording);
    for (const where of platforms)
      assert.deepEqual((await recordAlone(where, build)).names("Stash"), []);
  });

  it("W1: is one command for each member on machines", async () => {
    const recording = await recordAlone("ssh", build);
    const children = recording.childrenOf("LoadBalancer", "load-balancer");
    assert.deepEqual(children, ["Command lb-1", "Command lb-2"]);
  });

  it("L4: places the second once the first has passed its gate", async () => {
    const docker = await recordAlone("docker", build);
    assertOrder(docker, "Command lb-1-files", "Container lb-1", "Command lb-1-gate");
    assertOrder(docker, "Command lb-1-gate", "Command lb-2-files", "Command lb-2-gate");
    assertOrder(await recordAlone("ssh", build), "Command lb-1", "Command lb-2");
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
