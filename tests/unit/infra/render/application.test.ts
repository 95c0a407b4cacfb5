import assert from "node:assert/strict";
import { renderApplication, renderMigrations } from "../../../../infra/render/application.ts";
import { makeCertificate, pemOf } from "../../../support/certificates.ts";
import { planWith } from "../../../support/unit/fixtures.ts";

function rendered(tier: "storefront" | "admin", changes: Readonly<Record<string, unknown>> = {}) {
  const { settings, topology } = planWith(changes);
  const self = topology.tiers[tier]?.[1];
  if (!self) throw new Error(`there is no second ${tier}`);
  return renderApplication(settings, topology, self, tier);
}

const withMail = {
  smtp: { host: "mail.example", user: "travel", from: "travel@example.org" },
  smtpPassword: "secret",
};

describe("the application's app.json", () => {
  it("A10, A11: is this for the second instance of the admin tier", () => {
    assert.equal(rendered("admin"), admin);
  });

  it("A5: has another principal, port and pool in the storefront tier", () => {
    const { tier, listen, database } = JSON.parse(rendered("storefront"));
    assert.deepEqual(
      [tier, listen, database.user, database.poolSize],
      ["storefront", { host: "10.2.0.42", port: 3000 }, "storefront", 10],
    );
  });

  it("A15: takes pools, times and the log level from the settings", () => {
    const text = rendered("storefront", {
      tiers: { storefront: { poolSize: 4, drainSeconds: 5, stopGraceSeconds: 9 } },
      application: { settings: { logLevel: "warn" } },
    });
    const { database, drainSeconds, stopGraceSeconds, logLevel } = JSON.parse(text);
    assert.deepEqual(
      [database.poolSize, drainSeconds, stopGraceSeconds, logLevel],
      [4, 5, 9, "warn"],
    );
  });

  it("L7: trusts the addresses of the load balancers, and no other", () => {
    const { trustedProxies } = JSON.parse(rendered("admin", { members: { loadBalancer: 3 } }));
    assert.deepEqual(trustedProxies, ["10.2.0.11", "10.2.0.12", "10.2.0.13"]);
  });

  it("A9: knows the cache, as its own user, unless there is none", () => {
    const { cache } = JSON.parse(rendered("storefront"));
    const password = "@{cache_password}";
    assert.deepEqual(cache, { host: "10.2.0.61", port: 6379, user: "hastack", password });
    assert.ok(!("cache" in JSON.parse(rendered("storefront", { members: { cache: 0 } }))));
  });

  it("A6: begins links with the frontend's address, or with the one that the settings give", () => {
    assert.equal(JSON.parse(rendered("storefront")).publicUrl, "http://10.1.0.100");
    const { publicUrl } = JSON.parse(rendered("admin", { publicUrl: "https://travel.example" }));
    assert.equal(publicUrl, "https://travel.example");
  });

  it("L9: begins links with https where there is a certificate", async () => {
    const certificate = pemOf(await makeCertificate({ names: ["IP:10.1.0.100"] }));
    const { publicUrl } = JSON.parse(rendered("storefront", { certificate }));
    assert.equal(publicUrl, "https://10.1.0.100");
  });

  it("A6: reaches the mail server through the load balancers, from the storefront", () => {
    assert.ok(!("smtp" in JSON.parse(rendered("storefront"))));
    assert.ok(!("smtp" in JSON.parse(rendered("admin", withMail))));
    assert.deepEqual(JSON.parse(rendered("storefront", withMail)).smtp, {
      host: "10.2.0.100",
      port: 2525,
      secure: false,
      servername: "mail.example",
      user: "travel",
      password: "@{smtp_password}",
      from: "travel@example.org",
    });
  });

  it("N3: holds no password, only the places of these", () => {
    const places = ["@{database_password}", "@{cookie_secret}", "@{cache_password}"];
    assert.deepEqual(rendered("admin").match(/@\{\w+\}/g), places);
    const text = rendered("storefront", withMail);
    assert.deepEqual(text.match(/@\{\w+\}/g), [...places, "@{smtp_password}"]);
  });
});

describe("the migrations' app.json", () => {
  it("A12, A13: is this", () => {
    const { settings, topology } = planWith();
    assert.equal(renderMigrations(settings, topology), migrations);
  });

  it("A13: brings samples only where the settings say so", () => {
    const { settings, topology } = planWith({ application: { settings: { sampleData: true } } });
    assert.equal(JSON.parse(renderMigrations(settings, topology)).sampleData, true);
  });
});

const admin = `{
  "tier": "admin",
  "instance": "admin-2",
  "listen": {
    "host": "10.2.0.52",
    "port": 3001
  },
  "database": {
    "name": "hastack",
    "user": "admin",
    "password": "@{database_password}",
    "poolSize": 5,
    "writer": {
      "host": "10.2.0.100",
      "port": 5000
    },
    "reader": {
      "host": "10.2.0.100",
      "port": 5001
    }
  },
  "uploadsDirectory": "/var/lib/hastack/uploads",
  "cookieSecret": "@{cookie_secret}",
  "publicUrl": "http://10.1.0.100",
  "cache": {
    "host": "10.2.0.61",
    "port": 6379,
    "user": "hastack",
    "password": "@{cache_password}"
  },
  "trustedProxies": [
    "10.2.0.11",
    "10.2.0.12"
  ],
  "drainSeconds": 3,
  "stopGraceSeconds": 25,
  "logLevel": "info"
}
`;

const migrations = `{
  "database": {
    "name": "hastack",
    "user": "migrator",
    "password": "@{database_password}",
    "hosts": [
      {
        "host": "10.2.0.31",
        "port": 5432
      },
      {
        "host": "10.2.0.32",
        "port": 5432
      }
    ]
  },
  "principals": {
    "storefront": "storefront",
    "admin": "admin"
  },
  "adminPassword": "@{admin_password}",
  "uploadsDirectory": "/var/lib/hastack/uploads",
  "sampleData": false
}
`;
