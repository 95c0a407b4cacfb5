import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadMigrateConfig, loadServerConfig } from "../../../../app/src/run/config.ts";
import {
  givenFiles,
  instanceVariables,
  migrationVariables,
  renderEnvironment,
} from "../../../../infra/application/environment.ts";
import { credentialsFolder, type ManagedFile } from "../../../../infra/platform/platform.ts";
import { cacheAddress } from "../../../../infra/render/instance-proxy.ts";
import { makeCertificate, pemOf } from "../../../support/certificates.ts";
import { agency, first, planWith } from "../../../support/unit/fixtures.ts";
import { describeStack, taskOf, workloadOf } from "../../../support/unit/stack.ts";

const release = "0123456789ab";

/** What the first instance of the tier is given. */
function given(tierName: string, changes: Readonly<Record<string, unknown>> = {}, text = agency) {
  const { settings, topology, application } = planWith(changes, text);
  const tier = application.tiers.find(({ name }) => name === tierName);
  if (!tier) throw new Error(`there is no tier ${tierName}`);
  const self = first(topology.tiers[tierName] ?? []);
  return instanceVariables({ application, settings, topology, release }, tier, self);
}

/** What the migrations are given. */
function givenToMigrations(changes: Readonly<Record<string, unknown>> = {}) {
  return migrationVariables({ ...planWith(changes), release });
}

/** The places of secrets in these variables, each once. */
function places(variables: Readonly<Record<string, string>>): string[] {
  const found = Object.values(variables).flatMap((value) => value.match(/@\{\w+\}/g) ?? []);
  return [...new Set(found)].sort();
}

const smtp = { host: "mail.example", user: "travel@example.org", from: "travel@example.org" };

/** How every address of the database ends. */
const verified = "?sslmode=verify-full&sslrootcert=@{folder}/tls/database-ca.crt";

describe("what an instance is given", () => {
  it("O6: is this for the first storefront of the travel agency", () => {
    assert.deepEqual(given("storefront"), {
      HOST: "127.0.0.1",
      PORT: "3000",
      HASTACK_INSTANCE: "storefront-1",
      HASTACK_TIER: "storefront",
      HASTACK_RELEASE: "0123456789ab",
      HASTACK_KEEP_FILES_DAYS: "0",
      DATABASE_URL: `postgresql://app_storefront:@{database_password}@10.2.0.100:5000/hastack${verified}`,
      DATABASE_READER_URL: `postgresql://app_storefront:@{database_password}@10.2.0.100:5001/hastack${verified}`,
      DATABASE_POOL_SIZE: "10",
      PGHOST: "10.2.0.100",
      PGPORT: "5000",
      PGUSER: "app_storefront",
      PGPASSWORD: "@{database_password}",
      PGDATABASE: "hastack",
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: "@{folder}/tls/database-ca.crt",
      PUBLIC_URL: "http://10.1.0.100",
      TRUSTED_PROXIES: "127.0.0.1",
      DRAIN_SECONDS: "3",
      STOP_GRACE_SECONDS: "25",
      REDIS_URL: "redis://hastack:@{cache_password}@127.4.39.121:6379/0",
      SAMPLE_DATA: "false",
      LOG_LEVEL: "info",
      UPLOADS_MEGABYTES: "5000",
      UPLOADS_PER_ACCOUNT_MEGABYTES: "100",
      TRASH_MEGABYTES: "5000",
      COOKIE_SECRET_FILE: "@{credentials}/cookieSecret",
      SESSION_SECRET_FILE: "@{credentials}/sessionSecret",
      UPLOADS_DIRECTORY: "/var/lib/hastack/uploads",
      UV_THREADPOOL_SIZE: "16",
    });
  });

  it("A6: has a way to the mail server only in the tiers that send mail, and only where there is one", () => {
    const mail = ({ SMTP_URL, SMTP_SERVERNAME, MAIL_FROM }: Record<string, string>) => [
      SMTP_URL,
      SMTP_SERVERNAME,
      MAIL_FROM,
    ];
    const settings = { smtp, smtpPassword: "secret" };
    assert.deepEqual(mail(given("storefront", settings)), [
      "smtp://travel%40example.org:@{smtp_password}@10.2.0.100:2525",
      "mail.example",
      "travel@example.org",
    ]);
    assert.deepEqual(mail(given("admin", settings)), [undefined, undefined, undefined]);
    assert.deepEqual(mail(given("storefront")), [undefined, undefined, undefined]);
  });

  it("O3: keeps removed files a day longer than rows can be restored, and not at all without backups", () => {
    const days = (changes: Readonly<Record<string, unknown>>) =>
      [given("storefront", changes), givenToMigrations(changes)].map(
        ({ HASTACK_KEEP_FILES_DAYS: value }) => value,
      );
    // The full backup before the limit stays, which may be 7 days older
    assert.deepEqual(days({ members: { backup: 1 } }), ["22", "22"]);
    assert.deepEqual(days({ members: { backup: 1 }, backup: { retentionDays: 30 } }), ["38", "38"]);
    assert.deepEqual(days({ backup: { retentionDays: 30 } }), ["0", "0"]);
  });

  it("A9: has no address of a cache where there is none, or where it uses none", () => {
    assert.equal(given("storefront", { members: { cache: 0 } }).REDIS_URL, undefined);
    const without = agency.replace(/^cache: true$/m, "cache: false");
    assert.notEqual(without, agency);
    assert.equal(given("storefront", {}, without).REDIS_URL, undefined);
  });

  it("A15: takes a tier's pool and times from the stack's settings, where they say them", () => {
    const tiers = { storefront: { poolSize: 4, drainSeconds: 5, stopGraceSeconds: 9 } };
    const { DATABASE_POOL_SIZE, DRAIN_SECONDS, STOP_GRACE_SECONDS } = given("storefront", {
      tiers,
    });
    assert.deepEqual([DATABASE_POOL_SIZE, DRAIN_SECONDS, STOP_GRACE_SECONDS], ["4", "5", "9"]);
  });

  it("A5: has another role, port, pool and way to the cache in the second instance of the admin tier", () => {
    const { settings, topology, application } = planWith();
    const [tier, self] = [application.tiers[1], topology.tiers.admin?.[1]];
    assert.ok(tier && self);
    const all = instanceVariables({ application, settings, topology, release }, tier, self);
    const storefront = given("storefront");
    const different = Object.keys(all).filter((name) => all[name] !== storefront[name]);
    assert.deepEqual(Object.fromEntries(different.map((name) => [name, all[name]])), {
      PORT: "3001",
      HASTACK_INSTANCE: "admin-2",
      HASTACK_TIER: "admin",
      DATABASE_URL: `postgresql://app_admin:@{database_password}@10.2.0.100:5000/hastack${verified}`,
      DATABASE_READER_URL: `postgresql://app_admin:@{database_password}@10.2.0.100:5001/hastack${verified}`,
      DATABASE_POOL_SIZE: "5",
      PGUSER: "app_admin",
      REDIS_URL: "redis://hastack:@{cache_password}@127.141.105.119:6379/0",
    });
    assert.deepEqual(Object.keys(all), Object.keys(storefront));
  });

  it("A15: takes the application's own settings from the stack's", () => {
    const changes = { application: { settings: { logLevel: "warn", sampleData: true } } };
    const { LOG_LEVEL, SAMPLE_DATA } = given("admin", changes);
    assert.deepEqual([LOG_LEVEL, SAMPLE_DATA], ["warn", "true"]);
  });

  it("N5, L7: listens on its machine alone, and trusts its proxy there", () => {
    for (const tier of ["storefront", "admin"]) {
      const { HOST, TRUSTED_PROXIES } = given(tier, { members: { loadBalancer: 3 } });
      assert.deepEqual([HOST, TRUSTED_PROXIES], ["127.0.0.1", "127.0.0.1"]);
    }
  });

  it("N5: reaches the cache at an address of its machine that is its tier's alone, by the name that it has", () => {
    const hostOf = (tier: string) => new URL(given(tier).REDIS_URL ?? "").hostname;
    const [storefront, admin] = [hostOf("storefront"), hostOf("admin")];
    assert.notEqual(storefront, admin);
    for (const host of [storefront, admin]) {
      assert.match(host, /^127\./);
      // Others' on a machine
      assert.doesNotMatch(host, /^127\.0\./);
    }
    assert.equal(cacheAddress("storefront"), storefront);
  });

  it("A6: begins links with the frontend's address, or with the one that the settings give", () => {
    assert.equal(given("storefront").PUBLIC_URL, "http://10.1.0.100");
    const { PUBLIC_URL } = given("admin", { publicUrl: "https://travel.example" });
    assert.equal(PUBLIC_URL, "https://travel.example");
  });

  it("L9: begins links with https where there is a certificate", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    assert.equal(given("storefront", { certificate }).PUBLIC_URL, "https://10.1.0.100");
  });

  it("A6: says by the scheme whether the mail server is spoken to by TLS from the start", () => {
    const { SMTP_URL } = given("storefront", {
      smtp: { ...smtp, secure: true, port: 465 },
      smtpPassword: "x",
    });
    assert.match(SMTP_URL ?? "", /^smtps:\/\//);
    const { user: _, ...open } = smtp;
    assert.equal(given("storefront", { smtp: open }).SMTP_URL, "smtp://10.2.0.100:2525");
  });

  it("N3: holds no password, only the places of these", () => {
    const own = ["@{cache_password}", "@{credentials}", "@{database_password}", "@{folder}"];
    assert.deepEqual(places(given("admin")), own);
    const withMail = { smtp, smtpPassword: "secret" };
    assert.deepEqual(places(given("storefront", withMail)), [...own, "@{smtp_password}"]);
  });

  it("O6: leads to hosts outside by the load balancers, one port for each", () => {
    const text = `
name: shop
tiers: [{ name: web, command: [./web], port: 8000 }]
outside:
  payments: { host: pay.example, port: 443 }
  stockLevels: { host: 192.0.2.7, port: 8443 }
`;
    const { PAYMENTS_ADDRESS, STOCK_LEVELS_ADDRESS } = given("web", {}, text);
    assert.deepEqual(
      [PAYMENTS_ADDRESS, STOCK_LEVELS_ADDRESS],
      ["10.2.0.100:2600", "10.2.0.100:2601"],
    );
  });

  it("O6: gives a worker no address to listen on", () => {
    const text = `
name: shop
tiers:
  - { name: web, command: [./web], port: 8000 }
  - { name: worker, command: [./work] }
`;
    const { HOST, PORT, HASTACK_INSTANCE } = given("worker", {}, text);
    assert.deepEqual([HOST, PORT, HASTACK_INSTANCE], [undefined, undefined, "worker-1"]);
  });
});

describe("what the migrations are given", () => {
  it("A12, A13: is the owner's login at the primary, wherever their script finds it, and the application's own", () => {
    assert.deepEqual(givenToMigrations(), {
      HASTACK_RELEASE: "0123456789ab",
      HASTACK_KEEP_FILES_DAYS: "0",
      DATABASE_URL: `postgresql://migrator:@{database_password}@$PRIMARY:5432/hastack${verified}`,
      PGHOST: "$PRIMARY",
      PGPORT: "5432",
      PGUSER: "migrator",
      PGPASSWORD: "@{database_password}",
      PGDATABASE: "hastack",
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: "@{folder}/tls/database-ca.crt",
      PUBLIC_URL: "http://10.1.0.100",
      SAMPLE_DATA: "false",
      LOG_LEVEL: "info",
      UPLOADS_MEGABYTES: "5000",
      UPLOADS_PER_ACCOUNT_MEGABYTES: "100",
      TRASH_MEGABYTES: "5000",
      COOKIE_SECRET_FILE: "@{folder}/secrets/cookieSecret",
      ADMIN_PASSWORD_FILE: "@{folder}/secrets/adminPassword",
      UPLOADS_DIRECTORY: "/var/lib/hastack/uploads",
    });
  });

  it("A13: brings samples only where the settings say so", () => {
    const changes = { application: { settings: { sampleData: true } } };
    assert.equal(givenToMigrations(changes).SAMPLE_DATA, "true");
  });
});

describe("secrets that are replaced", () => {
  const filesWith = async (credentials: object, text?: string) => {
    const stack = await describeStack({ credentials }, text);
    const contents = ({ files }: { files: readonly ManagedFile[] }) =>
      Object.fromEntries(
        files
          .filter(({ path }) => path.startsWith("secrets/"))
          .map(({ path, content }) => [path.slice(8), content]),
      );
    return {
      stack,
      instance: contents(workloadOf(stack, "storefront-1")),
      migrations: contents(taskOf(stack, "migrations")),
    };
  };

  it("N3: come in two lines, the one in use first, where the application takes several", async () => {
    const { stack, instance, migrations } = await filesWith({
      sessionSecret: [2, 1],
      cookieSecret: [1, 2],
    });
    for (const name of ["sessionSecret", "cookieSecret"]) {
      assert.equal(instance[name], `@{own_${name}}\n@{other_${name}}`);
    }
    const { secrets } = workloadOf(stack, "storefront-1");
    const all = stack.credentials.allOfSecret("sessionSecret", "storefront");
    assert.equal(secrets.own_sessionSecret, all.get(2));
    assert.equal(secrets.other_sessionSecret, all.get(1));
    assert.equal(migrations.cookieSecret, "@{own_cookieSecret}");
  });

  it("N3: come alone where it does not", async () => {
    const { instance } = await filesWith({ cookieSecret: [2] });
    assert.equal(instance.cookieSecret, "@{own_cookieSecret}");
  });

  it("N3: a tier logs in by the login that has its password", async () => {
    for (const [generations, login] of [
      [[1, 2], "app_storefront"],
      [[2, 1], "app_storefront_2"],
      [[3], "app_storefront"],
    ] as const) {
      const stack = await describeStack({ credentials: { storefront: generations } });
      const file = workloadOf(stack, "storefront-2").files.find(
        ({ path }) => path === "environment",
      );
      assert.match(file?.content ?? "", new RegExp(`PGUSER="${login}"`));
      assert.match(file?.content ?? "", new RegExp(`postgresql://${login}:@`));
    }
  });

  it("W5: a name that is none is refused, with the nearest that is", () => {
    assert.throws(
      () => planWith({ credentials: { cashe: [2] } }),
      /credentials.cashe.*did you mean cache/s,
    );
    assert.throws(
      () => planWith({ credentials: { cache: [1, 3] } }),
      /must be one number, or two that follow each other/,
    );
  });
});

describe("the travel agency", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-environment-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const verifiedHere = () => verified.replace("@{folder}", folder);

  /** Writes the files as a machine gets them. @returns the environment that a shell reads there */
  function environmentOf(files: readonly ManagedFile[], before = ""): NodeJS.ProcessEnv {
    const authority = { path: "tls/database-ca.crt", content: "the authority's certificate" };
    for (const { path, content } of [authority, ...files]) {
      const filled = content
        .replaceAll("@{folder}", folder)
        .replaceAll("@{credentials}", join(folder, credentialsFolder))
        .replaceAll(/@\{(\w+)\}/g, (_, name) => `the-secret-called-${name}`);
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), filled);
    }
    const script = `${before}set -a; . ./environment; set +a; exec env -0`;
    const { stdout, status } = spawnSync("sh", ["-euc", script], {
      cwd: folder,
      env: { PATH: process.env.PATH },
      encoding: "utf8",
    });
    assert.equal(status, 0);
    const lines = stdout.split("\0").filter(Boolean);
    return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  }

  for (const name of ["storefront", "admin"]) {
    it(`A10, A11: takes what its instances of ${name} are given as their configuration`, () => {
      const changes = { smtp, smtpPassword: "secret" };
      const { settings, topology, application } = planWith(changes);
      const tier = application.tiers.find((one) => one.name === name);
      assert.ok(tier);
      const self = first(topology.tiers[name] ?? []);
      const all = { application, settings, topology, release };
      const files = givenFiles(application, instanceVariables(all, tier, self), tier);
      const port = name === "admin" ? 3001 : 3000;
      assert.deepEqual(loadServerConfig(environmentOf(files)), {
        tier: name,
        instance: `${name}-1`,
        release,
        listen: { host: "127.0.0.1", port },
        database: {
          writer: `postgresql://app_${name}:the-secret-called-database_password@10.2.0.100:5000/hastack${verifiedHere()}`,
          reader: `postgresql://app_${name}:the-secret-called-database_password@10.2.0.100:5001/hastack${verifiedHere()}`,
          poolSize: tier.poolSize,
        },
        uploadsDirectory: "/var/lib/hastack/uploads",
        keepFilesDays: 0,
        cookieSecrets: ["the-secret-called-own_cookieSecret"],
        sessionSecrets: ["the-secret-called-own_sessionSecret"],
        publicUrl: "http://10.1.0.100",
        cache: {
          url: `redis://hastack:the-secret-called-cache_password@${cacheAddress(name)}:6379/0`,
        },
        ...(name === "storefront" && {
          smtp: {
            host: "10.2.0.100",
            port: 2525,
            secure: false,
            servername: "mail.example",
            user: "travel@example.org",
            password: "the-secret-called-smtp_password",
            from: "travel@example.org",
          },
        }),
        trustedProxies: ["127.0.0.1"],
        drainSeconds: 3,
        stopGraceSeconds: 25,
        logLevel: "info",
      });
    });
  }

  it("A12, A14: takes what the migrations are given as theirs", () => {
    const plan = planWith({ application: { settings: { sampleData: true } } });
    const files = givenFiles(plan.application, migrationVariables({ ...plan, release }));
    assert.deepEqual(loadMigrateConfig(environmentOf(files, "PRIMARY=10.2.0.32; ")), {
      databaseUrl: `postgresql://migrator:the-secret-called-database_password@10.2.0.32:5432/hastack${verifiedHere()}`,
      adminPassword: "the-secret-called-own_adminPassword",
      uploadsDirectory: "/var/lib/hastack/uploads",
      sampleData: true,
      uploadsMegabytes: 5000,
      uploadsPerAccountMegabytes: 100,
      trashMegabytes: 5000,
    });
  });

  it("N3, A14: shows the administrator's first password to the migrations alone", () => {
    const { application } = planWith();
    const paths = (tier?: (typeof application.tiers)[number]) =>
      givenFiles(application, {}, tier).map(({ path, mode }) => `${path} ${mode}`);
    const cookies = "secrets/cookieSecret 0400";
    const sessions = "secrets/sessionSecret 0400";
    assert.deepEqual(paths(application.tiers[1]), ["environment 0400", cookies, sessions]);
    assert.deepEqual(paths(), ["environment 0400", cookies, "secrets/adminPassword 0400"]);
  });

  it("N6: gives a tier's secrets to its program and to its jobs as credentials, and starts them anew with others", () => {
    const text = `name: shop
tiers: [{ name: web, command: [./web] }, { name: office, command: [./office] }]
jobs: [{ name: sweep, tier: web, command: [./sweep], dailyAt: "03:00" }]
secrets: { key: { generated: true } }`;
    const { application } = planWith({}, text);
    const readers = application.tiers.map((tier) =>
      givenFiles(application, {}, tier).map(
        ({ credentialOf, restarts }) => credentialOf ?? restarts,
      ),
    );
    assert.deepEqual(readers, [
      ["web", ["web", "job-sweep"]],
      ["office", ["office"]],
    ]);
    const own = givenFiles(application, {}).map(({ owner, mode }) => [owner, mode]);
    assert.deepEqual(own, Array(2).fill(["hastack-migrations", "0400"]));
  });
});

describe("the file of variables", () => {
  const hard = `a "quoted" \\ $HOME $PRIMARY \`id\` 'x' ü #!`;

  it("O6: is read by a shell as it was written", () => {
    const text = renderEnvironment({ HARD: hard, DATABASE_URL: "http://$PRIMARY:1/" });
    const { stdout } = spawnSync(
      "sh",
      ["-euc", `PRIMARY=10.0.0.1\n${text}\nprintf '%s\\n' "$HARD" "$DATABASE_URL"`],
      { encoding: "utf8" },
    );
    assert.equal(stdout, `${hard}\nhttp://10.0.0.1:1/\n`);
  });
});
