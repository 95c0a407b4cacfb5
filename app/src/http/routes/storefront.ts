import { type RequestHandler, Router } from "express";
import { identify, type Position } from "../../data/database.ts";
import { findContent, listContent } from "../../domain/content.ts";
import { readOffers } from "../../domain/offers.ts";
import { pageQuery } from "../../domain/paging.ts";
import { check, parseId } from "../../domain/validation.ts";
import { HttpError } from "../../lib/errors.ts";
import { noteCacheUse } from "../cache-use.ts";
import { pageFrame } from "../page.ts";
import { positionOf } from "../position.ts";
import type { Services } from "../services.ts";

/** Destinations on one page of the gallery. */
const galleryPageSize = 12;

/** Offers on the first page. */
const frontOffers = 3;

/** The gallery, and the read side of its API. */
export function storefrontRoutes(services: Services): RequestHandler {
  const { config, database, cached, render } = services;
  const router = Router();
  const { instance, cookieSecrets } = config;

  const readPage = (range: { limit: number; before?: number | undefined }, after?: Position) =>
    cached.read(
      "content",
      `list ${range.limit} ${range.before}`,
      (query) => listContent(query, range),
      after,
    );

  router.get("/", async (request, response) => {
    // A page number that nobody could have clicked on shows the first page.
    const { before } = pageQuery.catch({ limit: galleryPageSize }).parse(request.query);
    const after = positionOf(request, cookieSecrets);
    const [page, offers] = await Promise.all([
      readPage({ limit: galleryPageSize, before }, after),
      readOffers(cached, { limit: frontOffers }, after),
    ]);
    const frame = pageFrame(services, request, response, "");
    const data = { page: page.value, before, offers: offers.value.items };
    noteCacheUse(response, page.cache, offers.cache);
    response.set("Cache-Control", "private, no-cache");
    response.type("html").send(render("gallery", { ...frame, ...data }));
  });

  router.get("/api/content", async (request, response) => {
    const { limit, before } = check(pageQuery, request.query);
    const { value, cache } = await readPage({ limit, before }, positionOf(request, cookieSecrets));
    const next = value.next ? `/api/content?limit=${limit}&before=${value.next}` : null;
    noteCacheUse(response, cache);
    response.json({ items: value.items, next });
  });

  router.get("/api/content/:id", async (request, response) => {
    const id = parseId(request.params.id, "destination");
    const { value, cache } = await cached.read(
      "content",
      `one ${id}`,
      async (query) => (await findContent(query, id)) ?? null,
      positionOf(request, cookieSecrets),
    );
    if (!value) throw new HttpError(404, "not-found", "There is no such destination.");
    noteCacheUse(response, cache);
    response.json(value);
  });

  router.get("/api/time", async (request, response) => {
    const answer = await database.read(
      async (query) => {
        const [row] = await query<{ time: Date }>("SELECT now() AS time");
        return { ...row, ...(await identify(query)) };
      },
      positionOf(request, cookieSecrets),
    );
    response.json({ ...answer, hostname: instance });
  });
  return router;
}
