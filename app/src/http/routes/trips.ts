import { type Request, type RequestHandler, type Response, Router } from "express";
import { uploadRoom } from "../../data/upload-room.ts";
import { imageName, type ReceivedForm, receiveForm } from "../../data/uploads.ts";
import { findBooking } from "../../domain/bookings.ts";
import {
  addItem,
  hasPicture,
  listItems,
  mostItems,
  picturesDirectory,
  refusals,
  removeItem,
  type Trip,
  type TripItem,
  tickItem,
  tripItemUpdate,
  tripKeys,
} from "../../domain/trips.ts";
import { check, parseId } from "../../domain/validation.ts";
import { HttpError, LoginNeeded } from "../../lib/errors.ts";
import { formBody, jsonBody } from "../body.ts";
import { formKey, keyOf, repeats, sayRefusal } from "../forms.ts";
import { isApi, pageFrame, redirectWithFlash } from "../page.ts";
import { positionOf, rememberPosition } from "../position.ts";
import { picturesOf } from "../server-config.ts";
import type { Services } from "../services.ts";
import { requireVisitor } from "../visitor.ts";
import { noPicture, sendPicture } from "./images.ts";

/** A trip: its booking, and what is to be done for it. The API, and a page that does the same. */
export function tripRoutes(services: Services): RequestHandler {
  const router = Router();
  addApi(router, services);
  addPages(router, services);
  return router;
}

function addApi(router: Router, services: Services): void {
  const { config, database } = services;
  const list = "/api/bookings/:id/items";

  router.get(list, async (request, response) => {
    const trip = tripOf(request);
    const items = await database.read(
      async (query) => {
        await findBooking(query, trip.account, trip.booking);
        return await listItems(query, trip);
      },
      positionOf(request, config.cookieSecrets),
    );
    response.json({ items });
  });

  const answerAdded = async (request: Request, response: Response, form?: ReceivedForm) => {
    response.status(201).json(await add(services, request, response, form));
  };
  // Without a picture JSON is simpler; with one it takes a form.
  router.post(list, async (request, response, next) => {
    if (!request.is("multipart/form-data")) return next();
    await answerAdded(request, response);
  });
  router.post(list, jsonBody(), async (request: Request, response: Response) => {
    await answerAdded(request, response, { fields: request.body, upload: undefined });
  });

  router.patch(`${list}/:item`, jsonBody(), async (request: Request, response: Response) => {
    response.json(await tick(services, request, response));
  });

  router.delete(`${list}/:item`, async (request, response) => {
    await remove(services, request, response);
    response.status(204).end();
  });
}

function addPages(router: Router, services: Services): void {
  const { config, database } = services;
  const page = "/bookings/:id";

  router.get(page, async (request, response) => {
    await showTrip(services, request, response, {});
  });

  router.post(`${page}/items`, async (request, response) => {
    const typed: Record<string, string> = {};
    try {
      await add(services, request, response, undefined, typed);
    } catch (error) {
      if (!(error instanceof HttpError) || error instanceof LoginNeeded) throw error;
      if (error.status === 404) throw error;
      return await showTrip(services, request, response, { error, typed });
    }
    redirectWithFlash(request, response, here(request), "item-added");
  });

  const tickPath = `${page}/items/:item/tick`;
  router.post(tickPath, formBody(), async (request: Request, response: Response) => {
    request.body = { done: request.body.done === "true" };
    await tick(services, request, response);
    response.redirect(303, `${here(request)}#items`);
  });

  router.post(`${page}/items/:item/delete`, async (request, response) => {
    try {
      await remove(services, request, response);
    } catch (error) {
      // Two windows, one button: the second one gets what was asked for.
      if (!(error instanceof HttpError) || error.status !== 404) throw error;
      return redirectWithFlash(request, response, here(request), "item-gone");
    }
    redirectWithFlash(request, response, here(request), "item-removed");
  });

  router.get(`${page}/pictures/:file`, async (request, response) => {
    const trip = tripOf(request);
    const { file } = request.params;
    const position = positionOf(request, config.cookieSecrets);
    const owned =
      imageName.test(file) &&
      (await database.read((query) => hasPicture(query, trip, file), position));
    if (!owned) throw noPicture();
    // Asked for each time: who logs out leaves a browser that shows nothing.
    const directory = picturesDirectory(config.uploadsDirectory);
    await sendPicture({ request, response }, directory, file, "private, no-cache");
  });
}

/** @throws LoginNeeded; HttpError 404 for what can be no booking */
function tripOf(request: Request): Trip {
  const account = requireVisitor(request).id;
  return { account, booking: parseId(String(request.params.id), "booking") };
}

function here(request: Request): string {
  return `/bookings/${parseId(String(request.params.id), "booking")}`;
}

/**
 * @param received the form; without it, it is still to be read from the request
 * @param typed filled with the form's texts, so that a refused form can be shown again
 */
async function add(
  { database, config }: Services,
  request: Request,
  response: Response,
  received?: ReceivedForm,
  typed: Record<string, string> = {},
): Promise<TripItem> {
  const trip = tripOf(request);
  const uploads = config.uploadsDirectory;
  const form = received ?? (await receiveItem({ database, config }, request, trip, typed));
  Object.assign(typed, form.fields);
  const { value, position } = await addItem({ database, uploads }, trip, form, () =>
    keyOf(request, received ? {} : form.fields),
  );
  rememberPosition(request, response, config.cookieSecrets, position);
  return value;
}

/** Receives no megabytes for what will be refused. */
async function receiveItem(
  { database, config }: Pick<Services, "database" | "config">,
  request: Request,
  trip: Trip,
  typed: Record<string, string>,
): Promise<ReceivedForm> {
  const { item, picture } = await database.read(
    (query) => refusals(query, trip),
    positionOf(request, config.cookieSecrets),
  );
  // A repeat gets the first answer, full or not: only `addItem` can tell. Each page's form has a key.
  const mayRepeat = !isApi(request) || request.get("Idempotency-Key") !== undefined;
  if (item && !mayRepeat) throw item;
  const place = {
    directory: config.uploadsDirectory,
    room: uploadRoom(database, trip.account),
    noFile: mayRepeat ? undefined : picture,
    isRepeat: repeats(database, request, tripKeys(trip)),
  };
  return await receiveForm(request, place, typed);
}

async function tick(
  { database, config }: Services,
  request: Request,
  response: Response,
): Promise<TripItem> {
  const trip = tripOf(request);
  const { done } = check(tripItemUpdate, request.body);
  const { value, position } = await tickItem(database, trip, itemOf(request), done);
  rememberPosition(request, response, config.cookieSecrets, position);
  return value;
}

async function remove(
  { database, config }: Services,
  request: Request,
  response: Response,
): Promise<void> {
  const pictures = picturesOf(config);
  const position = await removeItem({ database, pictures }, tripOf(request), itemOf(request));
  rememberPosition(request, response, config.cookieSecrets, position);
}

function itemOf(request: Request): number {
  return parseId(String(request.params.item), "thing on the list");
}

interface Notes {
  error?: HttpError;
  typed?: Record<string, string>;
}

async function showTrip(
  services: Services,
  request: Request,
  response: Response,
  { error, typed = {} }: Notes,
): Promise<void> {
  const { config, database, render } = services;
  const trip = tripOf(request);
  const page = await database.read(
    async (query) => ({
      booking: await findBooking(query, trip.account, trip.booking),
      items: await listItems(query, trip),
    }),
    positionOf(request, config.cookieSecrets),
  );
  if (error) sayRefusal(response, error);
  const form = {
    ...{
      typed,
      problem: error?.message,
      pictureTrouble: error && /image|picture|storage|upload/.test(error.code),
      chooseAgain: error?.status === 507 ? "" : "; choose a picture again",
    },
    idempotencyKey: formKey(error, typed),
  };
  response.set("Cache-Control", "private, no-store");
  const frame = pageFrame(services, request, response, page.booking.offer.name);
  const today = new Date().toISOString().slice(0, 10);
  const started = page.booking.offer.startsOn < today;
  response.type("html").send(render("booking", { ...frame, ...page, ...form, started, mostItems }));
}
