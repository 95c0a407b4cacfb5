import { type Request, type RequestHandler, type Response, Router } from "express";
import type { CacheUse } from "../../data/cached-reads.ts";
import type { Position } from "../../data/database.ts";
import { bookingInput } from "../../domain/bookings.ts";
import { findPlace } from "../../domain/content.ts";
import { wholeFrom } from "../../domain/numbers.ts";
import { findOffer, noOffer, type Offer, offerSearch, readOffers } from "../../domain/offers.ts";
import { check, Invalid, parseId, withoutBlanks } from "../../domain/validation.ts";
import type { HttpError } from "../../lib/errors.ts";
import { noteCacheUse } from "../cache-use.ts";
import { formKey } from "../forms.ts";
import { pageFrame } from "../page.ts";
import { positionOf } from "../position.ts";
import type { Services } from "../services.ts";

/** Offers on one page of results. */
const pageSize = 12;

/** What can be booked: the API, and the same as pages. */
export function offerRoutes(services: Services): RequestHandler {
  const { config, cached, render } = services;
  const router = Router();
  const after = (request: Request) => positionOf(request, config.cookieSecrets);

  router.get("/api/offers", async (request, response) => {
    const search = check(offerSearch, withoutBlanks(request.query));
    const { value, cache } = await readOffers(cached, search, after(request));
    const next = value.next && nextPage("/api/offers", request, value.next);
    noteCacheUse(response, cache);
    response.json({ items: value.items, next });
  });

  router.get("/api/offers/:id", async (request, response) => {
    const { offer, cache } = await readOffer(services, request.params.id, after(request));
    noteCacheUse(response, cache);
    response.json(offer);
  });

  // The name that the agency's first clients know: an array, and what follows it in a header.
  router.get("/api/vuelos", async (request, response) => {
    const search = check(offerSearch, { ...withoutBlanks(request.query), kind: "flight" });
    const { value, cache } = await readOffers(cached, search, after(request));
    if (value.next) response.links({ next: nextPage("/api/vuelos", request, value.next) });
    noteCacheUse(response, cache);
    response.json(value.items);
  });

  router.get("/offers", async (request, response) => {
    const { search, fields } = readSearch(request);
    const { value, cache } = await readOffers(cached, search, after(request));
    const data = {
      offers: value.items,
      next: value.next && nextPage("/offers", request, value.next),
      typed: request.query,
      fields,
    };
    noteCacheUse(response, cache);
    response.status(Object.keys(fields).length > 0 ? 422 : 200);
    response.set("Cache-Control", "private, no-cache");
    const frame = pageFrame(services, request, response, "Offers");
    response.type("html").send(render("offers", { ...frame, ...data }));
  });

  router.get("/offers/:id", async (request, response) => {
    const { offer, cache } = await readOffer(services, request.params.id, after(request));
    const notes = placesWanted(request.query.quantity);
    if (notes.error) response.status(notes.error.status);
    await showOffer(services, request, response, offer, notes, cache);
  });
  return router;
}

/** How many an address asks for, so that the form says the same, or what is wrong with it. */
function placesWanted(quantity: unknown): BookingNotes {
  if (quantity === undefined) return {};
  const { error } = bookingInput.shape.quantity.safeParse(wholeFrom(quantity));
  const wrong = error && new Invalid({ quantity: error.issues[0]?.message ?? "" });
  return { typed: { quantity }, ...(wrong && { error: wrong }) };
}

/** What went wrong with a booking form, and what it said. */
export interface BookingNotes {
  error?: HttpError;
  typed?: Record<string, unknown>;
}

/**
 * The page of one offer, with the form that books it, and the gallery's picture of the place.
 * @param cache where the offer came from
 */
export async function showOffer(
  services: Services,
  request: Request,
  response: Response,
  offer: Offer,
  { error, typed = {} }: BookingNotes,
  cache: CacheUse,
): Promise<void> {
  const place = await services.cached.read(
    "content",
    `place ${offer.place}`,
    async (query) => (await findPlace(query, offer.place)) ?? null,
    positionOf(request, services.config.cookieSecrets),
  );
  noteCacheUse(response, cache, place.cache);
  const frame = pageFrame(services, request, response, offer.name);
  const form = {
    problem: error?.message ?? "",
    quantity: typed.quantity === undefined ? "1" : String(typed.quantity),
    idempotencyKey: formKey(error, typed),
  };
  const today = new Date().toISOString().slice(0, 10);
  const path = `/offers/${offer.id}`;
  const data = { path, offer, place: place.value, started: offer.startsOn < today, ...form };
  // Each copy of the form books once: none may be kept and sent again.
  response.set("Cache-Control", "private, no-store");
  response.type("html").send(services.render("offer", { ...frame, ...data }));
}

/** @throws HttpError 404 */
async function readOffer(
  { cached }: Services,
  idText: string,
  after: Position | undefined,
): Promise<{ offer: Offer; cache: CacheUse }> {
  const id = parseId(idText, "offer");
  const find = async (query: Parameters<typeof findOffer>[0]) =>
    (await findOffer(query, id)) ?? null;
  const { value, cache } = await cached.read("offers", `one ${id}`, find, after);
  if (!value) throw noOffer();
  return { offer: value, cache };
}

/** What a page is asked for; what makes no sense is told, and not looked for. */
function readSearch(request: Request): {
  search: ReturnType<typeof offerSearch.parse>;
  fields: Readonly<Record<string, string>>;
} {
  const typed: Record<string, unknown> = { ...withoutBlanks(request.query), limit: pageSize };
  try {
    return { search: check(offerSearch, typed), fields: {} };
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    const good = Object.entries(typed).filter(([name]) => !Object.hasOwn(error.fields, name));
    const search = offerSearch.catch({ limit: pageSize }).parse(Object.fromEntries(good));
    // A place in the list that nobody could have clicked on shows the first page.
    const { after: _, ...fields } = error.fields;
    return { search, fields };
  }
}

/** The same search, further on. */
function nextPage(path: string, request: Request, after: string): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(withoutBlanks(request.query))) {
    if (typeof value === "string") query.set(name, value);
  }
  query.set("after", after);
  return `${path}?${query}`;
}
