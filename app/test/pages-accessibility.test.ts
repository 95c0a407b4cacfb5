// biome-ignore-all lint/performance/useDomNodeTextContent: what is seen is what is meant here
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { adminPassword } from "./support/admin.ts";
import { appDirectory } from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { Site } from "./support/site.ts";
import { password } from "./support/visitor.ts";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const script = async (name: string) =>
  (await readFile(join(import.meta.dirname, "support", name), "utf8"))
    .replace(/^\/\/.*$/gm, "")
    .trim()
    .replace(/;$/, "");
const contrast = await script("contrast.js");
const smallTargets = await script("targets.js");

/** Every rule of WCAG 2.2 A and AA that a program can check, and axe's own best practice. */
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

interface Violation {
  id: string;
  help: string;
  nodes: { target: string[]; failureSummary: string }[];
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations: found } = (await page.evaluate(
    `axe.run({ runOnly: { type: "tag", values: ${JSON.stringify(rules)} } })`,
  )) as { violations: Violation[] };
  return found.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`,
  );
}

const picture = {
  name: "p.webp",
  mimeType: "image/webp",
  buffer: await readFile(join(appDirectory, "sample/moorea.webp")),
};
const long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihungsurkunde ".repeat(
  2,
);

const email = `${"visitor.".repeat(7)}v@${"example".repeat(8)}.com`;

/** Sends the page's form with this button, whatever the browser itself thinks of it. */
async function send(page: Page, button: string): Promise<void> {
  await page.evaluate("for (const form of document.forms) form.noValidate = true");
  await page.getByRole("button", { name: button }).first().click();
  await page.waitForLoadState();
}

describe("accessibility of every page", function () {
  this.timeout(120_000);
  let site: Site;
  let visitor: Page;
  let desk: Page;
  let stranger: Page;
  let trip: string;

  before(async () => {
    site = await Site.start(await sharedPostgres());
    stranger = await site.open("/");
    visitor = await site.open("/register?next=/offers");
    await visitor.getByLabel("Your name").fill(`${long.slice(0, 40)} of Somewhere`);
    await visitor.getByLabel("E-mail address").fill(email);
    await visitor.getByLabel("Password").fill(password);
    await send(visitor, "Create account");
    await visitor.getByRole("link", { name: "Aurora Lodge" }).click();
    await send(visitor, "Book");
    trip = new URL(visitor.url()).pathname;
    await visitor.getByLabel("What is to be done").fill(long);
    await visitor.getByLabel("Picture").setInputFiles(picture);
    await send(visitor, "Add to the list");
    await visitor.getByLabel("What is to be done").fill("Passport");
    await send(visitor, "Add to the list");
    await send(visitor, "Done: Passport");
    desk = await site.open("/admin");
    await desk.getByLabel("Name").fill("admin");
    await desk.getByLabel("Password").fill(adminPassword);
    await send(desk, "Log in");
    await site.sql(
      `UPDATE offer SET name = '${long.slice(0, 110)}' WHERE name LIKE 'Night coach%'`,
    );
    await site.sql("UPDATE offer SET quantity = 0 WHERE name LIKE 'LT 214%'");
    await site.sql("UPDATE offer SET quantity = 2 WHERE name LIKE 'LT 071%'");
    await site.sql(`UPDATE content SET quote = '${long.repeat(3)}' WHERE title LIKE 'Lofoten%'`);
    await site.sql("UPDATE content SET title = '', author = '' WHERE title LIKE 'Abisko%'");
  });
  after(() => site?.close());

  const go = (page: Page, path: string) => page.goto(site.url + path);
  const offer = async (page: Page, name: string) => {
    await go(page, "/offers");
    await page.locator(".offer-name").getByRole("link", { name }).click();
  };

  const pages: readonly [string, () => Page, (page: Page) => Promise<unknown>][] = [
    ["the home page", () => stranger, (page) => go(page, "/")],
    ["the home page of somebody", () => visitor, (page) => go(page, "/")],
    ["the end of the gallery", () => stranger, (page) => go(page, "/?before=1")],
    ["offers", () => stranger, (page) => go(page, "/offers")],
    ["offers, none found", () => stranger, (page) => go(page, "/offers?place=nowhere")],
    [
      "offers, days in the wrong order",
      () => stranger,
      (page) => go(page, "/offers?from=2098-02-01&until=2098-01-01"),
    ],
    ["an offer", () => stranger, (page) => offer(page, "Blue Door")],
    ["an offer that is sold out", () => stranger, (page) => offer(page, "LT 214")],
    ["an offer with a long name", () => visitor, (page) => offer(page, "Donau")],
    [
      "an offer, too many wanted",
      () => visitor,
      async (page) => {
        await offer(page, "LT 071");
        await page.getByLabel("How many").fill("99");
        await send(page, "Book");
      },
    ],
    ["registering", () => stranger, (page) => go(page, "/register")],
    [
      "registering, refused",
      () => stranger,
      async (page) => {
        await go(page, "/register");
        await send(page, "Create account");
      },
    ],
    ["the login", () => stranger, (page) => go(page, "/login")],
    [
      "the login, refused",
      () => stranger,
      async (page) => {
        await go(page, "/login");
        await page.getByLabel("E-mail address").fill(email);
        await page.getByLabel("Password").fill("a wrong password");
        await send(page, "Log in");
      },
    ],
    ["a forgotten password", () => stranger, (page) => go(page, "/forgot")],
    ["a new password without a link", () => stranger, (page) => go(page, "/reset")],
    ["a new password", () => stranger, (page) => go(page, `/reset?token=${"a".repeat(43)}`)],
    ["bookings", () => visitor, (page) => go(page, "/bookings")],
    ["a trip", () => visitor, (page) => go(page, trip)],
    [
      "a trip with a message, before it is cancelled",
      () => visitor,
      async (page) => {
        await go(page, trip);
        await page.getByLabel("What is to be done").fill("Sunglasses");
        await send(page, "Add to the list");
        await page.getByText("Cancel this booking").click();
      },
    ],
    [
      "a trip, a picture refused",
      () => visitor,
      async (page) => {
        await go(page, trip);
        await page.getByLabel("What is to be done").fill("Sunglasses");
        const buffer = Buffer.from("no picture");
        await page.getByLabel("Picture").setInputFiles({ ...picture, buffer });
        await send(page, "Add to the list");
      },
    ],
    ["the account", () => visitor, (page) => go(page, "/account")],
    [
      "the account, refused",
      () => visitor,
      async (page) => {
        await go(page, "/account");
        await send(page, "Change password");
      },
    ],
    ["nothing", () => visitor, (page) => go(page, "/nothing")],
    ["the administrators' login", () => stranger, (page) => go(page, "/admin")],
    ["the desk's gallery", () => desk, (page) => go(page, "/admin")],
    [
      "the desk's gallery, refused",
      () => desk,
      async (page) => {
        await go(page, "/admin");
        await send(page, "Add destination");
      },
    ],
    ["the desk's offers", () => desk, (page) => go(page, "/admin/offers")],
    [
      "the desk's offers, refused",
      () => desk,
      async (page) => {
        await go(page, "/admin/offers");
        await send(page, "Save offer");
      },
    ],
    [
      "the desk's offers, a quantity refused",
      () => desk,
      async (page) => {
        await go(page, "/admin/offers");
        await page.getByLabel("Left of Aurora Lodge").fill("-1");
        await send(page, "Update Aurora Lodge");
      },
    ],
    ["the desk's account", () => desk, (page) => go(page, "/admin/account")],
    [
      "a link for a visitor",
      () => desk,
      async (page) => {
        await go(page, "/admin/account");
        await page.getByLabel("The visitor's e-mail address").fill(email);
        await send(page, "Make a link");
      },
    ],
    ["nothing at the desk", () => desk, (page) => go(page, "/admin/nothing")],
  ];

  for (const [what, whose, show] of pages) {
    it(`A16: ${what}: axe, AA contrast, width, targets`, async () => {
      const page = whose();
      await page.setViewportSize({ width: 1280, height: 900 });
      await show(page);
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 844 });
        const found = {
          axe: await violations(page),
          width: await page.evaluate("document.documentElement.scrollWidth"),
          contrast: await page.evaluate(`(${contrast})()`),
          targets: await page.evaluate(`(${smallTargets})()`),
        };
        assert.deepEqual(found, { axe: [], width, contrast: [], targets: [] }, `${width} px`);
      }
      // As wide as a desk's page at four times its size.
      await page.setViewportSize({ width: 320, height: 844 });
      assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 320);
    });
  }

  it("A16: the menu shows where one is, also on a form that was refused", async () => {
    const here = (page: Page) => page.locator("nav [aria-current]").allInnerTexts();
    await offer(visitor, "LT 071");
    await visitor.getByLabel("How many").fill("99");
    await send(visitor, "Book");
    assert.deepEqual(await here(visitor), ["Offers"]);
    await go(visitor, trip);
    assert.deepEqual(await here(visitor), ["My bookings"]);
    await go(desk, "/admin");
    await send(desk, "Add destination");
    assert.deepEqual(await here(desk), ["Gallery"]);
    await go(desk, "/admin/account");
    await send(desk, "Make a link");
    assert.deepEqual(await here(desk), ["Account"]);
  });

  it("A16: the checks see what is wrong", async () => {
    const page = await site.open("/login");
    await page.evaluate(`{
      const bad = document.createElement("div");
      bad.innerHTML = "<img src='/assets/favicon.svg'><button>x</button><p class='hint'>pale</p>";
      document.querySelector("main").append(bad);
      bad.querySelector(".hint").attributeStyleMap.set("color", "#ccc");
      bad.attributeStyleMap.set("width", "3000px");
    }`);
    assert.match((await violations(page)).join("\n"), /image-alt/);
    assert.notEqual(await page.evaluate("document.documentElement.scrollWidth"), 1280);
    assert.match(String(await page.evaluate(`(${contrast})()`)), /pale/);
    assert.match(String(await page.evaluate(`(${smallTargets})()`)), /button x/);
  });
});

describe("the main journey by keyboard alone", function () {
  this.timeout(120_000);
  let site: Site;

  before(async () => {
    site = await Site.start(await sharedPostgres());
  });
  after(() => site?.close());

  /** Presses Tab until a control of this name has the focus, which has to be seen each time. */
  async function tabTo(page: Page, name: string): Promise<void> {
    const seen: string[] = [];
    for (let presses = 0; presses < 80; presses += 1) {
      await page.keyboard.press("Tab");
      const [label, visible] = (await page.evaluate(`(() => {
        const at = document.activeElement;
        const label = at.labels?.[0]?.innerText ?? at.innerText ?? "";
        const ring = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        const seen = ring(getComputedStyle(at)) || ring(getComputedStyle(at, "::after"));
        return [label.replace(/\\s+/g, " ").trim(), seen || at === document.body];
      })()`)) as [string, boolean];
      assert.ok(visible, `the focus on "${label}" cannot be seen`);
      if (label.startsWith(name)) return;
      seen.push(label);
    }
    throw new Error(`Tab does not reach "${name}", only ${seen.join(" | ")}`);
  }
  const type = (page: Page, text: string) => page.keyboard.type(text);
  const enter = async (page: Page) => {
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
  };

  it("A16: search → book → register on the way → to-do → cancel", async () => {
    const page = await site.open("/");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.className"), "skip");
    await page.keyboard.press("Enter");
    await tabTo(page, "What");
    await type(page, "Hotels");
    await tabTo(page, "Where to");
    await type(page, "abisko");
    await enter(page);
    await tabTo(page, "Aurora Lodge");
    await enter(page);
    await tabTo(page, "How many rooms");
    await enter(page);
    await tabTo(page, "Create an account");
    await enter(page);
    await tabTo(page, "Your name");
    await type(page, "Ada");
    await tabTo(page, "E-mail address");
    await type(page, "keys@example.com");
    await tabTo(page, "Password");
    await type(page, password);
    await enter(page);
    await tabTo(page, "How many rooms");
    await enter(page);
    assert.match(await page.getByRole("status").innerText(), /booked/);
    await tabTo(page, "What is to be done");
    await type(page, "Warm socks");
    await enter(page);
    await tabTo(page, "Done: Warm socks");
    await enter(page);
    assert.equal(await page.getByText("1 of 1 done").count(), 1);
    await tabTo(page, "Cancel this booking");
    await page.keyboard.press("Enter");
    await tabTo(page, "Yes, cancel it");
    await enter(page);
    assert.match(await page.getByRole("status").innerText(), /cancelled/);
    assert.deepEqual(site.complaints, []);
  });

  it("A16: nothing moves for who wants nothing to move", async () => {
    const page = await site.open("/", { reducedMotion: "reduce" });
    const moving =
      await page.evaluate(`[document.documentElement, ...document.body.querySelectorAll("*")]
      .filter((element) => {
        const style = getComputedStyle(element);
        return style.scrollBehavior === "smooth" || style.animationName !== "none" ||
          parseFloat(style.transitionDuration) > 0;
      }).map((element) => element.className)`);
    assert.deepEqual(moving, []);
  });
});
