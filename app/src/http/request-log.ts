import { randomUUID } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import type { Logger } from "pino";
import { pinoHttp } from "pino-http";
import { administratorOf } from "./administrator.ts";

const requestIdPattern = /^[\w.:-]{1,100}$/;

/** One line per request, and `X-Request-Id` on every answer. Headers and queries stay out of it. */
export function logRequests(logger: Logger): RequestHandler {
  const log = pinoHttp<Request, Response>({
    logger,
    quietReqLogger: true,
    customAttributeKeys: { reqId: "requestId", responseTime: "ms" },
    genReqId: (request, response) => {
      const id = requestId(request);
      response.setHeader("X-Request-Id", id);
      return id;
    },
    serializers: { req: () => undefined, res: () => undefined },
    customSuccessObject: (request, response, value) => ({ ...value, ...about(request, response) }),
    customErrorObject: (request, response, _error, value) => ({
      ...value,
      ...about(request, response),
    }),
    customLogLevel: (request, response, error) => levelOf(request, response, error),
    customSuccessMessage: () => "answered",
    customErrorMessage: () => "failed",
  });
  return (request, response, next) => {
    log(request, response);
    next();
  };
}

function about(request: Request, response: Response): Record<string, unknown> {
  const path = request.originalUrl.split("?", 1)[0];
  const administrator = administratorOf(request)?.name;
  return {
    client: request.ip,
    method: request.method,
    path,
    status: response.statusCode,
    ...(administrator !== undefined && { administrator }),
  };
}

/** A proxy's own id where a trusted proxy sent it, else a new one. */
function requestId(request: Request): string {
  const given = request.headers["x-request-id"];
  const trust = request.app.get("trust proxy fn") as (address: string, hop: number) => boolean;
  const trusted = trust(request.socket.remoteAddress ?? "", 0);
  return trusted && typeof given === "string" && requestIdPattern.test(given)
    ? given
    : randomUUID();
}

const quiet = /^\/(api\/(health|live)|metrics)$/;

function levelOf(request: Request, response: Response, error?: Error) {
  if (response.statusCode >= 500 && !quiet.test(request.path)) return "error";
  if (error) return "warn";
  return quiet.test(request.path) ? "debug" : "info";
}
