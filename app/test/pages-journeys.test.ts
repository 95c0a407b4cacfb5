// biome-ignore-all lint/performance/useDomNodeTextContent: what is seen is what is meant here
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { adminPassword } from "./support/admin.ts";
import { appDirectory } from "./support/app.ts";
import { docker } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { startPrimary, startStandby } from "./support/postgres.ts";
import { startProxy } from "./support/proxy.ts";
import { Site } from "./support/site.ts";
import { until } from "./support/until.ts";

const picture = {
  name: "IMG_0001.WEBP",
  mimeType: "image/webp",
  buffer: await readFile(join(appDirectory, "sample/lofoten.webp")),
};
const secret = "correct horse battery";

/** What the page says after a form, which is gone at the next look. */
const status = (page: Page) => page.getByRole("status").innerText();
const press = (page: Page, name: string | RegExp) => page.getByRole("button", { name }).click();
const heading = (page: Page) => page.getByRole("heading", { level: 1 }).innerText();

async function register(page: Page, email: string): Promise<void> {
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(secret);
  await press(page, "Create account");
}

async function search(page: Page, kind: string, place: string): Promise<void> {
  await page.getByLabel("What").selectOption({ label: kind });
  await page.getByLabel("Where to").fill(place);
  await press(page, "Search");
}

async function logInAsAdmin(page: Page): Promise<void> {
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill(adminPassword);
  await press(page, "Log in");
}

describe("journeys in a browser, without JavaScript", function () {
  this.timeout(60_000);
  let site: Site;
  const open = (path: string) => site.open(path, { javaScriptEnabled: false });

  before(async () => {
    site = await Site.start(await sharedPostgres());
  });
  after(() => site?.close());
  afterEach(() => site.forget());

  it("A6, A7, A8, A16: search → register on the way → book → to-do with a picture → cancel", async () => {
    const page = await open("/");
    await search(page, "Hotels", "santorini");
    assert.deepEqual(await page.locator(".offer-name").allInnerTexts(), ["Blue Door Guesthouse"]);
    await page.getByRole("link", { name: "Blue Door Guesthouse" }).click();
    await page.getByLabel("How many rooms").fill("2");
    await press(page, "Book");
    assert.equal(await heading(page), "Log in");
    await page.getByRole("link", { name: "Create an account" }).click();
    await register(page, "journey@example.com");
    assert.equal(await status(page), "Welcome! Your account is made, and you are logged in.");
    assert.equal(await heading(page), "Blue Door Guesthouse");

    assert.equal(await page.getByLabel("How many rooms").inputValue(), "2", "as chosen before");
    await press(page, "Book");
    assert.equal(await status(page), "It is booked. Have a good trip!");
    assert.match(await page.locator(".facts").innerText(), /Rooms\s+2\s+Total\s+€1,280\.00/);
    await page.reload();
    assert.equal(await page.getByRole("status").count(), 0, "the message is shown once");

    await page.getByLabel("What is to be done").fill("Pack the <b>swimsuit</b>");
    await page.getByLabel("Picture").setInputFiles(picture);
    await press(page, "Add to the list");
    assert.equal(await status(page), "It is on the list.");
    assert.equal(await page.locator(".item-text").innerText(), "Pack the <b>swimsuit</b>");
    const image = page.getByAltText("Picture for: Pack the <b>swimsuit</b>");
    await page.waitForFunction(
      "(i) => i.complete && i.naturalWidth > 0",
      await image.elementHandle(),
    );
    await press(page, "Done: Pack the <b>swimsuit</b>");
    assert.equal(await page.getByText("1 of 1 done").count(), 1);
    await press(page, "Remove Pack the <b>swimsuit</b>");
    assert.equal(await status(page), "It was removed from the list.");
    assert.equal(await page.getByText("Nothing to do yet").count(), 1);

    await page.getByRole("link", { name: "My bookings", exact: true }).first().click();
    assert.match(await page.locator(".offer").innerText(), /Booked[\s\S]*Blue Door Guesthouse/);
    await page.getByRole("link", { name: "Blue Door Guesthouse" }).click();
    await page.getByText("Cancel this booking").click();
    await press(page, "Yes, cancel it");
    assert.equal(await status(page), "The booking was cancelled.");
    assert.equal(await page.getByText("Cancel this booking").count(), 0);
    await page.goto(`${site.url}/offers?place=santorini&kind=hotel`);
    assert.match(await page.locator(".offer").innerText(), /9 left/);
    assert.deepEqual(site.complaints, []);
  });

  it("A6: log out, log in again, change the name and the password, delete the account", async () => {
    const page = await open("/register");
    await register(page, "account@example.com");
    await page.getByRole("link", { name: "Account of Ada" }).click();
    await page.getByLabel("Your name").fill("Grace Hopper");
    await press(page, "Change name");
    assert.equal(await status(page), "Your name was changed.");
    await page.getByLabel("Current password").fill(secret);
    await page.getByLabel("New password").fill(`${secret} staple`);
    await press(page, "Change password");
    assert.match(await status(page), /^Your password was changed/);
    await press(page, "Log out");
    assert.equal(await status(page), "You are logged out.");

    await page.goto(`${site.url}/account`);
    await page.getByLabel("E-mail address").fill("account@example.com");
    await page.getByLabel("Password").fill(`${secret} staple`);
    await press(page, "Log in");
    assert.equal(await heading(page), "Your account");
    assert.equal(await page.getByLabel("Your name").inputValue(), "Grace Hopper");
    await page.getByRole("textbox", { name: "Password", exact: true }).fill(`${secret} staple`);
    await press(page, "Delete my account");
    assert.equal(await status(page), "Your account was deleted.");
    assert.equal(await page.getByRole("link", { name: "Log in" }).count(), 1);
    assert.deepEqual(site.complaints, []);
  });

  it("A4, A14: the administrator adds an offer and a picture, and the storefront shows both", async () => {
    const page = await open("/admin/offers");
    await logInAsAdmin(page);
    assert.equal(new URL(page.url()).pathname, "/admin/offers");
    await page.getByLabel("Kind").selectOption("bus");
    await page.getByLabel("Name").fill("Coach to the edge of the map");
    await page.getByLabel("From").fill("Porto");
    await page.getByLabel("Place").fill("Cabo da Roca, Portugal");
    await page.getByLabel("First day").fill("2098-05-01");
    await page.getByLabel("Last day").fill("2098-05-03");
    await page.getByLabel("Price in euros").fill("19.90");
    await page.getByLabel("Quantity").fill("3");
    await press(page, "Save offer");
    assert.equal(await status(page), "The offer was added.");
    await page.getByLabel("Left of Coach to the edge of the map").fill("4");
    await press(page, "Update Coach to the edge of the map");
    assert.equal(await status(page), "The offer was updated.");

    await page.getByRole("link", { name: "Gallery" }).click();
    await page.getByLabel("Place").fill("Cabo da Roca, Portugal");
    await page.getByLabel("Quote").fill("Here the land ends and the sea begins.");
    await page.getByLabel("Who said it").fill("Luís de Camões");
    await page.getByLabel("Picture").setInputFiles(picture);
    await press(page, "Add destination");
    assert.equal(await status(page), "The destination was added.");

    const visitor = await open("/");
    const card = visitor.locator(".card").first();
    assert.match(
      await card.innerText(),
      /Cabo da Roca, Portugal[\s\S]*Here the land ends[\s\S]*Luís de Camões/,
    );
    await card.getByRole("link", { name: "Offers to Cabo da Roca" }).click();
    assert.match(
      await visitor.locator(".offer").innerText(),
      /Bus\s+Coach to the edge of the map\s+Porto →\s+to\s+Cabo da Roca, Portugal\s+1\s*–\s*3 May 2098\s+€19\.90 a seat\s+Only 4 left/,
    );

    await page.getByRole("link", { name: "Offers", exact: true }).click();
    await press(page, "Delete Coach to the edge of the map");
    assert.equal(await status(page), "The offer was removed.");
    await press(page, "Log out");
    assert.equal(await heading(page), "Log in to manage");
    await page.goto(`${site.url}/admin`);
    assert.equal(await heading(page), "Log in to manage");
    assert.deepEqual(site.complaints, []);
  });

  it("A6, A14: an administrator's link sets a visitor's new password, once", async () => {
    await register(await open("/register"), "forgetful@example.com");
    const admin = await open("/admin/account");
    await logInAsAdmin(admin);
    await admin.getByLabel("The visitor's e-mail address").fill("forgetful@example.com");
    await press(admin, "Make a link");
    const link = new URL(await admin.locator(".secret-link").innerText());

    const page = await open(link.pathname + link.search);
    assert.equal(new URL(page.url()).search, "", "the token is not left in the address");
    await page.getByLabel("New password").fill("a wholly other one");
    await press(page, "Set the password");
    assert.equal(await status(page), "Your password was changed. Log in with the new one.");
    await page.getByLabel("E-mail address").fill("forgetful@example.com");
    await page.getByLabel("Password").fill("a wholly other one");
    await press(page, "Log in");
    assert.equal(await page.getByRole("link", { name: "Account of Ada" }).count(), 1);

    const late = await open(link.pathname + link.search);
    await late.getByLabel("New password").fill("yet another one");
    await press(late, "Set the password");
    assert.equal(await late.getByRole("alert").count(), 1);
    assert.equal(await late.getByLabel("New password").count(), 0);
  });

  for (const [what, path, fill, field, message] of [
    [
      "a taken e-mail address",
      "/register",
      async (page: Page) => {
        await register(await open("/register"), "taken@example.com");
        await register(page, "taken@example.com");
      },
      "E-mail address",
      /account/,
    ],
    [
      "dates in the wrong order",
      "/offers",
      async (page: Page) => {
        await page.getByLabel("From").fill("2098-02-01");
        await page.getByLabel("Until").fill("2098-01-01");
        await press(page, "Search");
      },
      "Until",
      /before the earliest/,
    ],
  ] as const) {
    it(`A16: ${what} is told at its field, which gets the focus, and what was typed is kept`, async () => {
      const page = await open(path);
      await fill(page);
      const control = page.getByLabel(field);
      assert.equal(await control.getAttribute("aria-invalid"), "true");
      const described = String(await control.getAttribute("aria-describedby"))
        .split(" ")
        .at(-1);
      assert.match(await page.locator(`[id="${described}"]`).innerText(), message);
      assert.notEqual(await control.inputValue(), "");
      assert.equal(
        await page.evaluate("document.activeElement.name"),
        await control.getAttribute("name"),
      );
    });
  }

  it("A6: what is somebody else's is not there", async () => {
    const owner = await open("/register?next=/offers");
    await register(owner, "owner@example.com");
    await owner.getByRole("link", { name: "Aurora Lodge" }).click();
    await press(owner, "Book");
    const path = new URL(owner.url()).pathname;
    const other = await open("/register");
    await register(other, "other@example.com");
    const answer = await other.goto(site.url + path);
    assert.equal(answer?.status(), 404);
    assert.equal(await other.getByRole("link", { name: "Account of Ada" }).count(), 1);
  });
});

describe("journeys while the database fails over", function () {
  this.timeout(120_000);

  it("A7, A11: booked before, seen and cancelled after it, in the same session", async () => {
    const primary = await startPrimary("journey-primary");
    const standby = await startStandby(primary, { synchronous: true });
    const [writer, reader] = await Promise.all([startProxy(primary), startProxy(standby)]);
    const at = ({ port }: { port: number }) => ({ host: "127.0.0.1", port });
    const site = await Site.start(primary, { writer: at(writer), reader: at(reader) });
    try {
      const page = await site.open("/register?next=/offers");
      await register(page, "steady@example.com");
      await page.getByRole("link", { name: "Aurora Lodge" }).click();
      await press(page, "Book");
      assert.equal(await status(page), "It is booked. Have a good trip!");

      await docker("kill", primary.container);
      writer.mode = "refuse";
      writer.closeAll();
      await page.goto(`${site.url}/bookings`);
      assert.match(await page.locator(".offer").innerText(), /Aurora Lodge/, "without a primary");
      await standby.sql("ALTER SYSTEM RESET synchronous_standby_names");
      await standby.sql("SELECT pg_promote(wait => true)");
      await standby.sql("SELECT pg_reload_conf()");
      writer.target = standby;
      writer.mode = "pass";

      await page.getByRole("link", { name: "Aurora Lodge" }).click();
      await page.getByLabel("What is to be done").fill("Still here");
      await press(page, "Add to the list");
      assert.equal(await status(page), "It is on the list.");
      await page.getByText("Cancel this booking").click();
      await press(page, "Yes, cancel it");
      assert.equal(await status(page), "The booking was cancelled.");
      const left = () =>
        standby.sql("SELECT quantity FROM offer WHERE name = 'Aurora Lodge'", site.database);
      await until("the room is given back", left, ([row]) => row?.quantity === 8);
      assert.deepEqual(site.complaints, []);
    } finally {
      await site.close();
      await Promise.all([writer.close(), reader.close()]);
      await primary.remove();
      await standby.remove();
    }
  });
});
