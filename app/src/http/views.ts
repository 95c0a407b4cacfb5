import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { Eta } from "eta";
import { type RequestHandler, Router } from "express";
import type { Visitor } from "../domain/accounts.ts";
import { day, euros, kinds, megabytes, period } from "./words.ts";

const root = join(import.meta.dirname, "../..");

/** What every page needs to know besides its own subject and the release, which is always there. */
export interface PageFrame {
  instance: string;
  tier: "storefront" | "admin";
  title: string;
  /** Of the request, to show where one is. */
  path?: string;
  visitor?: Visitor | undefined;
  /** Name of the administrator who is logged in. */
  administrator?: string | undefined;
  /** What the last form did. */
  flash?: string | undefined;
}

/** How pages say things. */
const words = { euros, megabytes, day, period, kinds };

/** Renders a page of `views/` inside the layout. */
export type Render = (view: string, data: PageFrame & Record<string, unknown>) => string;

/**
 * Compiles every template at once, so that a broken one stops the start and not a request.
 * @param release its name, which every page shows
 */
export function loadViews(release: string): Render {
  const eta = new Eta({ varName: "it" });
  const directory = join(root, "views");
  for (const file of readdirSync(directory)) {
    const source = readFileSync(join(directory, file), "utf8");
    eta.loadTemplate(`@${file.replace(/\.eta$/, "")}`, source);
  }
  return (view, data) => eta.render(`@${view}`, { release, ...words, ...data });
}

const assetTypes: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

/**
 * Serves `public/` from memory under `/assets`. Browsers ask again each minute: while a release
 * rolls out, a page of the new one may get its style from the old one, and must not keep it.
 */
export function serveAssets(): RequestHandler {
  const router = Router();
  const directory = join(root, "public");
  for (const file of readdirSync(directory)) {
    const content = readFileSync(join(directory, file));
    const type = assetTypes[extname(file)];
    if (!type) throw new Error(`public/${file}: no type is known for this extension`);
    const etag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
    router.get(`/assets/${file}`, (_request, response) => {
      response.set({ "Content-Type": type, ETag: etag, "Cache-Control": "public, max-age=60" });
      response.send(content);
    });
  }
  return router;
}
