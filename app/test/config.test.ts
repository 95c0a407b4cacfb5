import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ConfigError,
  type Environment,
  loadMigrateConfig,
  loadServerConfig,
} from "../src/run/config.ts";
import { secretsFolder, spawnEntry } from "./support/app.ts";

const databaseUrl = "postgresql://u:hidden-password@h:5000/n";

/** Files of secrets, by name. */
const secretFiles = {
  cookies: "hidden-secret-0123",
  newline: "hidden-secret-0123\n",
  short: "hidden-sec",
  two: "hidden-secret-0123\nhidden-secret-4567\n",
  halfShort: "hidden-secret-0123\nhidden-sec",
  password: "hidden-password",
};

const wrong: [string, Environment, RegExp][] = [
  [
    "an unknown tier",
    { HASTACK_TIER: "shop" },
    /HASTACK_TIER: "shop" cannot be used, use storefront or admin/,
  ],
  [
    "a port out of range",
    { PORT: "70000" },
    /PORT: "70000" cannot be used, use the port to listen on, 0 to 65535/,
  ],
  ["a port that is no number", { PORT: "3e3" }, /PORT: "3e3" cannot be used/],
  [
    "a missing variable",
    { DATABASE_URL: undefined },
    /DATABASE_URL is not set: set it to postgresql:/,
  ],
  ["an empty variable", { DATABASE_URL: "" }, /DATABASE_URL is not set/],
  [
    "a database of another kind",
    { DATABASE_URL: "mysql://u:hidden-password@h/n" },
    /DATABASE_URL: \(hidden\) does not begin with postgresql:\/\/ or postgres:\/\/, use postgresql:/,
  ],
  [
    "a database without a name",
    { DATABASE_READER_URL: "postgres://u:hidden-password@h:5001" },
    /DATABASE_READER_URL: \(hidden\) names no database/,
  ],
  [
    "a URL that cannot be decoded",
    { DATABASE_URL: "postgres://u:hidden-%zz@h/n" },
    /DATABASE_URL: \(hidden\) cannot be read/,
  ],
  [
    "a certificate authority that is not there",
    { DATABASE_URL: `${databaseUrl}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem` },
    /DATABASE_URL: \(hidden\) names the file \/nowhere\/ca\.pem, which cannot be read \(ENOENT\)/,
  ],
  [
    "a cache's certificate authority that is not there",
    { REDIS_URL: "rediss://u:hidden-password@h:6379/0?ssl_ca_certs=/nowhere/ca.pem" },
    /REDIS_URL: \(hidden\) names the file \/nowhere\/ca\.pem, which cannot be read \(ENOENT\)/,
  ],
  [
    "a cache of another kind",
    { REDIS_URL: "http://:hidden-password@h" },
    /REDIS_URL: \(hidden\) does not begin with redis:/,
  ],
  ["a mail server without a sender", { SMTP_URL: "smtp://h:2525" }, /MAIL_FROM is not set/],
  [
    "a proxy that is no address",
    { TRUSTED_PROXIES: "10.2.0.11,lb-1" },
    /TRUSTED_PROXIES: "10\.2\.0\.11,lb-1" cannot be used, use addresses/,
  ],
  [
    "a public URL with a slash at its end",
    { PUBLIC_URL: "https://travel.test/" },
    /PUBLIC_URL: "https:\/\/travel\.test\/" cannot be used, use .*without a slash/,
  ],
  [
    "a short cookie secret",
    { COOKIE_SECRET_FILE: "short" },
    /COOKIE_SECRET_FILE: "[^"]+short" holds 10 characters, use the path of a file with at least 16/,
  ],
  [
    "a short cookie secret beside a good one",
    { COOKIE_SECRET_FILE: "halfShort" },
    /COOKIE_SECRET_FILE: "[^"]+halfShort" holds 10 characters, use the path of a file with at least 16/,
  ],
  [
    "a secret's file that is not there",
    { COOKIE_SECRET_FILE: "/nowhere/cookies" },
    /COOKIE_SECRET_FILE: "\/nowhere\/cookies" cannot be read \(ENOENT\)/,
  ],
  [
    "a release without a cookie secret",
    { HASTACK_RELEASE: "0123456789ab", COOKIE_SECRET_FILE: undefined },
    /COOKIE_SECRET_FILE is not set/,
  ],
  [
    "a release without a secret for its tier's sessions",
    { HASTACK_RELEASE: "0123456789ab", SESSION_SECRET_FILE: undefined },
    /SESSION_SECRET_FILE is not set/,
  ],
  [
    "a release without a place for uploads",
    { HASTACK_RELEASE: "0123456789ab", UPLOADS_DIRECTORY: undefined },
    /UPLOADS_DIRECTORY is not set/,
  ],
  [
    "a release without a public URL",
    { HASTACK_RELEASE: "0123456789ab", PUBLIC_URL: undefined },
    /PUBLIC_URL is not set/,
  ],
];

describe("configuration", function () {
  this.timeout(20_000);
  let folder: string;

  before(async () => {
    folder = await secretsFolder();
    for (const [name, text] of Object.entries(secretFiles)) {
      await writeFile(join(folder, name), text);
    }
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  /** A whole environment but for what is changed; files of secrets are given by name. */
  const environment = (changes: Environment = {}): Record<string, string> => {
    const all: Environment = {
      DATABASE_URL: databaseUrl,
      UPLOADS_DIRECTORY: "/u",
      COOKIE_SECRET_FILE: "cookies",
      SESSION_SECRET_FILE: "cookies",
      PUBLIC_URL: "http://travel.test",
      ...changes,
    };
    const set = Object.entries(all).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return Object.fromEntries(
      set.map(([name, value]) => [name, value in secretFiles ? join(folder, value) : value]),
    );
  };

  for (const [what, changes, message] of wrong) {
    it(`W5: ${what} is refused with variable, problem and fix, and no secret`, () => {
      assert.throws(
        () => loadServerConfig(environment(changes)),
        (error: Error) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hidden-/);
          assert.equal(error.message.split("\n").length, 2, error.message);
          return true;
        },
      );
    });
  }

  it("W5: the start ends with exit code 78, every wrong variable named at once, and no stack", async () => {
    const changes = { HASTACK_TIER: "shop", UPLOADS_DIRECTORY: "u", DATABASE_URL: "hidden-" };
    const run = await spawnEntry("run/server.ts", environment(changes));
    assert.equal(await run.exit, 78);
    assert.match(run.output(), /HASTACK_TIER[\s\S]*DATABASE_URL[\s\S]*UPLOADS_DIRECTORY/);
    assert.doesNotMatch(run.output(), /hidden-|at .*\.ts:/);
  });

  it("W5: migrations check theirs likewise", async () => {
    const run = await spawnEntry("run/migrate.ts", { SAMPLE_DATA: "yes", UPLOADS_MEGABYTES: "0" });
    assert.equal(await run.exit, 78);
    assert.match(
      run.output(),
      /DATABASE_URL is not set[\s\S]*ADMIN_PASSWORD_FILE is not set[\s\S]*SAMPLE_DATA: "yes" cannot be used, use true or false[\s\S]*UPLOADS_MEGABYTES: "0" cannot be used, use megabytes/,
    );
  });

  it("W5: all that an instance is told", () => {
    const read = loadServerConfig(
      environment({
        ...{ HOST: "10.2.0.41", PORT: "3001" },
        ...{ HASTACK_TIER: "admin", HASTACK_INSTANCE: "admin-2", HASTACK_RELEASE: "0123456789ab" },
        DATABASE_READER_URL: "postgresql://u:hidden-password@h:5001/n",
        DATABASE_POOL_SIZE: "7",
        REDIS_URL: "redis://hastack:c@10.2.0.61:6379/0",
        SMTP_URL: "smtps://post%40x:p%2Fw@10.2.0.100:2525",
        ...{ SMTP_SERVERNAME: "mail.example", MAIL_FROM: "agency@travel.test" },
        SMTP_CA_FILE: join(folder, "cookies"),
        TRUSTED_PROXIES: "10.2.0.11, 10.2.0.12",
        ...{ DRAIN_SECONDS: "0.5", STOP_GRACE_SECONDS: "20" },
        ...{ COOKIE_SECRET_FILE: "newline", SESSION_SECRET_FILE: "two", LOG_LEVEL: "warn" },
      }),
    );
    assert.deepEqual(read, {
      tier: "admin",
      instance: "admin-2",
      release: "0123456789ab",
      listen: { host: "10.2.0.41", port: 3001 },
      database: {
        writer: databaseUrl,
        reader: "postgresql://u:hidden-password@h:5001/n",
        poolSize: 7,
      },
      uploadsDirectory: "/u",
      keepFilesDays: 0,
      cookieSecrets: ["hidden-secret-0123"],
      sessionSecrets: ["hidden-secret-0123", "hidden-secret-4567"],
      publicUrl: "http://travel.test",
      cache: { url: "redis://hastack:c@10.2.0.61:6379/0" },
      smtp: {
        ...{ host: "10.2.0.100", port: 2525, secure: true },
        ...{ user: "post@x", password: "p/w" },
        ...{ servername: "mail.example", from: "agency@travel.test" },
        certificateAuthority: secretFiles.cookies,
      },
      trustedProxies: ["10.2.0.11", "10.2.0.12"],
      drainSeconds: 0.5,
      stopGraceSeconds: 20,
      logLevel: "warn",
    });
  });

  it("W5: in a checkout DATABASE_URL is enough", () => {
    const { uploadsDirectory, cookieSecrets, sessionSecrets, ...read } = loadServerConfig({
      DATABASE_URL: databaseUrl,
    });
    assert.deepEqual(read, {
      ...{ tier: "storefront", instance: "storefront-1", release: "development" },
      listen: { host: "127.0.0.1", port: 3000 },
      database: { writer: databaseUrl, reader: databaseUrl, poolSize: 10 },
      publicUrl: "http://127.0.0.1:3000",
      keepFilesDays: 0,
      ...{ trustedProxies: [], drainSeconds: 3, stopGraceSeconds: 25, logLevel: "info" },
    });
    assert.match(uploadsDirectory, /\/app\/\.uploads$/);
    const again = loadServerConfig({ DATABASE_URL: databaseUrl });
    const secrets = [
      cookieSecrets,
      sessionSecrets,
      again.cookieSecrets,
      again.sessionSecrets,
    ].flat();
    assert.equal(new Set(secrets).size, 4);
    for (const secret of secrets) assert.ok(secret.length >= 32);
  });

  it("W5: all that the migrations are told", () => {
    const changes = {
      ...{ ADMIN_PASSWORD_FILE: "password", SAMPLE_DATA: "true" },
      UPLOADS_MEGABYTES: "700",
    };
    assert.deepEqual(loadMigrateConfig(environment(changes)), {
      databaseUrl,
      adminPassword: "hidden-password",
      uploadsDirectory: "/u",
      sampleData: true,
      uploadsMegabytes: 700,
      uploadsPerAccountMegabytes: 100,
      trashMegabytes: 5000,
    });
  });

  it("A15: a port that is taken ends the start with a clear error", async () => {
    const { createServer } = await import("node:net");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const run = await spawnEntry("run/server.ts", environment({ PORT: String(port) }));
    assert.equal(await run.exit, 1);
    assert.match(run.output(), /EADDRINUSE/);
    server.close();
  });
});
