import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { AppServers } from "../../../../infra/components/app-servers.ts";
import { haproxyHasRead } from "../../../../infra/render/haproxy.ts";
import { makeCertificate } from "../../../support/certificates.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import type { Recording } from "../../../support/unit/mocks.ts";
import {
  describeStack,
  imagesOf,
  recordStack,
  release,
  workloadOf,
} from "../../../support/unit/stack.ts";

const instances = ["admin-1", "admin-2", "storefront-1", "storefront-2"];

describe("AppServers", () => {
  it("L1: is every instance of both tiers, each with files, a container and a gate", async () => {
    const children = (await recordStack()).childrenOf("AppServers", "app");
    assert.deepEqual(
      children.filter((label) => !label.startsWith("RemoteImage ")),
      instances
        .flatMap((name) => [
          `Command ${name}-files`,
          `Command ${name}-gate`,
          `Container ${name}`,
          `Volume ${name}-files`,
        ])
        .sort(),
    );
  });

  it("A5: is in the backend only, and publishes nothing", async () => {
    const recording = await recordStack();
    for (const name of instances) {
      const { networksAdvanced, ports } = recording.get("Container", name).inputs;
      const names = (networksAdvanced as { name: string }[]).map((one) => one.name);
      assert.deepEqual([names, ports], [["hastack-test-backend"], []], name);
    }
  });

  it("A5: gives each tier the password of its own database role and the secret of its own sessions, and the cookies' and the cache's to both", async () => {
    const { workloads, credentials } = await describeStack();
    const app = workloads.filter(({ component }) => component === "AppServers");
    assert.equal(app.length, 4);
    for (const { host, secrets } of app) {
      assert.equal(secrets.database_password, credentials.ofTier(host.role), host.name);
      assert.equal(secrets.own_cookieSecret, credentials.ofSecret("cookieSecret"), host.name);
      assert.equal(secrets.cache_password, credentials.of("cache"), host.name);
      const ownSessions = credentials.ofSecret("sessionSecret", host.role);
      assert.equal(secrets.own_sessionSecret, ownSessions, host.name);
      const passwords = Object.keys(secrets).filter((one) => !/^(tls|ca)_/.test(one));
      assert.equal(passwords.length, 4);
    }
  });

  it("A6: gives the mail server's password to the storefront alone, whatever it is made of", async () => {
    const smtp = { host: "mail.example", user: "travel", from: "travel@example.org" };
    const changes = { smtp, smtpPassword: 'a"b\\c' };
    const stack = await describeStack(changes);
    assert.equal(workloadOf(stack, "admin-1").secrets.smtp_password, undefined);
    const { secrets, files } = workloadOf(stack, "storefront-1");
    const { smtp_password: password } = secrets;
    assert.ok(password);
    assert.equal(await pulumi.isSecret(password), true);
    const value = await new Promise<string>((resolve) => password.apply(resolve));
    const { content = "" } = files.find(({ path }) => path === "environment") ?? {};
    const url = /^SMTP_URL="(.*)"$/m.exec(content)?.[1] ?? "";
    const { password: coded } = new URL(url.replace("@{smtp_password}", () => value));
    assert.equal(decodeURIComponent(coded), 'a"b\\c');
    const shown = JSON.stringify((await recordStack({ changes })).all.map((one) => one.shown));
    const traces = ['a\\"b', value, Buffer.from(value).toString("hex")];
    for (const trace of traces) {
      assert.ok(!shown.includes(trace), "the password is shown");
    }
  });

  it("A12, N6: runs all instances of one release, from one image for each tier", async () => {
    const recording = await recordStack();
    const [admin, admin2, storefront] = instances.map(
      (name) => recording.get("Container", name).inputs.image,
    );
    assert.equal(admin, admin2);
    assert.notEqual(storefront, admin, "each has its own user alone");
    const names = imagesOf(recording, "release").map(({ inputs }) => `id-of-${inputs.name}`);
    for (const one of [storefront, admin]) assert.ok(names.includes(String(one)));
  });

  it("A12: passes the gate only where the instance answers as the new release", async () => {
    const { inputs } = (await recordStack()).get("Command", "admin-2-gate");
    const { REQUEST = "" } = inputs.environment as Record<string, string>;
    const { command } = JSON.parse(REQUEST).health;
    const ask = `curl -fsS --max-time 3 http://127.0.0.1:3001/api/health | grep -F '${release.hash}'`;
    assert.ok(command.endsWith(` && ${ask}`), command);
  });

  const proxyFileOf = async (name: string, changes = {}, text?: string) => {
    const workload = workloadOf(await describeStack(changes, text), name);
    const { content } = workload.files.find(({ path }) => path === "proxy.cfg") ?? {};
    return { ...workload, content };
  };

  it("N5: passes the gate only where the proxy serves as it is described, with its certificates", async () => {
    const commands = await Promise.all(
      [
        {},
        { certificates: { renewal: 1 } },
        { loadBalancer: { maxConnectionsPerInstance: 500 } },
      ].map(async (changes) => {
        const { content = "", health } = await proxyFileOf("admin-1", changes);
        const read = haproxyHasRead(content, "/run/hastack-admin-proxy/admin.sock");
        assert.ok(health?.command.startsWith(`${read} > /dev/null && `));
        return health?.command;
      }),
    );
    assert.equal(new Set(commands).size, 3);
  });

  it("N5: has its proxy before it and after it, which a release leaves running and a certificate has reload", async () => {
    const { processes, files, packages } = await proxyFileOf("storefront-1");
    const [first, second] = processes;
    assert.deepEqual([first?.name, second?.name], ["storefront-proxy", "storefront"]);
    assert.deepEqual(
      [first?.user, first?.reloadSignal, first?.stopSignal, first?.outlivesRelease],
      ["haproxy", "SIGUSR2", "SIGUSR1", true],
    );
    const read = files.filter(({ reloads }) => reloads === "storefront-proxy");
    assert.deepEqual(
      read.map(({ path, owner, mode }) => [path, owner, mode]),
      [
        ["tls/instance.pem", "haproxy", "0400"],
        ["tls/cache-client.pem", "haproxy", "0400"],
        ["tls/instances-ca.crt", undefined, "0444"],
        ["tls/cache-ca.crt", undefined, "0444"],
        ["proxy.cfg", undefined, undefined],
        ["never-reached.http", undefined, undefined],
      ],
    );
    assert.ok(packages.includes("haproxy"));
  });

  const worker = (cache: boolean) =>
    `{ name: shop, cache: ${cache}, tiers: [{ name: worker, command: [w], health: { command: [sh] } }] }`;

  it("N5: gives a worker a proxy where it uses the cache, and only then", async () => {
    const using = await proxyFileOf("worker-1", {}, worker(true));
    assert.doesNotMatch(using.content ?? "", /frontend instance|tls.instance/);
    assert.match(using.content ?? "", /^listen cache$/m);
    assert.match(using.health?.command ?? "", /worker-proxy.admin\.sock .*\|\| exit$/m);
    const without = await proxyFileOf("worker-1", {}, worker(false));
    assert.equal(without.content, undefined);
    assert.deepEqual(
      without.processes.map(({ name }) => name),
      ["worker"],
    );
    assert.ok(!without.packages.includes("haproxy"));
  });

  it("N4: asks a worker's own program for its health as its tier, with its variables", async () => {
    const text =
      "name: shop\ntiers: [{ name: worker, command: [w], health: { command: [sh, -c, 'test \"$KEY\"'] } }]";
    const { health } = workloadOf(await describeStack({}, text), "worker-1");
    const lines = [
      "set -a; . ./environment; set +a",
      "cd /opt/hastack/current || exit",
      `exec runuser -u hastack-worker -- sh -c 'test "$KEY"'`,
    ];
    assert.equal(health?.command, lines.join("\n"));
  });

  it("O6: limits what the proxy takes where the tier has a limit, which Docker needs of every process", async () => {
    const text =
      "{ name: shop, tiers: [{ name: web, command: [w], port: 8000, memoryMegabytes: 200 }] }";
    const { processes } = workloadOf(await describeStack({}, text), "web-1");
    assert.deepEqual(
      processes.map(({ memoryMegabytes }) => memoryMegabytes),
      [128, 200],
    );
    const { inputs } = (await recordStack({ text })).get("Container", "web-1");
    assert.equal(inputs.memory, 328);
  });

  it("A15: gives an instance its whole grace, and a bit more, before it is killed", async () => {
    const changes = {
      tiers: { storefront: { stopGraceSeconds: 40 }, admin: { stopGraceSeconds: 40 } },
    };
    const { inputs } = (await recordStack({ changes })).get("Container", "storefront-1");
    assert.ok(Number(inputs.destroyGraceSeconds) > 42, String(inputs.destroyGraceSeconds));
    const { processes } = workloadOf(await describeStack(changes), "storefront-1");
    const program = processes.find(({ name }) => name === "storefront");
    assert.equal(program?.stopGraceSeconds, 42);
  });

  it("A6: brings who vouches for the mail server to the tiers that send mail, and to no other", async () => {
    const { certificate } = await makeCertificate({ authority: true });
    const smtp = { host: "mail.example", from: "a@example.org", certificateAuthority: certificate };
    const stack = await describeStack({ smtp });
    const found = (member: string) =>
      workloadOf(stack, member).files.filter(({ path }) => path.startsWith("tls/smtp"));
    const file = { path: "tls/smtp-ca.crt", content: certificate, mode: "0444" };
    assert.deepEqual(found("storefront-2"), [{ ...file, restarts: "storefront" }]);
    assert.deepEqual(found("admin-1"), []);
    const variables = (member: string) =>
      workloadOf(stack, member).files.find(({ path }) => path === "environment")?.content ?? "";
    assert.match(variables("storefront-2"), /^SMTP_CA_FILE="@\{folder\}\/tls\/smtp-ca\.crt"$/m);
    assert.doesNotMatch(variables("admin-1"), /SMTP/);
    const without = await describeStack({ smtp: { host: "mail.example", from: "a@example.org" } });
    assert.doesNotMatch(JSON.stringify(workloadOf(without, "storefront-1").files), /smtp-ca/i);
  });

  it("N4, N6: runs as its tier's user, with a configuration that root alone reads and hands on", async () => {
    const stack = await describeStack();
    for (const [tier, name] of [
      ["storefront", "storefront-1"],
      ["admin", "admin-1"],
    ] as const) {
      const { processes, files } = workloadOf(stack, name);
      assert.deepEqual(
        processes.map(({ user, umask }) => [user, umask]),
        [
          ["haproxy", undefined],
          [`hastack-${tier}`, "0007"],
        ],
      );
      const own = files.filter(({ path }) => !/^tls|^proxy|^never/.test(path));
      assert.deepEqual(
        own.map(({ path, owner, mode, credentialOf }) => [path, owner, mode, credentialOf]),
        [
          ["environment", undefined, "0400", undefined],
          ["secrets/cookieSecret", undefined, "0400", [tier]],
          ["secrets/sessionSecret", undefined, "0400", [tier]],
        ],
      );
    }
  });
});

describe("AppServers on its own", () => {
  const build = ({ platform, topology, application, settings, secrets, ...given }: Surroundings) =>
    new AppServers(
      "app",
      {
        platform,
        topology,
        certificates: given.certificates,
        application,
        settings,
        secrets,
        release: given.release,
        shared: given.shared,
      },
      given.options,
    );
  const inOrder = ["storefront-1", "storefront-2", "admin-1", "admin-2"];

  it("A12: gives out the release that every instance runs", async () => {
    for (const where of platforms) {
      const { outputs } = (await recordAlone(where, build)).get("AppServers", "app");
      assert.deepEqual(outputs, { release: release.hash });
    }
  });

  it("W1: is one command for each instance on machines", async () => {
    const children = (await recordAlone("ssh", build)).childrenOf("AppServers", "app");
    assert.deepEqual(
      children,
      instances.map((name) => `Command ${name}`),
    );
  });

  it("A12: starts one instance after the other, over all tiers", async () => {
    const docker = await recordAlone("docker", build);
    const gates = inOrder.flatMap((name) => [`Command ${name}-files`, `Command ${name}-gate`]);
    assertOrder(docker, ...gates);
    const ssh = await recordAlone("ssh", build);
    assertOrder(ssh, ...inOrder.map((name) => `Command ${name}`));
  });

  it("N6: has its secrets where its unit finds them, and in a container as files of its user", async () => {
    const requestOf = (recording: Recording, name: string) =>
      JSON.parse(
        (recording.get("Command", name).inputs.environment as { REQUEST: string }).REQUEST,
      );
    const variable = (text: string) => /^COOKIE_SECRET_FILE="(.*)"$/m.exec(text)?.[1];
    const docker = requestOf(await recordAlone("docker", build), "admin-1-files").files;
    assert.equal(docker["secrets/cookieSecret"].owner, "hastack-admin");
    assert.equal(variable(docker.environment.content), "/etc/hastack/secrets/cookieSecret");
    const { files, users } = requestOf(await recordAlone("ssh", build), "admin-1");
    assert.equal(files["secrets/cookieSecret"].owner, "root");
    assert.equal(
      variable(files.environment.content),
      "/run/credentials/hastack-admin.service/cookieSecret",
    );
    assert.match(
      files["units/hastack-admin.service"].content,
      /^LoadCredential=cookieSecret:\/etc\/hastack\/admin-1\/secrets\/cookieSecret$/m,
    );
    assert.deepEqual(users, ["hastack-admin"]);
  });

  it("N3: shows no password", async () => {
    const changes = {
      smtp: { host: "mail.example", user: "me", from: "me@example.org" },
      smtpPassword: "mock-password-of-mail",
    };
    for (const where of platforms) {
      assertNothingShown(await recordAlone(where, build, { changes }));
    }
  });
});
