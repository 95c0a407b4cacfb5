/** The page of a proof: what is in it, and how it is seen in a browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "../../../../../app/test/support/browser.ts";
import { pageOf } from "../../../../../operate/prove/report/page.ts";
import {
  balancerLost,
  cacheLost,
  drawnProof,
  drawnRun,
  networkSplit,
} from "../../../../support/unit/proof.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const evil = `</title></style><script>alert(1)</script><img src=x onerror="alert('2')">&`;

/** Words of the data that decide what is drawn, and so cannot be just any text. */
const fixed = ["kind", "program", "void"];

/** The same with another text in place of each. @param name of the field */
function withTexts(value: unknown, text: string, name = ""): unknown {
  if (typeof value === "string") return fixed.includes(name) ? value : text;
  if (Array.isArray(value)) return value.map((one) => withTexts(one, text, name));
  if (typeof value !== "object" || value === null) return value;
  const isOfTexts = name === "reasons" || name === "rates";
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      isOfTexts ? text : key,
      withTexts(one, text, isOfTexts ? "" : key),
    ]),
  );
}

/** Names of elements that are not ended as they were begun. */
function unbalanced(text: string): string[] {
  const alone = ["meta", "!doctype"];
  const open: string[] = [];
  for (const [, end, name = "", closed] of text.matchAll(/<(\/?)([a-z!][\w-]*)[^<>]*?(\/?)>/gi)) {
    if (closed || alone.includes(name)) continue;
    if (!end) open.push(name);
    else if (open.pop() !== name) return [...open, name];
  }
  return open;
}

describe("the page of a proof", () => {
  it("is well-formed, whatever is missing", () => {
    const bare = drawnRun({ series: [], events: [], stages: [], members: [] });
    const { mendedAt: _mendedAt, wholeAt: _wholeAt, ...never } = bare;
    for (const proof of [
      drawnProof(),
      drawnProof({ faults: [], skipped: [] }),
      drawnProof({ faults: [{ ...cacheLost(), runs: [] }] }),
      drawnProof({ faults: [{ ...cacheLost(), runs: [bare, never, drawnRun({ void: "late" })] }] }),
    ]) {
      const text = pageOf(proof);
      assert.deepEqual(unbalanced(text), []);
      assert.doesNotMatch(text, /undefined|NaN|Infinity|\[object/);
    }
    assert.deepEqual(unbalanced("<p><b>a</p></b>"), ["p", "p"]);
  });

  it("says where runs are left, and how to go on", () => {
    const whole = drawnProof({ chosen: [balancerLost().name] });
    assert.doesNotMatch(pageOf(whole), /Not at its end/);
    const half = pageOf({ ...whole, chosen: [...whole.chosen, "etcd-lost"] });
    assert.match(half, /1 of 2 faults had not all runs yet/);
    assert.match(half, /<code>npm run prove -- --stack dev --resume<\/code>/);
  });

  it("takes every text for text", () => {
    const text = pageOf(withTexts(drawnProof(), evil) as ReturnType<typeof drawnProof>);
    assert.doesNotMatch(text, /<script|<img|onerror="/);
    assert.match(text, /&lt;script&gt;alert\(1\)&lt;\/script&gt;&lt;img src=x onerror=&quot;/);
    assert.deepEqual(unbalanced(text), []);
    const marks = text.split(/&lt;script&gt;/).length - 1;
    assert.ok(marks > 100, `${marks} texts`);
  });

  it("shows what would turn the order of letters as a number", () => {
    const text = pageOf(drawnProof({ stack: "de\u202ev" }));
    assert.ok(!text.includes("\u202e"));
    assert.match(text, /<h1>What the stack de\\u202ev withstands<\/h1>/);
  });

  it("names nothing that is elsewhere", () => {
    const text = pageOf(drawnProof());
    assert.doesNotMatch(text, /https?:|\/\/|url\(|@import|\ssrc=|<link|<script|\sstyle=|\son\w+=/);
    assert.match(
      text,
      /<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-/,
    );
    const links = [...text.matchAll(/href="([^"]*)"/g)].map(([, link = ""]) => link);
    assert.deepEqual(links, ["#fault-1", "#fault-2", "#fault-3", "#fault-4", "#fault-5"]);
    for (const link of links) assert.ok(text.includes(`id="${link.slice(1)}"`), link);
  });
});

describe("the page of a proof in a browser", function () {
  this.timeout(60_000);
  let browser: Browser;
  let page: Page;
  let problems: string[];

  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser?.close());
  afterEach(() => page?.close());

  async function open(text: string, width = 1280, colorScheme: "light" | "dark" = "light") {
    page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    problems = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => problems.push(message.text()));
    page.on("dialog", (dialog) => {
      problems.push(dialog.message());
      return dialog.dismiss();
    });
    page.on("request", (request) => problems.push(request.url()));
    await page.setContent(text);
  }
  const texts = (selector: string) => page.locator(selector).allTextContents();

  it("runs nothing and asks for nothing, even where every text tries", async () => {
    await open(pageOf(withTexts(drawnProof(), evil) as ReturnType<typeof drawnProof>));
    assert.equal(await page.locator("script, img").count(), 0);
    assert.deepEqual(await texts("h1"), [`What the stack ${evil} withstands`]);
    assert.ok((await page.locator("svg.timeline").first().textContent())?.includes(evil));
    assert.deepEqual(problems, []);
  });

  it("says the verdict, what was promised, and what was measured", async () => {
    await open(pageOf(drawnProof()));
    assert.deepEqual(await texts("header .verdict .pill"), ["violated"]);
    assert.match((await texts("header")).join(), /promises kept for 2, missed for 2/);
    assert.deepEqual(await texts(".overview .pill"), [
      "held",
      "missed",
      "missed",
      "violated",
      "held",
    ]);
    assert.deepEqual(await texts(".overview tbody tr:first-child td"), [
      "1 s",
      "0.40 s 0 failed",
      "0.90 s 12 failed",
      "30 s",
      "23.1 s 553 failed",
      "23.4 s 570 failed",
      "3",
      "held",
    ]);
    assert.deepEqual(await texts(".overview .over"), [
      ...["27 failed", "27 failed", "10 failed", "10 failed"],
      ...["16.3 s", "380 failed", "16.3 s", "380 failed"],
    ]);
    assert.deepEqual(await texts("#run-4-1 .notes li"), [
      "lost write: register r-17: 4711 was acknowledged at 10.213 s by db-1, and every read since 24.9 s at db-2 gives 4698",
      "two primaries: db-1 and db-2 accepted writes at once, for 340 ms",
      "to be known: db-1 and db-2 served reads as the primary at once, for 1.21 s",
    ]);
    assert.deepEqual(await texts("#fault-2 .soft"), [
      "load-balancer-lost, 2 runs, of which 1 does not count",
    ]);
    assert.deepEqual(await texts("#run-2-2 .notes li"), [
      "does not count: the load generator was up to 3.2 s late: 2 cores are too few",
    ]);
    assert.deepEqual(problems, []);
  });

  it("draws a run: the fault, its stages, and what programs wrote, by number", async () => {
    await open(pageOf(drawnProof()));
    assert.deepEqual(await texts("#run-1-1 .mark text"), [
      "broken, 10.0 s",
      "mended, 40.0 s",
      "whole again, 47.3 s",
    ]);
    assert.deepEqual(await texts("#run-1-1 .lane"), [
      "reads in each 0.1 s",
      "writes in each 0.1 s",
      "slowest in each 0.1 s",
      "stages, in seconds since the fault",
      ...["prove", "HAProxy", "etcd", "Patroni", "PostgreSQL"],
    ]);
    assert.equal(await page.locator("#run-1-1 rect.stage").count(), 5);
    assert.equal(await page.locator("#run-1-1 .tick").count(), 15);
    assert.equal(await page.locator("#run-1-1 .events li").count(), 15);
    assert.equal(
      await page.locator("#run-1-1 .tick title", { hasText: /^8:/ }).textContent(),
      "8: 30.6 s, db-2: acquired the leader lock, promoted self to leader",
    );
    assert.match(
      (await page.locator("#run-1-1 .events li").nth(7).textContent()) ?? "",
      /^30\.6 s Patroni, db-2 acquired the leader lock/,
    );
    assert.equal(await page.locator("#run-1-1 path.failed").count(), 1);
    assert.equal(await page.locator("#run-5-1 path.failed").count(), 0);
  });

  for (const width of [1280, 390])
    for (const scheme of ["light", "dark"] as const)
      it(`can be read by everybody, ${width} pixels wide, ${scheme}`, async () => {
        await open(pageOf(drawnProof({ faults: [balancerLost(), networkSplit()] })), width, scheme);
        await page.evaluate(
          "for (const one of document.querySelectorAll('details')) one.open = true",
        );
        await page.evaluate(axe);
        const { violations } = (await page.evaluate(
          `axe.run({ runOnly: { type: "tag", values: ${JSON.stringify(rules)} } })`,
        )) as { violations: { id: string; nodes: { failureSummary: string }[] }[] };
        assert.deepEqual(
          violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.failureSummary}`),
          [],
        );
      });

  it("sticks out on no screen", async () => {
    await open(pageOf(drawnProof()));
    for (const width of [320, 390, 768, 1001, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = "document.documentElement.scrollWidth";
      assert.equal(await page.evaluate(wide), width);
    }
  });

  it("is printed light, with all events", async () => {
    await open(pageOf(drawnProof()), 703, "dark");
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    const ink = await page.evaluate("getComputedStyle(document.body).color");
    assert.equal(ink, "rgb(20, 32, 46)");
    assert.ok(await page.locator("#run-1-1 .events li").last().isVisible());
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 703);
  });
});
