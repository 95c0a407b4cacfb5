import { type Request, type RequestHandler, type Response, Router } from "express";
import { unknownPosition } from "../../data/database.ts";
import {
  type Booking,
  book,
  bookingInput,
  cancelBooking,
  findBooking,
  listBookings,
} from "../../domain/bookings.ts";
import { wholeFrom } from "../../domain/numbers.ts";
import { findOffer, noOffer } from "../../domain/offers.ts";
import { pageQuery } from "../../domain/paging.ts";
import { check, idSchema, parseId } from "../../domain/validation.ts";
import { HttpError } from "../../lib/errors.ts";
import { formBody, jsonBody } from "../body.ts";
import { keyOf, sayRefusal } from "../forms.ts";
import { pageFrame, redirectWithFlash } from "../page.ts";
import { noteChange, positionOf } from "../position.ts";
import type { Services } from "../services.ts";
import { requireVisitor, visitorOf } from "../visitor.ts";
import { type BookingNotes, showOffer } from "./offers.ts";

/** Bookings on one page of the list. */
const pageSize = 20;

/** Booking, one's own bookings, and cancelling: the API, and pages that do the same by forms. */
export function bookingRoutes(services: Services): RequestHandler {
  const { config, database } = services;
  const router = Router();

  router.get("/api/bookings", async (request, response) => {
    const { id } = requireVisitor(request);
    const range = check(pageQuery, request.query);
    const page = await database.read(
      (query) => listBookings(query, id, range),
      positionOf(request, config.cookieSecrets),
    );
    const next = page.next && `/api/bookings?limit=${range.limit}&before=${page.next}`;
    response.json({ items: page.items, next });
  });

  router.post("/api/bookings", jsonBody(), async (request: Request, response: Response) => {
    const booking = await take(services, request, response, request.body);
    response.status(201).location(`/api/bookings/${booking.id}`).json(booking);
  });

  router.get("/api/bookings/:id", async (request, response) => {
    const { id: account } = requireVisitor(request);
    const id = parseId(request.params.id, "booking");
    const booking = await database.read(
      (query) => findBooking(query, account, id),
      positionOf(request, config.cookieSecrets),
    );
    response.json(booking);
  });

  router.delete("/api/bookings/:id", async (request, response) => {
    response.json(await cancel(services, request, response, request.params.id));
  });

  router.get("/bookings", async (request, response) => {
    const { id } = requireVisitor(request);
    const { before } = pageQuery.catch({ limit: pageSize }).parse(request.query);
    const page = await database.read(
      (query) => listBookings(query, id, { limit: pageSize, before }),
      positionOf(request, config.cookieSecrets),
    );
    const frame = pageFrame(services, request, response, "My bookings");
    response.set("Cache-Control", "private, no-store");
    response.type("html").send(services.render("bookings", { ...frame, page, before }));
  });

  router.post("/bookings", formBody(), (request: Request, response: Response) =>
    bookByForm(services, request, response),
  );

  router.post("/bookings/:id/cancel", async (request, response) => {
    const { id } = await cancel(services, request, response, String(request.params.id));
    redirectWithFlash(request, response, `/bookings/${id}`, "booking-cancelled");
  });
  return router;
}

async function bookByForm(services: Services, request: Request, response: Response): Promise<void> {
  const fields = request.body as Record<string, unknown>;
  const { offerId, quantity } = fields;
  const offer = idSchema.safeParse(offerId);
  if (!offer.success) throw noOffer();
  let booking: Booking;
  try {
    const asked = { offerId: offer.data, quantity: wholeFrom(quantity) };
    const wanted = check(bookingInput, asked);
    if (!visitorOf(request)) {
      // Back to the offer, with what was chosen.
      const next = `/offers/${wanted.offerId}?quantity=${wanted.quantity}`;
      return response.redirect(303, `/login?next=${encodeURIComponent(next)}`);
    }
    booking = await take(services, request, response, wanted, fields);
  } catch (error) {
    if (!(error instanceof HttpError) || error.status === 404) throw error;
    const typed = { ...fields, quantity: quantity ?? "" };
    return await showProblem(services, request, response, offer.data, { error, typed });
  }
  redirectWithFlash(request, response, `/bookings/${booking.id}`, "booked");
}

/** The offer's page again, with what is wrong at its field and what was typed. */
async function showProblem(
  services: Services,
  request: Request,
  response: Response,
  offerId: number,
  notes: Required<BookingNotes>,
): Promise<void> {
  const { error } = notes;
  // A refusal came from the primary, and so must the number that it was about.
  const after =
    error.status < 500 ? unknownPosition : positionOf(request, services.config.cookieSecrets);
  const offer = await services.database.read((query) => findOffer(query, offerId), after);
  if (!offer) throw noOffer();
  sayRefusal(response, error);
  await showOffer(services, request, response, offer, notes, "bypass");
}

async function take(
  services: Services,
  request: Request,
  response: Response,
  body: unknown,
  fields?: unknown,
): Promise<Booking> {
  const { id } = requireVisitor(request);
  const { value, position } = await book(
    services.database,
    id,
    check(bookingInput, body),
    keyOf(request, fields),
  );
  await noteChange(services, request, response, "offers", position);
  return value;
}

async function cancel(
  services: Services,
  request: Request,
  response: Response,
  id: string,
): Promise<Booking> {
  const account = requireVisitor(request).id;
  const { value, position } = await cancelBooking(
    services.database,
    account,
    parseId(id, "booking"),
  );
  await noteChange(services, request, response, "offers", position);
  return value;
}
