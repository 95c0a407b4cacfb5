import type { RequestHandler } from "express";
import helmet from "helmet";
import { HttpError } from "./errors.ts";

/** Headers for every answer: nothing inline, nothing from elsewhere, no framing. */
export function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        imgSrc: ["'self'"],
        styleSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Browsers would send "Origin: null" with our own forms under `no-referrer`.
    referrerPolicy: { policy: "same-origin" },
    // HTTPS is the load balancer's matter, and so is promising it.
    strictTransportSecurity: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
  });
}

const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Refuses changes that another site asks a browser to make. Browsers name the origin of every such
 * request; a client that names none is no browser, and carries nobody's cookies by itself.
 */
export function refuseCrossSite(): RequestHandler {
  return (request, _response, next) => {
    if (safeMethods.has(request.method) || isSameOrigin(request.headers)) return next();
    throw new HttpError(403, "cross-site", "This change was asked for by another site.");
  };
}

function isSameOrigin(headers: NodeJS.Dict<string | string[]>): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  const { origin, host } = headers;
  if (origin === undefined) return true;
  return URL.canParse(String(origin)) && new URL(String(origin)).host === host;
}
