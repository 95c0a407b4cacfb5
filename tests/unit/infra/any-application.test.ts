/** hastack serves any application: what it does follows from the description alone. */
import assert from "node:assert/strict";
import { readProjectFile, root } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { agency, applicationWith, planWith } from "../../support/unit/fixtures.ts";
import { imageFor } from "../../support/unit/images.ts";
import { Issuer } from "../../support/unit/issuer.ts";
import { recordMachines, threeMachines } from "../../support/unit/machine-stack.ts";
import { mockPassword, type Recording } from "../../support/unit/mocks.ts";
import { Delivered } from "../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../support/unit/stack.ts";

/** Words of the travel agency, and of what its tiers are programmed with. */
const words =
  /storefront|travel|agency|upload|\boffers?\b|booking|destination|gallery|\btrips?\b|cookie|\badmin\b|\badministrators?\b|server\.ts|\/api\//i;

/** The same words with another meaning. */
const others: readonly (readonly [RegExp, string])[] = [
  [/admin\.sock/g, "HAProxy's socket"],
  [/\blevel admin\b/g, "HAProxy's word for who may command it"],
  [/-@admin\b/g, "Valkey's category of commands"],
  [/machine offers on/g, "the verb"],
  [/this site's cookies/g, "what browsers keep"],
  [
    /uploadsOf|\}_uploads|per_source_uploads|\buploads(?=: z|: "|\.(perSource|perInstance|queueSeconds)\b|,| \})/g,
    "requests with a long body, as the load balancers' settings call them",
  ],
  [/Password of etcd's administrator/g, "etcd's root"],
];

/** The agency with other names for its tiers. */
const renamed = agency
  .replaceAll("name: storefront", "name: shop-front")
  .replaceAll("name: admin", "name: office");

const oneTier = `
name: notes
tiers: [{ name: web, command: [./web], port: 8000, health: { path: /ok } }]
`;

const threeTiers = `
name: shop
packages: [python3]
tiers:
  - { name: web, command: [python3, web.py], port: 8000 }
  - name: api
    command: [python3, api.py]
    port: 8001
    routes: [{ path: /api }, { path: /hooks, methods: [POST] }]
    bodyLimitMegabytes: 4
    webSocket: true
  - { name: worker, command: [python3, work.py], health: { command: [python3, ok.py] } }
jobs: [{ name: tidy-up, tier: worker, command: [python3, tidy.py], dailyAt: "03:15" }]
migrations: { command: [python3, migrate.py] }
database: { extensions: [pg_trgm], formerRoles: [shop] }
shared: [pictures]
cache: true
secrets: { signingKey: { generated: true }, apiKey: { optional: true } }
outside: { payments: { host: pay.example, port: 443 } }
`;

const letters = ["a", "b", "c", "d", "e", "f", "g"];
const sevenTiers = `
name: seven
tiers:
${letters
  .map((letter, index) => {
    const routes = index === 0 ? "[]" : `[{ path: /${letter} }]`;
    const port = 8000 + index;
    return `  - { name: part-${letter}, command: [./p], port: ${port}, routes: ${routes}, poolSize: 1 }`;
  })
  .join("\n")}
`;

interface Case {
  readonly what: string;
  readonly text: string;
  /** Lines of HAProxy's configuration that lead to the tiers. */
  readonly routes: readonly string[];
}

/** A tier's requests below a path. @param methods @default all */
const to = (tier: string, path: string, methods?: string) => {
  const only = methods ? ` { method ${methods} }` : "";
  return `http-request set-var(txn.tier) str(${tier}) if { path,url_dec ${path} }${only} || { path,url_dec -m beg ${path}/ }${only}`;
};
/** All others. */
const rest = (tier: string) => `http-request set-var(txn.tier) str(${tier})`;

const cases: readonly Case[] = [
  {
    what: "the travel agency with its tiers renamed",
    text: renamed,
    routes: [
      rest("shop-front"),
      to("office", "/admin"),
      to("office", "/api/offers", "POST PUT PATCH DELETE"),
      to("office", "/api/content", "POST PUT PATCH DELETE"),
    ],
  },
  { what: "an application of one tier", text: oneTier, routes: [rest("web")] },
  {
    what: "an application of three tiers, one of them a worker with a job",
    text: threeTiers,
    routes: [rest("web"), to("api", "/api"), to("api", "/hooks", "POST")],
  },
  {
    what: "an application of seven tiers",
    text: sevenTiers,
    routes: [
      rest("part-a"),
      ...letters.slice(1).map((letter) => to(`part-${letter}`, `/${letter}`)),
    ],
  },
];

/** The three machines, with these tiers on the first two. */
function machinesFor(tiers: readonly string[]) {
  return threeMachines.map(({ roles, ...machine }) => ({
    ...machine,
    roles: roles.flatMap((role) =>
      role === "storefront" ? tiers : role === "admin" ? [] : [role],
    ),
  }));
}

function routesIn(text: string): string[] {
  const [, web = ""] = /^frontend web\n([\s\S]*?)\n\n/m.exec(text) ?? [];
  return web
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.includes("set-var(txn.tier)"));
}

/** Whose passwords a command is handed. */
function passwordsOf(recording: Recording, command: string): string[] {
  const { stdin } = recording.get("Command", command).inputs;
  return String(stdin)
    .split("\n")
    .filter(Boolean)
    .map((line) => Buffer.from(line.split(" ")[1] ?? "", "hex").toString());
}

describe("any application", function () {
  this.timeout(30_000);

  it("O6: no file of infra/ or haproxy/ has a word of the travel agency's", async () => {
    const list = await mustRun(["git", "ls-files", "infra", "haproxy"], { cwd: root });
    const files = list.split("\n").filter(Boolean);
    assert.ok(files.length > 60, `${files.length} files`);
    const found = files.flatMap((file) => {
      const text = others.reduce((rest, [word]) => rest.replace(word, ""), readProjectFile(file));
      const lines = text.split("\n").map((line, index) => `${file}:${index + 1}: ${line.trim()}`);
      return lines.filter((line) => words.test(line.slice(file.length)));
    });
    assert.deepEqual(found, []);
  });

  it("O6: every word with another meaning is there", async () => {
    const list = await mustRun(["git", "ls-files", "infra"], { cwd: root });
    const text = list.split("\n").filter(Boolean).map(readProjectFile).join("\n");
    for (const [word, meaning] of others) assert.match(text, word, meaning);
  });

  it("the renamed description has the new names", () => {
    const names = applicationWith(renamed).tiers.map(({ name, databaseRole }) => [
      name,
      databaseRole,
    ]);
    assert.deepEqual(names, [
      ["shop-front", "app_shop_front"],
      ["office", "app_office"],
    ]);
  });

  for (const { what, text, routes } of cases) {
    describe(what, () => {
      const application = applicationWith(text);
      const tiers = application.tiers.map(({ name }) => name);
      const instances = tiers.flatMap((name) => [`${name}-1`, `${name}-2`]);
      let docker: Recording;
      let ssh: Recording;

      before(async () => {
        docker = await recordStack({ text });
        ssh = await recordMachines({ text, changes: { machines: machinesFor(tiers) } });
      });

      it("O6: is a container and a gate for each instance on docker", () => {
        const containers = docker
          .childrenOf("AppServers", "app")
          .filter((label) => label.startsWith("Container "));
        assert.deepEqual(containers, instances.map((name) => `Container ${name}`).sort());
        for (const name of instances) docker.get("Command", `${name}-gate`);
      });

      it("O6: is a command for each instance on machines, under the same component", () => {
        const commands = ssh.childrenOf("AppServers", "app");
        assert.deepEqual(commands, instances.map((name) => `Command ${name}`).sort());
      });

      it("O6: has the same passwords on both, one for each tier and generated secret", () => {
        const own = [
          ...tiers.map((name) => `password-${name}`),
          ...Object.entries(application.secrets)
            .filter(([, { generated }]) => generated)
            .flatMap(([name, { perTier }]) =>
              perTier ? tiers.map((tier) => `secret-${name}-${tier}`) : [`secret-${name}`],
            ),
        ];
        const names = docker.names("RandomPassword");
        assert.deepEqual(ssh.names("RandomPassword"), names);
        assert.deepEqual(
          own.filter((name) => !names.includes(name)),
          [],
        );
        // The stack's own, and the key of its backups
        assert.equal(names.length, 9 + 1 + own.length);
      });

      it("A5, O6: gives each instance the password of its own tier, and of no other", () => {
        for (const recording of [docker, ssh]) {
          for (const name of tiers) {
            const command = recording === docker ? `${name}-1-files` : `${name}-1`;
            const passwords = passwordsOf(recording, command);
            const ofTiers = tiers.filter((tier) => passwords.includes(mockPassword(tier)));
            assert.deepEqual(ofTiers, [name]);
          }
        }
      });

      it("O6: is routed by HAProxy as it says", async () => {
        const { files } = workloadOf(await describeStack({}, text), "lb-1");
        const { content = "" } = files.find(({ path }) => path === "haproxy.cfg") ?? {};
        assert.deepEqual(routesIn(content), routes);
        const delivered = JSON.stringify(ssh.get("Command", "lb-1").inputs);
        for (const line of routes) assert.ok(delivered.includes(line), line);
      });

      it("O6: has a configuration that HAProxy takes", async function () {
        this.timeout(600_000);
        const workload = workloadOf(await describeStack({}, text), "lb-1");
        const files = new Delivered(await imageFor(workload));
        try {
          const { topology } = planWith({}, text);
          const secrets = await new Issuer(topology).values("lb-1", workload.secrets);
          const { code, stderr } = await files.deliver(docker, "lb-1", { secrets });
          assert.equal(code, 0, stderr);
        } finally {
          await files.remove();
        }
      });

      it("O6: migrates where it says so, and shares what it says", () => {
        const migrations = docker.childrenOf("Migrations", "migrations");
        assert.equal(migrations.includes("Command migrations"), !!application.migrations);
        assert.deepEqual(
          docker.childrenOf("SharedStorage", "storage"),
          application.shared.map((name) => `Volume ${name}`),
        );
        const volumes = ssh
          .childrenOf("SharedStorage", "storage")
          .filter((label) => label.endsWith("-volume"));
        assert.deepEqual(
          volumes,
          application.shared.map((name) => `Command ${name}-volume`),
        );
      });
    });
  }
});
