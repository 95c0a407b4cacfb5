import express, { type ErrorRequestHandler, type Express } from "express";
import { Invalid } from "../domain/validation.ts";
import { DatabaseFull, HttpError, LoginNeeded } from "../lib/errors.ts";
import { httpSeconds } from "../lib/metrics.ts";
import { isApi, plainFrame, wantsPage } from "./page.ts";
import { doubtAfterFailure } from "./position.ts";
import { logRequests } from "./request-log.ts";
import { accountRoutes } from "./routes/accounts.ts";
import { adminRoutes } from "./routes/admin.ts";
import { adminLoginRoutes } from "./routes/admin-login.ts";
import { adminOfferRoutes } from "./routes/admin-offers.ts";
import { apiDocumentRoutes } from "./routes/api-document.ts";
import { bookingRoutes } from "./routes/bookings.ts";
import { imageRoutes } from "./routes/images.ts";
import { offerRoutes } from "./routes/offers.ts";
import { operationsRoutes } from "./routes/operations.ts";
import { resetRoutes } from "./routes/resets.ts";
import { storefrontRoutes } from "./routes/storefront.ts";
import { tripRoutes } from "./routes/trips.ts";
import { refuseCrossSite, securityHeaders } from "./security.ts";
import { sendAwayWhileDraining } from "./send-away.ts";
import type { Services } from "./services.ts";
import { SlowBodies } from "./slow-bodies.ts";
import { answerOddTargets } from "./targets.ts";
import { loadViews, serveAssets } from "./views.ts";
import { recogniseVisitors, sendToLogin } from "./visitor.ts";

/** Builds the application of one tier; it listens to nothing yet. */
export function createApp(parts: Omit<Services, "render">, slowBodies = new SlowBodies()): Express {
  const services: Services = { ...parts, render: loadViews(parts.config.release) };
  const { config, health, log } = services;
  const app = express();
  // Express' own last resort would show a stack, whatever NODE_ENV says.
  app.set("env", "production");
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("trust proxy", config.trustedProxies);
  app.set("query parser", "simple");
  app.use(logRequests(log));
  app.use(measureRequests());
  app.use((_request, response, next) => {
    response.set("X-Served-By", config.instance);
    next();
  });
  app.use(securityHeaders());
  app.use(sendAwayWhileDraining(health));
  app.use(answerOddTargets());
  const answer = answerError(services);
  app.use(slowBodies.watch(answer));
  app.use(doubtAfterFailure(services));
  app.use(operationsRoutes(services));
  app.use(refuseCrossSite());
  app.use(serveAssets());
  app.use(imageRoutes(services));
  const tiers = {
    storefront: [
      recogniseVisitors,
      accountRoutes,
      resetRoutes,
      storefrontRoutes,
      offerRoutes,
      bookingRoutes,
      tripRoutes,
      apiDocumentRoutes,
    ],
    // What follows the login needs an administrator.
    admin: [adminLoginRoutes, adminRoutes, adminOfferRoutes],
  };
  for (const routes of tiers[config.tier]) app.use(routes(services));
  app.use(() => {
    throw new HttpError(404, "not-found", "There is nothing at this address.");
  });
  app.use(answer);
  return app;
}

function measureRequests(): express.RequestHandler {
  return (request, response, next) => {
    const end = httpSeconds.startTimer({ method: request.method });
    response.once("close", () => {
      const route = request.route?.path ? String(request.route.path) : "none";
      end({ route, status: response.statusCode });
    });
    next();
  };
}

/** Of what was about to be sent when it failed. */
const headersOfContent = [
  "Content-Type",
  "Content-Length",
  "ETag",
  "Accept-Ranges",
  "Last-Modified",
];

/** Every failed request ends here, in the client's own language: a page or JSON. */
function answerError(services: Services): ErrorRequestHandler {
  const { log } = services;
  return (thrown, request, response, _next) => {
    const error = toHttpError(thrown);
    if (error.status === 500 || error instanceof DatabaseFull) {
      log.error({ err: thrown, requestId: request.id }, "request failed");
    }
    // Too late for an answer: the client must not take half of one for the whole.
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof LoginNeeded && wantsPage(request) && !isApi(request)) {
      return sendToLogin(request, response, error.loginPage);
    }
    for (const name of headersOfContent) response.removeHeader(name);
    if (error.status !== 416) response.removeHeader("Content-Range");
    response.status(error.status).set("Cache-Control", "no-store");
    if (error.retryAfterSeconds !== undefined) {
      response.set("Retry-After", String(error.retryAfterSeconds));
    }
    if (!wantsPage(request)) {
      const fields = error instanceof Invalid ? { fields: error.fields } : {};
      response.json({
        ...{ error: error.code, message: error.message, ...fields },
        requestId: request.id,
      });
      return;
    }
    const { status, message } = error;
    const heading = title(status);
    const data = { heading, status, message, requestId: request.id };
    const frame = plainFrame(services, request, heading);
    response.type("html").send(services.render("error", { ...frame, ...data }));
  };
}

function title(status: number): string {
  if (status === 404) return "Nothing here";
  if (status === 503) return "Back in a moment";
  return status < 500 ? "That did not work" : "Something went wrong";
}

function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  // Express' own refusals (a path that cannot be decoded, a bad range) carry a status.
  const status = (error as { status?: unknown }).status;
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new HttpError(status, "bad-request", "The request cannot be understood.");
  }
  return new HttpError(500, "internal", "Something went wrong on our side.");
}
