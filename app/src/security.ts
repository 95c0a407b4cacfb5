import type { RequestHandler } from "express";
import helmet from "helmet";
import { HttpError } from "./errors.ts";
import { cookie } from "./position.ts";
import { administratorSession, visitorSession } from "./sessions.ts";

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
      if (!sessionCookies.some((name) => cookie(request, name) !== undefined)) return next();
      const help = `Requests with a session's cookie say where they come from: send the header Origin: ${request.protocol}://${host}`;
      throw new HttpError(403, "cross-site", help);
    }
    if (isSameOrigin(request.headers)) return next();
    throw new HttpError(403, "cross-site", "This change was asked for by another site.");
  };
}

function isSameOrigin(headers: NodeJS.Dict<string | string[]>): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  const { origin, host } = headers;
  return URL.canParse(String(origin)) && new URL(String(origin)).host === host;
}
