import { type RequestHandler, Router } from "express";
import type { Services } from "../app.ts";
import { findContent, listContent, parseId } from "../content.ts";
import { identify } from "../database.ts";
import { HttpError } from "../errors.ts";
import { pageFrame } from "../page.ts";
import { pageQuery } from "../paging.ts";
import { positionOf } from "../position.ts";

/** Destinations on one page of the gallery. */
const galleryPageSize = 12;

/** The gallery, and the read side of the API. */
export function storefrontRoutes(services: Services): RequestHandler {
  const { config, database, render } = services;
  const router = Router();
  const { instance, cookieSecret } = config;

  router.get("/", async (request, response) => {
    // A page number that nobody could have clicked on shows the first page.
    const { before } = pageQuery.catch({ limit: galleryPageSize }).parse(request.query);
    const page = await database.read(
      (query) => listContent(query, { limit: galleryPageSize, before }),
      positionOf(request, cookieSecret),
    );
    const frame = pageFrame(services, request, response, "");
    response.set("Cache-Control", "private, no-cache");
    response.type("html").send(render("gallery", { ...frame, page, before }));
  });

  router.get("/api/content", async (request, response) => {
    const parsed = pageQuery.safeParse(request.query);
    if (!parsed.success) {
      throw new HttpError(422, "bad-page", "limit is 1 to 100, before is the id of a destination.");
    }
    const { limit, before } = parsed.data;
    const page = await database.read(
      (query) => listContent(query, { limit, before }),
      positionOf(request, cookieSecret),
    );
    const next = page.next ? `/api/content?limit=${limit}&before=${page.next}` : null;
    response.json({ items: page.items, next });
  });

  router.get("/api/content/:id", async (request, response) => {
    const id = parseId(request.params.id);
    const found = await database.read(
      (query) => findContent(query, id),
      positionOf(request, cookieSecret),
    );
    if (!found) throw new HttpError(404, "not-found", "There is no such destination.");
    response.json(found);
  });

  router.get("/api/time", async (request, response) => {
    const answer = await database.read(
      async (query) => {
        const [row] = await query<{ time: Date }>("SELECT now() AS time");
        return { ...row, ...(await identify(query)) };
      },
      positionOf(request, cookieSecret),
    );
    response.json({ ...answer, hostname: instance });
  });
  return router;
}
