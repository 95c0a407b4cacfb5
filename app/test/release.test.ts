import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import {
  type AppProcess,
  secretsFolder,
  serverConfig,
  serverEnvironment,
  spawnEntry,
  spawnServer,
} from "./support/app.ts";

describe("the release's name", function () {
  this.timeout(40_000);
  // Nothing listens there: the name is known without a database.
  const writer = { host: "127.0.0.1", port: 1 };
  let folder: string;
  let server: AppProcess | undefined;

  before(async () => {
    folder = await secretsFolder();
  });
  afterEach(async () => {
    server?.child.kill("SIGKILL");
    await server?.exit;
    server = undefined;
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  const start = (release: string) =>
    spawnServer({ ...serverConfig("storefront", { name: "none", writer }, folder), release });
  const health = async (url: string) =>
    (await (await fetch(`${url}/api/health`)).json()) as { release: string };

  it("A1: without HASTACK_RELEASE it is development", async () => {
    server = await start("");
    assert.equal((await health(server.url)).release, "development");
  });

  it("A1: HASTACK_RELEASE gives it to health, pages and log", async () => {
    server = await start("0123456789ab");
    assert.equal((await health(server.url)).release, "0123456789ab");
    const page = await fetch(server.url, { headers: { Accept: "text/html" } });
    assert.match(await page.text(), /Release 0123456789ab/);
    assert.match(server.output(), /"release":"0123456789ab".*"msg":"serving"/);
  });

  it("W5: one that is no name ends the start, naming the variable", async () => {
    const config = serverConfig("storefront", { name: "none", writer }, folder);
    const environment = await serverEnvironment({ ...config, release: "<b>" }, folder);
    const run = await spawnEntry("run/server.ts", environment);
    assert.equal(await run.exit, 78);
    assert.match(
      run.output(),
      /HASTACK_RELEASE: "<b>" cannot be used, use the name of the release/,
    );
  });
});
