import assert from "node:assert/strict";
import { spawnEntry } from "./support/app.ts";

const valid = {
  tier: "storefront",
  instance: "storefront-1",
  listen: { host: "127.0.0.1", port: 3000 },
  database: {
    ...{ name: "n", user: "u", password: "hidden-password" },
    ...{ writer: { host: "h", port: 1 }, reader: { host: "h", port: 1 } },
  },
  uploadsDirectory: "/u",
  cookieSecret: "hidden-secret-0123",
  publicUrl: "http://travel.test",
};

const wrong: [string, unknown, RegExp][] = [
  ["an unknown tier", { ...valid, tier: "shop" }, /tier: .*"storefront".*; found "shop"/],
  [
    "a port out of range",
    { ...valid, listen: { host: "h", port: 70000 } },
    /listen\.port: .*; found 70000/,
  ],
  ["a missing setting", { ...valid, instance: undefined }, /instance: .*; found nothing/],
  ["a misspelt setting", { ...valid, drainSecond: 3 }, /"drainSecond"/],
  [
    "a proxy that is no address",
    { ...valid, trustedProxies: ["lb-1"] },
    /trustedProxies\.0: .*"lb-1"/,
  ],
  [
    "a short cookie secret",
    { ...valid, cookieSecret: "hidden-sec" },
    /cookieSecret: .*; found \(hidden\)/,
  ],
  [
    "what is not JSON",
    '{"database":{"password":"hidden-password"},}',
    /is not JSON \(at position \d+/,
  ],
];

describe("configuration", function () {
  this.timeout(20_000);
  for (const [what, config, message] of wrong) {
    it(`W5: ${what} ends the start with exit code 78, path, value and fix, and no secret`, async () => {
      const run = await spawnEntry("run/server.ts", config);
      assert.equal(await run.exit, 78);
      assert.match(run.output(), message);
      assert.doesNotMatch(run.output(), /hidden-|at .*\.ts:/);
    });
  }

  it("W5: every wrong setting is named at once", async () => {
    const run = await spawnEntry("run/server.ts", {
      ...valid,
      tier: "shop",
      uploadsDirectory: "u",
    });
    await run.exit;
    assert.match(run.output(), /tier[\s\S]*uploadsDirectory/);
  });

  it("W5: migrations check theirs likewise", async () => {
    const run = await spawnEntry("run/migrate.ts", { database: { hosts: [] } });
    assert.equal(await run.exit, 78);
    assert.match(run.output(), /database\.hosts/);
  });

  it("A15: a port that is taken ends the start with a clear error", async () => {
    const { createServer } = await import("node:net");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const run = await spawnEntry("run/server.ts", {
      ...valid,
      listen: { host: "127.0.0.1", port },
    });
    assert.equal(await run.exit, 1);
    assert.match(run.output(), /EADDRINUSE/);
    server.close();
  });
});
