import type { Request, RequestHandler } from "express";
import helmet from "helmet";
import { administratorSession, visitorSession } from "../domain/sessions.ts";
import { HttpError } from "../lib/errors.ts";
import { cookieValue } from "./cookies.ts";

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

const sessionCookies = [visitorSession.cookie, administratorSession.cookie];

const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Refuses changes that another site asks a browser to make. Browsers name the origin of every such
 * request; a client that names none is no browser, and has no session's cookie to carry by itself.
 */
export function refuseCrossSite(): RequestHandler {
  return (request, _response, next) => {
    if (safeMethods.has(request.method)) return next();
    const { origin, "sec-fetch-site": site, host } = request.headers;
    if (origin === undefined && site === undefined) {
      if (!sessionCookies.some((one) => cookieValue(request, one) !== undefined)) return next();
      const help = `Requests with a session's cookie say where they come from: send the header Origin: ${request.protocol}://${host}`;
      throw new HttpError(403, "cross-site", help);
    }
    if (isSameOrigin(request)) return next();
    throw new HttpError(403, "cross-site", "This change was asked for by another site.");
  };
}

function isSameOrigin({ headers, secure }: Request): boolean {
  const { origin, host, "sec-fetch-site": site } = headers;
  if (site !== undefined) return site === "same-origin" || site === "none";
  if (!URL.canParse(String(origin))) return false;
  const { host: named, protocol } = new URL(String(origin));
  // Anybody on the way can put a page under our own name, by plain HTTP
  return named === host && (!secure || protocol === "https:");
}
