import { type Request, type RequestHandler, type Response, Router } from "express";
import { centsFrom, wholeFrom } from "../../domain/numbers.ts";
import {
  listOffers,
  offerInput,
  offerUpdate,
  QuantityMoved,
  quantityInput,
  removeOffer,
  type Saved,
  saveOffer,
  setQuantity,
} from "../../domain/offers.ts";
import { pageQuery } from "../../domain/paging.ts";
import { check, Invalid, parseId, withoutBlanks } from "../../domain/validation.ts";
import { HttpError } from "../../lib/errors.ts";
import { formBody, jsonBody } from "../body.ts";
import { formKey, keyOf, sayRefusal } from "../forms.ts";
import { pageFrame, redirectWithFlash } from "../page.ts";
import { noteChange, positionOf } from "../position.ts";
import type { Services } from "../services.ts";

/** Offers on one page of the administrators' list. */
const pageSize = 50;

/** Offers and their stock: the write side of the API, and pages that do the same by plain forms. */
export function adminOfferRoutes(services: Services): RequestHandler {
  const router = Router();

  router.post("/api/offers", jsonBody(), async (request: Request, response: Response) => {
    const given = check(offerUpdate, request.body);
    const { offer, created } = await save(services, request, response, given);
    response
      .status(created ? 201 : 200)
      .location(`/api/offers/${offer.id}`)
      .json(offer);
  });

  router.delete("/api/offers/:id", async (request, response) => {
    await remove(services, request, response, request.params.id);
    response.status(204).end();
  });

  router.get("/admin/offers", async (request, response) => {
    await showPage(services, request, response, {});
  });

  router.post("/admin/offers", formBody(), (request: Request, response: Response) =>
    addByForm(services, request, response),
  );

  router.post("/admin/offers/:id/quantity", formBody(), (request: Request, response: Response) =>
    setQuantityByForm(services, request, response),
  );

  router.post("/admin/offers/:id/delete", async (request, response) => {
    try {
      await remove(services, request, response, request.params.id);
    } catch (error) {
      const word = error instanceof HttpError ? flashOf[error.status] : undefined;
      if (!word) throw error;
      return redirectWithFlash(request, response, "/admin/offers", word);
    }
    redirectWithFlash(request, response, "/admin/offers", "offer-removed");
  });
  return router;
}

/** Two administrators, one button; or an offer that was booked before it could go. */
const flashOf: Record<number, "offer-gone" | "offer-booked"> = {
  404: "offer-gone",
  409: "offer-booked",
};

type Fields = Record<string, unknown>;

/** The form's texts as the API takes them. The price is typed in euros. */
function fromForm({ price, quantity, ...rest }: Fields): Fields {
  return withoutBlanks({
    ...rest,
    priceCents: centsFrom(price),
    quantity: wholeFrom(quantity),
  });
}

async function addByForm(services: Services, request: Request, response: Response): Promise<void> {
  const typed = request.body as Fields;
  try {
    // The form has all fields, so that all that is wrong can be told at once.
    const given = check(offerInput, fromForm(typed));
    const { created } = await save(services, request, response, given, typed);
    redirectWithFlash(
      request,
      response,
      "/admin/offers",
      created ? "offer-added" : "offer-updated",
    );
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    await showPage(services, request, response, { error, typed });
  }
}

async function setQuantityByForm(
  services: Services,
  request: Request,
  response: Response,
): Promise<void> {
  const id = parseId(String(request.params.id), "offer");
  const { quantity, was } = request.body as Fields;
  try {
    const numbers = { quantity: wholeFrom(quantity), was: wholeFrom(was) };
    const given = check(quantityInput, withoutBlanks(numbers));
    const position = await setQuantity(services.database, id, given);
    await noteChange(services, request, response, "offers", position);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    if (error.status === 404) {
      return redirectWithFlash(request, response, "/admin/offers", "offer-gone");
    }
    // Who was refused for a typing mistake has still seen the old number, and no other.
    const typed =
      error instanceof QuantityMoved
        ? { quantity: error.left, was: error.left }
        : { quantity, was };
    return await showPage(services, request, response, { error, row: id, typed });
  }
  redirectWithFlash(request, response, "/admin/offers", "offer-updated");
}

async function save(
  services: Services,
  request: Request,
  response: Response,
  given: Parameters<typeof saveOffer>[1],
  fields?: Fields,
): Promise<Saved> {
  const key = keyOf(request, fields);
  const { value, position } = await saveOffer(services.database, given, key);
  await noteChange(services, request, response, "offers", position);
  return value;
}

async function remove(
  services: Services,
  request: Request,
  response: Response,
  id: string,
): Promise<void> {
  const position = await removeOffer(services.database, parseId(id, "offer"));
  await noteChange(services, request, response, "offers", position);
}

interface Notes {
  error?: HttpError;
  typed?: Fields;
  /** Whose quantity it is about; without it, the new offer. */
  row?: number;
}

async function showPage(
  services: Services,
  request: Request,
  response: Response,
  { error, typed = {}, row }: Notes,
): Promise<void> {
  const { config, database, render } = services;
  const { before } = pageQuery.catch({ limit: pageSize }).parse(request.query);
  const page = await database.read(
    (query) => listOffers(query, { limit: pageSize, before }),
    positionOf(request, config.cookieSecrets),
  );
  if (error) sayRefusal(response, error);
  const data = {
    ...{ page, before, typed, row },
    problem: error?.message,
    fields: error instanceof Invalid ? error.fields : {},
    idempotencyKey: formKey(error, typed),
  };
  response.set("Cache-Control", "private, no-store");
  const frame = pageFrame(services, request, response, "Manage offers");
  response.type("html").send(render("admin-offers", { ...frame, ...data }));
}
