import { type Request, type RequestHandler, type Response, Router } from "express";
import type { Visitor } from "../domain/accounts.ts";
import { visitorSession } from "../domain/sessions.ts";
import { LoginNeeded } from "../lib/errors.ts";
import { loadSession, type SessionServices } from "./sessions.ts";

const visitors = new WeakMap<Request, Visitor>();

/** Notes who the session of this request belongs to. */
export function setVisitor(request: Request, visitor: Visitor): void {
  visitors.set(request, visitor);
}

/** Who is logged in, if anybody is. */
export function visitorOf(request: Request): Visitor | undefined {
  return visitors.get(request);
}

/** Who is logged in. @throws LoginNeeded */
export function requireVisitor(request: Request): Visitor {
  const visitor = visitorOf(request);
  if (!visitor) throw new LoginNeeded();
  return visitor;
}

/** Finds out whose session each request carries, if it carries one. */
export function recogniseVisitors(services: SessionServices): RequestHandler {
  return Router().use(loadSession(services, visitorSession), (request, _response, next) => {
    const { owner } = request.session;
    if (owner) setVisitor(request, owner as Visitor);
    next();
  });
}

/**
 * A path of this site to go on to, from a form or a query; anything else gives `otherwise`. Browsers
 * read `//x`, `/\x` and the like as another site.
 */
export function ownPath(value: unknown, otherwise: string): string {
  if (typeof value !== "string" || !value.startsWith("/") || value.length > 2000) return otherwise;
  const base = "http://own.invalid";
  if (!URL.canParse(value, base)) return otherwise;
  const { origin, pathname, search, hash } = new URL(value, base);
  // What is resolved may begin with two slashes again: `/.//x`.
  if (origin !== base || pathname.startsWith("//")) return otherwise;
  return pathname + search + hash;
}

/** Sends a browser to the login; it comes back to the page it wanted, or whose form it sent. */
export function sendToLogin(request: Request, response: Response, login: string): void {
  const isPage = ["GET", "HEAD"].includes(request.method);
  const next = isPage ? request.originalUrl : refererPath(request);
  response.redirect(303, `${login}?${new URLSearchParams({ next })}`);
}

function refererPath(request: Request): string {
  const referer = request.get("Referer") ?? "";
  if (!URL.canParse(referer)) return "/";
  const { host, pathname, search } = new URL(referer);
  return host === request.get("Host") ? ownPath(pathname + search, "/") : "/";
}
