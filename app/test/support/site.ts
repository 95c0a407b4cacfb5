import { rm } from "node:fs/promises";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import {
  type Endpoint,
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./app.ts";
import { startBrowser } from "./browser.ts";
import { startFront } from "./front.ts";
import { createDatabase, type Postgres } from "./postgres.ts";

/** How a site is made. */
export interface SiteOptions {
  /** Where the instances find the primary. @default the server itself */
  writer?: Endpoint;
  /** Where they find the standby. @default the primary */
  reader?: Endpoint;
  /** @default true */
  sampleData?: boolean;
}

/** Both tiers under one address, and a browser that notes whatever pages complain of. */
export class Site {
  readonly database: string;
  readonly url: string;
  /** Errors and warnings of all pages since the last `forget`: console, scripts, requests elsewhere. */
  readonly complaints: string[] = [];
  readonly #postgres: Postgres;
  readonly #browser: Browser;
  readonly #apps: readonly TestApp[];
  readonly #front: { close: () => Promise<void> };
  readonly #uploads: string;
  readonly #contexts = new Set<BrowserContext>();

  private constructor(
    postgres: Postgres,
    database: string,
    parts: { browser: Browser; apps: TestApp[]; front: Awaited<ReturnType<typeof startFront>> },
    uploads: string,
  ) {
    this.#postgres = postgres;
    this.database = database;
    this.url = parts.front.url;
    this.#browser = parts.browser;
    this.#apps = parts.apps;
    this.#front = parts.front;
    this.#uploads = uploads;
  }

  /** Starts a site on a database of its own. */
  static async start(postgres: Postgres, options: SiteOptions = {}): Promise<Site> {
    const { writer = postgres, reader = writer, sampleData = true } = options;
    const database = await createDatabase(postgres);
    const uploads = await uploadsDirectory();
    await migrateDatabase(database, postgres, { sampleData, uploadsDirectory: uploads });
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name: database, writer, reader }, uploads));
    const apps = await Promise.all([start("storefront"), start("admin")]);
    const [storefront, admin] = apps;
    const front = await startFront({ storefront: storefront.url, admin: admin.url });
    const browser = await startBrowser();
    return new Site(postgres, database, { browser, apps, front }, uploads);
  }

  /** One statement in the site's database. */
  async sql(text: string): Promise<Record<string, unknown>[]> {
    return await this.#postgres.sql(text, this.database);
  }

  /** A page of a browser with cookies of its own. */
  async open(
    path: string,
    options: BrowserContextOptions = {},
    cookies: Parameters<BrowserContext["addCookies"]>[0] = [],
  ): Promise<Page> {
    const viewport = { width: 1280, height: 900 };
    const context = await this.#browser.newContext({ viewport, ...options });
    this.#contexts.add(context);
    await context.addCookies([...cookies]);
    const page = await context.newPage();
    this.#listen(page);
    await page.goto(this.url + path);
    return page;
  }

  /** Closes the browser's windows, and forgets what pages complained of. */
  async forget(): Promise<void> {
    for (const context of this.#contexts) await context.close();
    this.#contexts.clear();
    this.complaints.length = 0;
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#front.close();
    await Promise.all(this.#apps.map((app) => app.close()));
    await rm(this.#uploads, { recursive: true });
  }

  #listen(page: Page): void {
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning")
        this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(error.message));
    page.on("dialog", (dialog) => this.complaints.push(`a dialog: ${dialog.message()}`));
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== this.url && protocol !== "data:")
        this.complaints.push(`a request to ${request.url()}`);
    });
  }
}
