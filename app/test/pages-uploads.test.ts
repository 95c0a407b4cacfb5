import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import type { Page } from "playwright-core";
import { adminPassword } from "./support/admin.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { Site } from "./support/site.ts";
import { visitor } from "./support/visitor.ts";

const picture = { name: "p.png", mimeType: "image/png", buffer: png(2_000_000) };
const views = { wide: { width: 1280, height: 900 }, narrow: { width: 320, height: 640 } };
/** For whoever wants to look at the pages: a folder. @default no picture is taken */
const folder = process.env.HASTACK_TEST_SCREENSHOTS;

describe("pages without room for pictures", function () {
  this.timeout(90_000);
  let site: Site;

  before(async () => {
    site = await Site.start(await sharedPostgres());
    await site.sql("UPDATE upload_budget SET total_bytes = used_bytes + 9000000");
  });
  after(() => site?.close());
  afterEach(() => site.forget());

  const look = async (page: Page, name: string) => {
    const wider = await page.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    assert.equal(wider, 0, "it scrolls sideways");
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  };

  for (const [size, viewport] of Object.entries(views)) {
    it(`S4: ${size}: the trip's page says at the picture that there is no room, and keeps the text`, async () => {
      await site.sql("UPDATE upload_budget SET visitor_bytes = 1048576");
      const postgres = await sharedPostgres();
      const { client } = await visitor(postgres, site.database, site.url);
      const offerId = await offerRow(postgres, site.database);
      const booked = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
      const { id } = (await booked.json()) as { id: number };
      const cookies = [...client.cookies].map(([name, value]) => ({ name, value, url: site.url }));
      const page = await site.open(`/bookings/${id}`, { viewport }, cookies);
      const send = async () => {
        await page.getByLabel("What is to be done").fill("Sun cream");
        await page.getByLabel("Picture").setInputFiles(picture);
        const [answer] = await Promise.all([
          page.waitForResponse((one) => one.request().method() === "POST"),
          page.getByRole("button", { name: "Add to the list" }).click(),
        ]);
        await page.waitForLoadState();
        assert.equal(answer.status(), 507);
        assert.equal(await page.getByLabel("What is to be done").inputValue(), "Sun cream");
        return await page.locator("#image-error").textContent();
      };
      assert.equal(
        await send(),
        "Your pictures have no more room: 1 MB is what an account may have. Remove one before you add another. Your text is kept.",
      );
      await look(page, `trip-account-${size}`);
      await site.sql("UPDATE upload_budget SET visitor_bytes = 9000000, total_bytes = used_bytes");
      assert.equal(
        await send(),
        "There is no more room for pictures at the moment. Nothing was stored. Your text is kept.",
      );
      await look(page, `trip-total-${size}`);
    });

    it(`S4: ${size}: the administrators' page shows how full it is, and says it where it is full`, async () => {
      await site.sql("UPDATE upload_budget SET total_bytes = 9000000");
      const page = await site.open("/admin", { viewport });
      await page.getByLabel("Name").fill("admin");
      await page.getByLabel("Password").fill(adminPassword);
      await page.getByRole("button", { name: "Log in" }).click();
      const use = page.getByText(/All pictures, visitors' too, take [\d.]+\sMB of 8\.6\sMB/);
      await use.waitFor();
      await site.sql("UPDATE upload_budget SET total_bytes = used_bytes");
      await page.getByLabel("Quote").fill("No room");
      await page.getByLabel("Picture").setInputFiles(picture);
      await page.getByRole("button", { name: "Add destination" }).click();
      const error = page.locator("#image-error");
      await error.waitFor();
      assert.match(
        (await error.textContent()) ?? "",
        /^There is no more room for pictures at the moment/,
      );
      assert.equal(await page.getByLabel("Quote").inputValue(), "No room");
      await look(page, `admin-${size}`);
    });
  }
});
