import { type Request, type RequestHandler, type Response, Router } from "express";
import { uploadRoom, uploadUse } from "../../data/upload-room.ts";
import { receiveForm } from "../../data/uploads.ts";
import {
  addContent,
  contentKeys,
  type Destination,
  listContent,
  removeContent,
} from "../../domain/content.ts";
import { pageQuery } from "../../domain/paging.ts";
import { Invalid, parseId } from "../../domain/validation.ts";
import { HttpError } from "../../lib/errors.ts";
import { type FormNotes, formKey, keyOf, repeats, sayRefusal } from "../forms.ts";
import { pageFrame, redirectWithFlash } from "../page.ts";
import { noteChange, positionOf } from "../position.ts";
import { picturesOf } from "../server-config.ts";
import type { Services } from "../services.ts";

/** Destinations on one page of the administrators' list. */
const listPageSize = 20;

/** The write side of the API, and pages that do the same by plain forms. */
export function adminRoutes(services: Services): RequestHandler {
  const router = Router();

  router.post("/api/content", async (request, response) => {
    const added = await add(services, request, response);
    response.status(201).location(`/api/content/${added.id}`).json(added);
  });

  router.delete("/api/content/:id", async (request, response) => {
    await remove(services, request, response, request.params.id);
    response.status(204).end();
  });

  router.get("/admin", async (request, response) => {
    await showPage(services, request, response, {});
  });

  router.post("/admin/content", async (request, response) => {
    const typed: Record<string, string> = {};
    try {
      await add(services, request, response, typed);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      return await showPage(services, request, response, { error, typed });
    }
    redirectWithFlash(request, response, "/admin", "content-added");
  });

  router.post("/admin/content/:id/delete", async (request, response) => {
    try {
      await remove(services, request, response, request.params.id);
    } catch (error) {
      // Two administrators, one button: the second one gets what was asked for.
      if (!(error instanceof HttpError) || error.status !== 404) throw error;
      return redirectWithFlash(request, response, "/admin", "content-gone");
    }
    redirectWithFlash(request, response, "/admin", "content-removed");
  });
  return router;
}

/** @param typed filled with the form's texts, so that a refused form can be shown again */
async function add(
  services: Services,
  request: Request,
  response: Response,
  typed: Record<string, string> = {},
): Promise<Destination> {
  const { database, config } = services;
  const directory = config.uploadsDirectory;
  const isRepeat = repeats(database, request, contentKeys);
  const place = { directory, room: uploadRoom(database), isRepeat };
  const form = await receiveForm(request, place, typed);
  const { value, position } = await addContent({ database, directory }, form, () =>
    keyOf(request, form.fields),
  );
  await noteChange(services, request, response, "content", position);
  return value;
}

async function remove(
  services: Services,
  request: Request,
  response: Response,
  id: string,
): Promise<void> {
  const { database, config } = services;
  const pictures = picturesOf(config);
  const position = await removeContent({ database, pictures }, parseId(id, "destination"));
  await noteChange(services, request, response, "content", position);
}

interface Notes {
  error?: HttpError;
  typed?: Record<string, string>;
}

function notesOf(error: HttpError): FormNotes {
  if (error instanceof Invalid) return { errors: error.fields };
  const { code, message } = error;
  return /image|upload|storage/.test(code) ? { errors: { image: message } } : { problem: message };
}

async function showPage(
  services: Services,
  request: Request,
  response: Response,
  { error, typed = {} }: Notes,
): Promise<void> {
  const { config, database, render } = services;
  const { before } = pageQuery.catch({ limit: listPageSize }).parse(request.query);
  const { page, use } = await database.read(
    async (query) => ({
      page: await listContent(query, { limit: listPageSize, before }),
      use: await uploadUse(query),
    }),
    positionOf(request, config.cookieSecrets),
  );
  const frame = pageFrame(services, request, response, "Gallery");
  if (error) sayRefusal(response, error);
  const notes = error ? notesOf(error) : {};
  const form = { typed, errors: {}, ...notes, idempotencyKey: formKey(error, typed) };
  response.set("Cache-Control", "no-store");
  response
    .type("html")
    .send(render("admin", { ...frame, path: "/admin", page, use, before, ...form }));
}
