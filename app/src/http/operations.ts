import { z } from "zod";
import { maxImageBytes } from "../data/uploads.ts";
import {
  accountSchema,
  changeAccountInput,
  deleteAccountInput,
  emailInput,
  loginInput,
  registerInput,
} from "../domain/accounts.ts";
import { bookingInput, bookingSchema } from "../domain/bookings.ts";
import { destinationSchema, textSchema } from "../domain/content.ts";
import { offerSchema, offerSearch, offerUpdate } from "../domain/offers.ts";
import { pageQuery } from "../domain/paging.ts";
import { resetInput, resetLinkSchema } from "../domain/resets.ts";
import { tripItemInput, tripItemSchema, tripItemUpdate } from "../domain/trips.ts";
import { healthSchema } from "./health.ts";
import {
  byAdministrator,
  byAnybody,
  byVisitor,
  cacheHeader,
  empty,
  idempotencyKey,
  json,
  jsonContent,
  locationHeader,
  type Operations,
  refusals,
  refusalsOrPages,
} from "./openapi.ts";

const id = z.int().min(1).max(2_147_483_647);
const idPath = { path: z.object({ id }) };
const itemPath = { path: z.object({ id, item: id }) };
const account = accountSchema.meta({ id: "Account", description: "Who is logged in." });

const { kind: _flight, ...flightSearch } = offerSearch.shape;

const list = (item: z.ZodType) =>
  z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: "Path of what follows; null at the end." }),
  });

const picture = z.string().meta({
  description: `A PNG, JPEG, GIF or WebP picture of up to ${maxImageBytes / 1024 / 1024} MB.`,
  override: { type: "string", contentMediaType: "application/octet-stream" },
});
const form = (schema: z.ZodType) => ({ "multipart/form-data": { schema } });

const gallery: Operations = {
  "/api/content": {
    get: {
      ...{ summary: "The gallery, newest first", tags: ["gallery"], ...byAnybody },
      requestParams: { query: pageQuery },
      responses: {
        200: json("A page of the gallery.", list(destinationSchema), cacheHeader),
        ...refusals(422),
      },
    },
    post: {
      ...{ summary: "Add a destination", tags: ["gallery"], ...byAdministrator },
      requestParams: { header: idempotencyKey },
      requestBody: { required: true, content: form(textSchema.extend({ image: picture })) },
      responses: {
        201: json("It was added.", destinationSchema, locationHeader),
        ...refusals(401, 403, 413, 415, 422, 429, 507),
      },
    },
  },
  "/api/content/{id}": {
    get: {
      ...{ summary: "One destination", tags: ["gallery"], ...byAnybody },
      requestParams: idPath,
      responses: {
        200: json("The destination.", destinationSchema, cacheHeader),
        ...refusals(404),
      },
    },
    delete: {
      ...{ summary: "Remove a destination", tags: ["gallery"], ...byAdministrator },
      requestParams: idPath,
      responses: { 204: empty("It was removed."), ...refusals(401, 403, 404, 429) },
    },
  },
};

const offers: Operations = {
  "/api/offers": {
    get: {
      ...{ summary: "Search offers, the soonest first", tags: ["offers"], ...byAnybody },
      requestParams: { query: offerSearch },
      responses: { 200: json("What was found.", list(offerSchema), cacheHeader), ...refusals(422) },
    },
    post: {
      ...{ summary: "Add an offer, or change the one of this kind and name", tags: ["offers"] },
      ...byAdministrator,
      requestParams: { header: idempotencyKey },
      requestBody: jsonContent(offerUpdate),
      responses: {
        200: json("It was known and is changed.", offerSchema, locationHeader),
        201: json("It was added.", offerSchema, locationHeader),
        ...refusals(401, 403, 413, 415, 422, 429),
      },
    },
  },
  "/api/offers/{id}": {
    get: {
      ...{ summary: "One offer", tags: ["offers"], ...byAnybody },
      requestParams: idPath,
      responses: { 200: json("The offer.", offerSchema, cacheHeader), ...refusals(404) },
    },
    delete: {
      ...{ summary: "Remove an offer that has no bookings", tags: ["offers"], ...byAdministrator },
      requestParams: idPath,
      responses: { 204: empty("It was removed."), ...refusals(401, 403, 404, 409, 429) },
    },
  },
  "/api/vuelos": {
    get: {
      ...{ summary: "Flights, as a plain array", tags: ["offers"], ...byAnybody },
      requestParams: { query: z.object(flightSearch) },
      responses: {
        200: json("Flights.", z.array(offerSchema), {
          ...cacheHeader,
          Link: z.string().optional().meta({ description: 'What follows, as rel="next".' }),
        }),
        ...refusals(422),
      },
    },
  },
};

const accounts: Operations = {
  "/api/account": {
    post: {
      ...{ summary: "Create an account, and log in", tags: ["account"], ...byAnybody },
      requestBody: jsonContent(registerInput),
      responses: {
        201: json("The account; the session's cookie comes with it.", account),
        ...refusals(401, 403, 409, 413, 415, 422, 429),
      },
    },
    get: {
      ...{ summary: "Who is logged in", tags: ["account"], ...byVisitor },
      responses: { 200: json("The account.", account), ...refusals(401) },
    },
    patch: {
      ...{ summary: "Change the name, or the password", tags: ["account"], ...byVisitor },
      requestBody: jsonContent(changeAccountInput),
      responses: {
        200: json("The account as it is now.", account),
        ...refusals(401, 403, 413, 415, 422, 429),
      },
    },
    delete: {
      ...{ summary: "Delete the account with all that it has", tags: ["account"], ...byVisitor },
      requestBody: jsonContent(deleteAccountInput),
      responses: {
        204: empty("It was deleted."),
        ...refusals(401, 403, 413, 415, 422, 429),
      },
    },
  },
  "/api/session": {
    post: {
      ...{ summary: "Log in", tags: ["account"], ...byAnybody },
      requestBody: jsonContent(loginInput),
      responses: {
        200: json("The account; the session's cookie comes with it.", account),
        ...refusals(401, 403, 413, 415, 422, 429),
      },
    },
    delete: {
      ...{ summary: "Log out", tags: ["account"], ...byAnybody },
      responses: { 204: empty("Nobody is logged in now."), ...refusals(403) },
    },
  },
  "/api/password-reset": {
    post: {
      ...{
        summary: "Have a link mailed that sets a new password",
        tags: ["account"],
        ...byAnybody,
      },
      requestBody: jsonContent(emailInput),
      responses: {
        202: empty("If there is an account with this address, a mail is on its way."),
        ...refusals(403, 409, 413, 415, 422, 429),
      },
    },
    put: {
      ...{ summary: "Set a new password with the token of such a link", tags: ["account"] },
      ...byAnybody,
      requestBody: jsonContent(resetInput),
      responses: {
        204: empty("It is set, and every session has ended."),
        ...refusals(403, 410, 413, 415, 422, 429),
      },
    },
  },
  "/admin/reset-links": {
    post: {
      ...{ summary: "Make a link that sets a visitor's new password", tags: ["account"] },
      ...byAdministrator,
      requestBody: jsonContent(emailInput),
      responses: {
        201: json("The link, for the visitor alone.", resetLinkSchema),
        ...refusalsOrPages(401, 403, 404, 413, 415, 422, 429),
      },
    },
  },
};

const bookings: Operations = {
  "/api/bookings": {
    get: {
      ...{ summary: "One's bookings, newest first", tags: ["bookings"], ...byVisitor },
      requestParams: { query: pageQuery },
      responses: { 200: json("A page of them.", list(bookingSchema)), ...refusals(401, 422) },
    },
    post: {
      ...{ summary: "Book", tags: ["bookings"], ...byVisitor },
      requestParams: { header: idempotencyKey },
      requestBody: jsonContent(bookingInput),
      responses: {
        201: json("It is booked.", bookingSchema, locationHeader),
        ...refusals(401, 403, 404, 409, 410, 413, 415, 422),
      },
    },
  },
  "/api/bookings/{id}": {
    get: {
      ...{ summary: "One booking", tags: ["bookings"], ...byVisitor },
      requestParams: idPath,
      responses: { 200: json("The booking.", bookingSchema), ...refusals(401, 404) },
    },
    delete: {
      ...{ summary: "Cancel; safe to repeat", tags: ["bookings"], ...byVisitor },
      requestParams: idPath,
      responses: {
        200: json("The booking, which is cancelled.", bookingSchema),
        ...refusals(401, 403, 404, 410),
      },
    },
  },
  "/api/bookings/{id}/items": {
    get: {
      ...{ summary: "What is to be done for a trip", tags: ["trips"], ...byVisitor },
      requestParams: idPath,
      responses: {
        200: json("All of it.", z.object({ items: z.array(tripItemSchema) })),
        ...refusals(401, 404),
      },
    },
    post: {
      ...{
        summary: "Add something to do, with a picture if wanted",
        tags: ["trips"],
        ...byVisitor,
      },
      requestParams: { ...idPath, header: idempotencyKey },
      requestBody: {
        required: true,
        content: {
          ...jsonContent(tripItemInput).content,
          ...form(z.object({ ...tripItemInput.shape, image: picture.optional() })),
        },
      },
      responses: {
        201: json("It is on the list.", tripItemSchema),
        ...refusals(401, 403, 404, 409, 413, 415, 422, 507),
      },
    },
  },
  "/api/bookings/{id}/items/{item}": {
    patch: {
      ...{ summary: "Tick it, or take the tick away", tags: ["trips"], ...byVisitor },
      requestParams: itemPath,
      requestBody: jsonContent(tripItemUpdate),
      responses: {
        200: json("As it is now.", tripItemSchema),
        ...refusals(401, 403, 404, 413, 415, 422),
      },
    },
    delete: {
      ...{ summary: "Remove it, and its picture", tags: ["trips"], ...byVisitor },
      requestParams: itemPath,
      responses: { 204: empty("It was removed."), ...refusals(401, 403, 404) },
    },
  },
};

const health = {
  200: json("Serving.", healthSchema),
  503: json("Starting or draining.", healthSchema),
};

const system: Operations = {
  "/api/health": {
    get: {
      ...{ summary: "How the instance and what it depends on are", tags: ["system"] },
      ...byAnybody,
      responses: { ...refusals(), ...health },
    },
  },
  "/api/live": {
    get: {
      ...{ summary: "Whether the process lives", tags: ["system"], ...byAnybody },
      responses: {
        200: json("It does.", z.object({ status: z.literal("alive"), hostname: z.string() })),
        ...refusals(),
      },
    },
  },
  "/api/time": {
    get: {
      ...{ summary: "The database's time, and who gave it", tags: ["system"], ...byAnybody },
      responses: {
        200: json(
          "The time.",
          z.object({
            time: z.iso.datetime(),
            member: z.string().meta({ description: "The database server that was asked." }),
            inRecovery: z.boolean().meta({ description: "Whether it is a standby." }),
            hostname: z.string().meta({ description: "The instance that answered." }),
          }),
        ),
        ...refusals(),
      },
    },
  },
  "/api/openapi.json": {
    get: {
      ...{ summary: "This document", tags: ["system"], ...byAnybody },
      responses: {
        200: json("OpenAPI 3.1.", z.looseObject({ openapi: z.string() })),
        ...refusals(),
      },
    },
  },
};

/** Everything that programs may ask of the two tiers. */
export const operations: Operations = {
  ...gallery,
  ...offers,
  ...accounts,
  ...bookings,
  ...system,
};
