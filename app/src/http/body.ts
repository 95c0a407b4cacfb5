import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { HttpError } from "../lib/errors.ts";

/** Forms and JSON are short texts; pictures come another way (uploads.ts). Bytes. */
const longest = 16 * 1024;

const refusals: Record<string, HttpError> = {
  "entity.parse.failed": new HttpError(400, "bad-json", "The body is not JSON."),
  "entity.too.large": new HttpError(413, "too-large", "The body is longer than 16 KiB."),
  "parameters.too.many": new HttpError(413, "too-large", "The form has more than 50 fields."),
};

const toRefusal: ErrorRequestHandler = (error, _request, _response, next) => {
  next(refusals[(error as { type?: string }).type ?? ""] ?? error);
};

/** Drops what came complete after all, once its client was told that it was given up. */
const dropLate: RequestHandler = (_request, response, next) => {
  if (!response.headersSent) next();
};

/** Reads `request.body` from JSON, for the API. Anything else is refused with 415. */
export function jsonBody(): (RequestHandler | ErrorRequestHandler)[] {
  return [
    express.json({ limit: longest, inflate: false }),
    toRefusal,
    dropLate,
    requireType("json"),
  ];
}

/** Reads `request.body` from a plain form, for pages. */
export function formBody(): (RequestHandler | ErrorRequestHandler)[] {
  const parse = express.urlencoded({
    limit: longest,
    inflate: false,
    extended: false,
    parameterLimit: 50,
  });
  return [parse, toRefusal, dropLate, requireType("urlencoded")];
}

function requireType(type: "json" | "urlencoded"): RequestHandler {
  const name = type === "json" ? "application/json" : "application/x-www-form-urlencoded";
  return (request, _response, next) => {
    if (request.is(type)) return next();
    next(new HttpError(415, "unsupported-media-type", `Send the body as ${name}.`));
  };
}
