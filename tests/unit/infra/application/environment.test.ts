import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  instanceVariables,
  migrationVariables,
  renderEnvironment,
} from "../../../../infra/application/environment.ts";
import { agency, applicationWith, first, planWith } from "../../../support/unit/fixtures.ts";

/** What the first instance of the tier is given. */
function given(tierName: string, changes: Readonly<Record<string, unknown>> = {}, text = agency) {
  const { settings, topology, application } = planWith(changes, text);
  const tier = application.tiers.find(({ name }) => name === tierName);
  if (!tier) throw new Error(`there is no tier ${tierName}`);
  const self = first(topology.tiers[tierName] ?? []);
  const all = { application, settings, topology, release: "0123456789ab" };
  return instanceVariables(all, tier, self);
}

const smtp = { host: "mail.example", user: "travel@example.org", from: "travel@example.org" };

describe("what an instance is given", () => {
  it("O6: is this for the first storefront of the travel agency", () => {
    assert.deepEqual(given("storefront"), {
      HOST: "10.2.0.41",
      PORT: "3000",
      HASTACK_INSTANCE: "storefront-1",
      HASTACK_TIER: "storefront",
      HASTACK_RELEASE: "0123456789ab",
      DATABASE_URL: "postgresql://app_storefront:@{database_password}@10.2.0.100:5000/hastack",
      DATABASE_READER_URL:
        "postgresql://app_storefront:@{database_password}@10.2.0.100:5001/hastack",
      DATABASE_POOL_SIZE: "10",
      PGHOST: "10.2.0.100",
      PGPORT: "5000",
      PGUSER: "app_storefront",
      PGPASSWORD: "@{database_password}",
      PGDATABASE: "hastack",
      PUBLIC_URL: "http://10.1.0.100",
      TRUSTED_PROXIES: "10.2.0.11,10.2.0.12",
      DRAIN_SECONDS: "3",
      STOP_GRACE_SECONDS: "25",
      REDIS_URL: "redis://hastack:@{cache_password}@10.2.0.61:6379/0",
      SAMPLE_DATA: "false",
      LOG_LEVEL: "info",
      COOKIE_SECRET_FILE: "@{folder}/secrets/cookieSecret",
      UPLOADS_DIRECTORY: "/var/lib/hastack/uploads",
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
  it("A12: is the owner's login at the primary, wherever their script finds it", () => {
    const { settings, topology } = planWith();
    const application = applicationWith(agency);
    const given = { application, settings, topology, release: "0123456789ab" };
    const { DATABASE_URL, PGHOST, PORT } = migrationVariables(given);
    assert.deepEqual(
      [DATABASE_URL, PGHOST, PORT],
      ["postgresql://migrator:@{database_password}@$PRIMARY:5432/hastack", "$PRIMARY", undefined],
    );
  });
});

describe("the file of variables", () => {
  const hard = `a "quoted" \\ $HOME \`id\` 'x' ü #!`;

  it("O6: is read by a shell as it was written", () => {
    const text = renderEnvironment({ HARD: hard, URL: "http://$PRIMARY:1/" });
    const { stdout } = spawnSync(
      "sh",
      ["-euc", `PRIMARY=10.0.0.1\n${text}\nprintf '%s\\n' "$HARD" "$URL"`],
      { encoding: "utf8" },
    );
    assert.equal(stdout, `${hard}\nhttp://10.0.0.1:1/\n`);
  });
});
