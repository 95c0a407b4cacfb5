/** The page in a browser, with what a whole stack answered. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "../../../../../app/test/support/browser.ts";
import type { Picture } from "../../../../../operate/status/picture.ts";
import { Looks } from "../../../../../operate/status/web/looks.ts";
import { sceneOf } from "../../../../../operate/status/web/scene.ts";
import { type StatusServer, serveStatus } from "../../../../../operate/status/web/server.ts";
import { hostKeyOf, planWith, threeMachines } from "../../../../support/unit/fixtures.ts";
import { recordedPicture, recordedStack } from "../recorded-dev.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

describe("the status page", function () {
  this.timeout(60_000);
  let browser: Browser;
  let server: StatusServer;
  let page: Page;
  let problems: string[];
  let picture: Picture;

  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser?.close());
  beforeEach(async () => {
    picture = recordedPicture("whole");
    const now = () => ({ ...picture, at: new Date().toISOString() });
    server = await serveStatus(sceneOf(recordedStack), new Looks(async () => now()));
  });
  afterEach(async () => {
    await page?.close();
    await server.close();
  });

  async function open(width: number, height: number, colorScheme: "light" | "dark") {
    // The page's own rules hold for what is put into it here, too; axe is read as text instead
    page = await browser.newPage({ viewport: { width, height }, colorScheme });
    problems = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => problems.push(message.text()));
    await page.goto(server.url);
    await page.waitForSelector("svg [data-member]");
  }
  const shows = (name: string, state: string) =>
    page.waitForSelector(`svg [data-member="${name}"][data-state="${state}"]`, { timeout: 8000 });
  const seen = (selector: string) =>
    page
      .locator(selector)
      .textContent()
      .then((text) => text ?? "");

  async function violations(): Promise<string[]> {
    await page.evaluate(axe);
    const { violations: found } = (await page.evaluate(
      `axe.run({ runOnly: { type: "tag", values: ${JSON.stringify(rules)} } })`,
    )) as { violations: { id: string; nodes: { failureSummary: string }[] }[] };
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.failureSummary}`);
  }

  it("O1: shows who is what, and each change within seconds, in colour and in words", async () => {
    await open(1440, 900, "light");
    assert.equal(await seen("#word"), "ok");
    assert.match(await seen("#found"), /Nothing/);
    assert.equal(page.url(), new URL("/", server.url).href);
    const svg = () => page.locator("#picture").textContent();
    assert.match((await svg()) ?? "", /172\.28\.10\.100 at lb-1/);
    assert.equal(await page.locator("path.wire.replication").count(), 1);
    const colour = () =>
      page.evaluate(`getComputedStyle(document.querySelector('[data-member="lb-1"] .card')).fill`);
    const before = await colour();
    picture = recordedPicture("lb-killed");
    await shows("lb-1", "unreachable");
    await page.waitForTimeout(600);
    assert.notEqual(await colour(), before);
    assert.match((await svg()) ?? "", /172\.28\.10\.100 at lb-2/);
    assert.match(await seen("#found"), /docker start hastack-dev-lb-1/);
    picture = recordedPicture("primary-killed");
    await shows("db-1", "unreachable");
    assert.equal(await page.locator("path.wire.replication").count(), 0);
    picture = recordedPicture("etcd-two-paused");
    await shows("etcd-3", "unreachable");
    assert.match(await seen("#found"), /etcd-2, etcd-3.*docker unpause hastack-dev-NAME/s);
    assert.match((await svg()) ?? "", /etcd-1no leader/);
    assert.match(await seen("#age"), /^asked \d s ago/);
    assert.deepEqual(problems, []);
  });

  for (const [width, height] of [
    [1440, 900],
    [390, 800],
  ] as const)
    for (const scheme of ["light", "dark"] as const)
      it(`O1: can be read by everybody, ${width} pixels wide, ${scheme}`, async () => {
        await open(width, height, scheme);
        for (const state of ["whole", "etcd-two-paused", "lb-drained"]) {
          picture = recordedPicture(state);
          await page.waitForTimeout(1500);
          assert.deepEqual(await violations(), [], state);
          const over = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth",
          );
          assert.equal(over, 0, "nothing sticks out");
        }
        assert.deepEqual(problems, []);
      });

  it("O1: is seen again when it is loaded anew, in its own tab alone", async () => {
    await open(1000, 700, "light");
    await page.reload();
    await page.waitForSelector("svg [data-member]");
    const other = await browser.newPage();
    await other.goto(new URL("/", server.url).href);
    await other.waitForFunction("/whole address/.test(document.body.textContent)");
    await other.close();
    const { port } = new URL(server.url);
    await server.close();
    server = await serveStatus(
      sceneOf(recordedStack),
      new Looks(async () => ({ ...recordedPicture("lb-killed"), at: new Date().toISOString() })),
      Number(port),
    );
    await page.goto(server.url);
    await shows("lb-1", "unreachable");
  });

  it("O1: tells its token to nobody else on this machine", async () => {
    const heard: string[] = [];
    const stranger = createServer(({ url, headers }, response) => {
      heard.push(JSON.stringify([url, headers]));
      response.end("hello");
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    try {
      await open(1000, 700, "light");
      await page.goto(`http://127.0.0.1:${(stranger.address() as AddressInfo).port}/`);
      assert.ok(heard.length > 0);
      assert.doesNotMatch(heard.join(), /cookie/);
      assert.ok(!heard.join().includes(new URL(server.url).hash.slice(1)));
    } finally {
      stranger.closeAllConnections();
      stranger.close();
    }
  });

  it("O1: goes grey and says so when its server is gone", async () => {
    await open(1000, 700, "light");
    await server.close();
    await page.waitForSelector("body.gone", { timeout: 10_000 });
    assert.match(await seen("#age"), /The server is gone: this is \d+ s old/);
  });

  it("O1: puts members that share a machine into its box", async () => {
    await server.close();
    const machines = (threeMachines()["hastack:machines"] as { name: string }[]).map((one) => ({
      ...one,
      hostKey: hostKeyOf(one.name),
    }));
    const network = threeMachines()["hastack:network"];
    const stack = { name: "three", ...planWith({ platform: "ssh", machines, network }) };
    const scene = sceneOf(stack);
    const members = scene.machines.flatMap(({ name, members }) =>
      members.map((member) => ({
        name: member,
        role: "storefront",
        machine: name,
        state: "ok" as const,
        is: "well",
        findings: [],
        marks: {},
      })),
    );
    server = await serveStatus(scene, new Looks(async () => ({ ...picture, members })));
    await open(1200, 900, "dark");
    assert.equal(await page.locator(".machine").count(), 3);
    assert.equal(await page.locator("[data-member]").count(), members.length);
    const { x, y, width, height } = (await page.locator(".machine").first().boundingBox()) ?? {
      x: 0,
      y: 0,
      width: 0,
      height: 0,
    };
    const first = scene.machines[0]?.members ?? [];
    assert.ok(first.length > 1);
    for (const name of first) {
      const card = await page.locator(`[data-member="${name}"] .card`).boundingBox();
      assert.ok(card && card.x >= x && card.x + card.width <= x + width, name);
      assert.ok(card.y >= y && card.y + card.height <= y + height, name);
    }
  });
});
