import { type RequestHandler, Router } from "express";
import { describeApi } from "../openapi.ts";
import { operations } from "../operations.ts";
import type { Services } from "../services.ts";

/** The API in the words of OpenAPI, made once. */
export function apiDocumentRoutes({ config }: Services): RequestHandler {
  const router = Router();
  const text = JSON.stringify(describeApi(config.publicUrl, operations));
  router.get("/api/openapi.json", (_request, response) => {
    response.set("Cache-Control", "public, max-age=60").type("json").send(text);
  });
  return router;
}
