// biome-ignore-all lint/performance/useDomNodeTextContent: what is seen is what is meant here
import assert from "node:assert/strict";
import type { BrowserContextOptions, Page } from "playwright-core";
import { adminClient, asAdmin } from "./support/admin.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { Site } from "./support/site.ts";

describe("pages", function () {
  this.timeout(60_000);
  let site: Site;
  /** Cookie of an administrator who is logged in. */
  let session: { name: string; value: string; path: string };

  before(async () => {
    site = await Site.start(await sharedPostgres());
    const { cookies } = await adminClient(site.url);
    session = { name: "hastack-admin", value: cookies.get("hastack-admin") ?? "", path: "/admin" };
  });
  after(() => site?.close());
  afterEach(() => site.forget());

  const open = async (path: string, options: BrowserContextOptions = {}): Promise<Page> => {
    const domains = ["127.0.0.1", "travel.test"];
    const cookies = domains.map((domain) => ({ ...session, domain }));
    return await site.open(path, options, cookies);
  };
  const fillIn = async (page: Page, quote: string, content: Buffer = png()) => {
    await page.getByLabel("Place").fill("Testville");
    await page.getByLabel("Quote").fill(quote);
    await page
      .getByLabel("Picture")
      .setInputFiles({ name: "p.png", mimeType: "image/png", buffer: content });
    await page.getByRole("button", { name: "Add destination" }).click();
  };

  for (const [path, instance] of [
    ["/", "storefront-1"],
    ["/admin", "admin-1"],
    ["/nothing", "storefront-1"],
  ] as const) {
    it(`A10: ${path} shows its instance at the top left`, async () => {
      const page = await open(path);
      const place = await page.getByText(instance, { exact: true }).boundingBox();
      assert.ok(place && place.y < 20 && place.x < 60, JSON.stringify(place));
    });
  }

  for (const path of ["/", "/offers", "/admin", "/admin/offers", "/nothing"]) {
    for (const width of [320, 390, 768, 1280]) {
      it(`A16: ${path} fits a screen of ${width} pixels`, async () => {
        const page = await open(path, { viewport: { width, height: 844 } });
        assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
      });
    }
  }

  it("A1: the gallery shows a picture and a quote for every destination, without complaint", async () => {
    const page = await open("/");
    const cards = page.locator(".card");
    assert.equal(await cards.count(), 8);
    for (const card of await cards.all()) {
      await card.scrollIntoViewIfNeeded();
      await page.waitForFunction(
        "(i) => i.complete && i.naturalWidth === 1200",
        await card.locator("img").elementHandle(),
      );
      assert.notEqual((await card.locator("blockquote").innerText()).trim(), "");
    }
    assert.deepEqual(site.complaints, []);
  });

  it("A3: an offer shows the gallery's newest picture and words of its place, if there are any", async () => {
    const page = await open("/offers?place=santorini&kind=hotel");
    await page.getByRole("link", { name: "Blue Door Guesthouse" }).click();
    const image = await page.getByAltText("Santorini, Greece").elementHandle();
    await page.waitForFunction("(i) => i.complete && i.naturalWidth === 1200", image);
    assert.match(
      await page.locator("blockquote").innerText(),
      /^I am a part of all that I have met/,
    );
    await page.goto(`${site.url}/offers?place=hallstatt`);
    await page.getByRole("link", { name: "Night coach" }).click();
    await page.getByText("Hallstatt, Austria").waitFor();
    assert.equal(await page.locator("blockquote").count(), 0);
    assert.deepEqual(site.complaints, []);
  });

  it("A16: nothing jumps while the pictures load", async () => {
    const page = await open("/", { viewport: { width: 390, height: 844 } });
    const shift = await page.evaluate(`new Promise((resolve) => {
      let sum = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
        .observe({ type: "layout-shift", buffered: true });
      let y = 0;
      const step = () => {
        scrollTo({ top: (y += 500), behavior: "instant" });
        if (y < document.body.scrollHeight) setTimeout(step, 30); else setTimeout(() => resolve(sum), 200);
      };
      step();
    })`);
    assert.equal(shift, 0);
  });

  it("A16: works by keyboard: skip link first, every control reached, focus to be seen", async () => {
    const page = await open("/admin");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.className"), "skip");
    const reached: string[] = [];
    for (let i = 0; i < 16; i += 1) {
      await page.keyboard.press("Tab");
      reached.push(
        String(
          await page.evaluate(
            "document.activeElement.name || document.activeElement.innerText.replace(/\\s+/g, ' ')",
          ),
        ),
      );
      assert.notEqual(
        await page.evaluate("getComputedStyle(document.activeElement).outlineStyle"),
        "none",
      );
    }
    for (const control of [
      "title",
      "quote",
      "author",
      "image",
      "Add destination",
      "Delete Cappadocia, Türkiye",
    ]) {
      assert.ok(reached.includes(control), `${control} is not among ${reached.join(", ")}`);
    }
  });

  it("A1: a destination is added and removed by plain forms, without JavaScript", async () => {
    const page = await open("/admin", { javaScriptEnabled: false });
    await fillIn(page, "Plain forms will do.");
    assert.equal(await page.getByRole("status").innerText(), "The destination was added.");
    assert.equal(new URL(page.url()).pathname, "/admin");
    await page.reload();
    assert.equal(await page.getByRole("status").count(), 0);
    await page.goto(site.url);
    assert.match(
      await page.locator(".card").first().innerText(),
      /Testville[\s\S]*Plain forms will do\./,
    );
    await page.goto(`${site.url}/admin`);
    await page.getByRole("button", { name: "Delete Testville" }).click();
    assert.equal(await page.getByRole("status").innerText(), "The destination was removed.");
    assert.equal(await page.getByText("Plain forms will do.").count(), 0);
    assert.deepEqual(site.complaints, []);
  });

  it("A6: forms work over plain HTTP, where browsers name only their origin", async () => {
    const page = await open("/admin");
    const { port } = new URL(site.url);
    await page.goto(`http://travel.test:${port}/admin`);
    await fillIn(page, "By name");
    assert.equal(await page.getByRole("status").innerText(), "The destination was added.");
    await page.getByRole("button", { name: "Delete Testville" }).click();
    assert.equal(await page.getByRole("status").innerText(), "The destination was removed.");
  });

  it("A2: a refused picture is explained, and the text that was typed is kept", async () => {
    const page = await open("/admin", { javaScriptEnabled: false });
    const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
    await fillIn(page, "Kept words", Buffer.from("no picture"));
    assert.equal((await answered).status(), 415);
    assert.match(await page.locator("#image-error").innerText(), /not a PNG, JPEG, GIF or WebP/);
    assert.equal(await page.getByLabel("Quote").inputValue(), "Kept words");
    await fillIn(page, "Kept words");
    assert.equal(await page.getByRole("status").count(), 1);
    await page.getByRole("button", { name: "Delete Testville" }).click();
  });

  it("A11: a form that is sent twice adds one destination", async () => {
    const page = await open("/admin");
    const key = await page.locator("input[name=idempotencyKey]").inputValue();
    const send = () =>
      fetch(`${site.url}/admin/content`, {
        ...{ method: "POST", redirect: "manual", headers: asAdmin },
        body: form({ quote: "Twice", idempotencyKey: key }, { content: png() }),
      });
    assert.deepEqual([(await send()).status, (await send()).status], [303, 303]);
    await page.reload();
    assert.equal(await page.locator(".row-text", { hasText: "Twice" }).count(), 1);
    await site.sql("DELETE FROM content WHERE quote = 'Twice'");
  });

  it("A11: deleting what is gone already is no error", async () => {
    const page = await open("/admin", { javaScriptEnabled: false });
    await fillIn(page, "Soon gone");
    await site.sql("DELETE FROM content WHERE quote = 'Soon gone'");
    await page.getByRole("button", { name: "Delete Testville" }).click();
    assert.match(await page.getByRole("status").innerText(), /removed already/);
  });

  it("A16: words are shown as words, never run", async () => {
    const page = await open("/admin");
    const words = `<img src=x onerror=alert(1)> & "quotes" </textarea><script>alert(2)</script>`;
    await fillIn(page, words);
    await page.goto(site.url);
    assert.match(
      await page.locator(".card blockquote").first().innerText(),
      /<script>alert\(2\)<\/script>/,
    );
    assert.deepEqual(site.complaints, []);
    await site.sql("DELETE FROM content WHERE title = 'Testville'");
  });

  it("A1: more destinations than fit come page by page, and back", async () => {
    await site.sql(`INSERT INTO content (title, quote, image_file, image_type, image_bytes, image_width, image_height)
       SELECT 'Many ' || n, 'q', lpad(n::text, 32, '0') || '.png', 'image/png', 1, 4, 3 FROM generate_series(1, 9) n`);
    const page = await open("/");
    assert.equal(await page.locator(".card").count(), 12);
    await page.getByRole("link", { name: "More destinations" }).click();
    await page.waitForURL(/before=/);
    assert.equal(await page.locator(".card").count(), 5);
    assert.equal(await page.getByRole("link", { name: "More destinations" }).count(), 0);
    await page.getByRole("link", { name: "Newest first again" }).click();
    assert.equal(await page.locator(".card").count(), 12);
    await site.sql("DELETE FROM content WHERE title LIKE 'Many %'");
  });

  it("A16: an empty gallery says so, on both pages", async () => {
    await site.sql("DELETE FROM content");
    const page = await open("/");
    assert.equal(await page.getByText("Our first journeys are being drawn").count(), 1);
    await page.goto(`${site.url}/admin`);
    assert.equal(await page.getByText("Nothing here yet").count(), 1);
  });
});
