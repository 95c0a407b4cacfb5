import assert from "node:assert/strict";
import { Migrations } from "../../../../infra/components/migrations.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import {
  describeStack,
  imageOf,
  recordStack,
  release,
  taskOf,
} from "../../../support/unit/stack.ts";

describe("Migrations", () => {
  it("A12: is the release as an image, and one command that runs it", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("Migrations", "migrations"), [
      "Command migrations",
      "Command release",
      imageOf(recording, "release").label,
    ]);
  });

  it("A12: builds the image from the staged release, named by the release's hash", async () => {
    const recording = await recordStack();
    const { inputs, dependencies } = imageOf(recording, "release");
    assert.deepEqual(dependencies, ["Command release"]);
    assert.match(
      String(inputs.name),
      new RegExp(`^hastack-test/release:${release.hash}-[0-9a-f]{12}$`),
    );
    assert.deepEqual(
      (inputs.build as Record<string, unknown>).context,
      `../.hastack/images/${release.hash}`,
    );
    assert.deepEqual(recording.get("Command", "release").inputs.environment, {
      RELEASE: release.hash,
      APPLICATION: release.application,
    });
  });

  it("A12: runs in a passing container of the new release, in the backend, with the uploads", async () => {
    const recording = await recordStack();
    const { inputs } = recording.get("Command", "migrations");
    const { REQUEST = "", TARGET = "", IMAGE } = inputs.environment as Record<string, string>;
    assert.equal(IMAGE, `id-of-${imageOf(recording, "release").inputs.name}`);
    const { without, ...target } = JSON.parse(TARGET);
    assert.ok(without.includes("NET_RAW"));
    assert.deepEqual(target, {
      network: "hastack-test-backend",
      volumes: ["hastack-test-uploads:/var/lib/hastack/uploads"],
      labels: ["hastack.component=Migrations", "hastack.stack=test"],
    });
    assert.match(
      JSON.parse(REQUEST).script,
      /exec node_modules\/\.bin\/node src\/run\/migrate\.ts/,
    );
  });

  it("A12: comes after Patroni's settings, and before any instance", async () => {
    const recording = await recordStack();
    const { asked, done } = recording.get("Command", "migrations");
    assert.ok(asked > recording.get("Command", "database-settings").done);
    assert.ok(done < recording.get("Container", "storefront-1").asked);
  });

  it("A14: gives the administrator the stack's password", async () => {
    const { credentials, ...stack } = await describeStack();
    const { secrets } = taskOf({ credentials, ...stack }, "migrations");
    const { ca_database: _one, ca_patroni_api: _other, ...passwords } = secrets;
    assert.deepEqual(passwords, {
      database_password: credentials.of("migrator"),
      own_cookieSecret: credentials.ofSecret("cookieSecret"),
      own_adminPassword: credentials.ofSecret("adminPassword"),
    });
  });

  it("A5: runs unprivileged, with variables and secrets in files that only its user reads", async () => {
    const { user, files } = taskOf(await describeStack(), "migrations");
    assert.equal(user, "hastack-migrations");
    assert.deepEqual(
      files.map(({ path, owner, mode }) => [path, owner, mode]),
      [
        ["tls/database-ca.crt", undefined, "0444"],
        ["tls/patroni-api-ca.crt", undefined, "0444"],
        ["environment", "hastack-migrations", "0400"],
        ["secrets/cookieSecret", "hastack-migrations", "0400"],
        ["secrets/adminPassword", "hastack-migrations", "0400"],
      ],
    );
  });
});

describe("Migrations on its own", () => {
  const build = ({ platform, topology, application, settings, secrets, ...given }: Surroundings) =>
    new Migrations(
      "migrations",
      {
        platform,
        topology,
        certificates: given.certificates,
        application,
        settings,
        secrets,
        migratorPassword: given.password("migrator"),
        release: given.release,
        shared: given.shared,
      },
      given.options,
    );

  it("A12: is one command on machines, once the release is there", async () => {
    const recording = await recordAlone("ssh", build);
    assert.deepEqual(recording.childrenOf("Migrations", "migrations"), ["Command migrations"]);
    const { MACHINE } = recording.get("Command", "migrations").inputs.environment as {
      MACHINE: string;
    };
    assert.equal(MACHINE, "node-1");
    assertOrder(recording, "Command node-1-release", "Command migrations");
  });

  it("A12: waits for its image on docker", async () => {
    const recording = await recordAlone("docker", build);
    assertOrder(
      recording,
      "Command release",
      imageOf(recording, "release").label,
      "Command migrations",
    );
  });

  it("O6: is nothing for an application without migrations", async () => {
    const text = "{ name: shop, tiers: [{ name: web, command: [./web], port: 8000 }] }";
    const recording = await recordAlone("docker", build, { text });
    assert.deepEqual(recording.childrenOf("Migrations", "migrations"), []);
  });

  it("N3: shows no password", async () => {
    for (const where of platforms) assertNothingShown(await recordAlone(where, build));
  });
});
