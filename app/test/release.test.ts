import assert from "node:assert/strict";
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AppProcess,
  appDirectory,
  serverConfig,
  spawnEntry,
  spawnServer,
} from "./support/app.ts";

describe("the release's name", function () {
  this.timeout(40_000);
  // Nothing listens there: the name is known without a database.
  const writer = { host: "127.0.0.1", port: 1 };
  let root: string;
  let directory: string;
  let server: AppProcess | undefined;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "app-test-release-"));
    directory = join(root, "app");
    for (const part of ["package.json", "src", "views", "public", "sample"]) {
      await cp(join(appDirectory, part), join(directory, part), { recursive: true });
    }
    await symlink(join(appDirectory, "node_modules"), join(directory, "node_modules"));
  });
  afterEach(async () => {
    server?.child.kill("SIGKILL");
    await server?.exit;
    server = undefined;
  });
  after(async () => {
    await rm(root, { recursive: true });
  });

  const config = () => serverConfig("storefront", { name: "none", writer }, root);
  const name = (text: string) => writeFile(join(root, "release.json"), text);
  const health = async (url: string) =>
    (await (await fetch(`${url}/api/health`)).json()) as { release: string };

  it("A1: without a release.json it is development", async () => {
    server = await spawnServer(config(), { directory });
    assert.equal((await health(server.url)).release, "development");
  });

  it("A1: release.json beside the app gives it to health, pages and log", async () => {
    await name('{ "release": "0123456789ab", "node": "24.0.0", "arch": "x64" }\n');
    server = await spawnServer(config(), { directory });
    assert.equal((await health(server.url)).release, "0123456789ab");
    const page = await fetch(server.url, { headers: { Accept: "text/html" } });
    assert.match(await page.text(), /Release 0123456789ab/);
    assert.match(server.output(), /"release":"0123456789ab".*"msg":"serving"/);
  });

  it("W5: the configuration cannot name another", async () => {
    const run = await spawnEntry(
      "run/server.ts",
      { ...config(), release: "another" },
      { directory },
    );
    assert.equal(await run.exit, 78);
    assert.match(run.output(), /"release"/);
  });

  for (const text of ["{", '{ "release": "" }']) {
    it(`W5: a release.json of ${text} ends the start, naming the file`, async () => {
      await name(text);
      const run = await spawnEntry("run/server.ts", config(), { directory });
      assert.equal(await run.exit, 1);
      assert.match(run.output(), /release\.json does not name its release; build it again\./);
    });
  }
});
