/** The site's cookies: how each is named, read, set and taken away. */
import type { Request, Response } from "express";

export interface Cookie {
  /** By plain HTTP; `nameOf` says what it is by HTTPS. */
  name: string;
  /** Where browsers send it. */
  path: string;
}

/**
 * A cookie's name on this request. By HTTPS it has a prefix, with which browsers take it from the site
 * itself alone: not by plain HTTP, and with `__Host-` not from a subdomain's pages either. A cookie for
 * a part of the site cannot have that one.
 */
export function nameOf({ secure }: Request, { name, path }: Cookie): string {
  if (!secure) return name;
  return path === "/" ? `__Host-${name}` : `__Secure-${name}`;
}

/**
 * The values of a cookie in a request, decoded: that under its name of now, and by HTTPS the one under
 * its plain name, which the releases before set.
 */
export function cookieValues(request: Request, cookie: Cookie): string[] {
  const names = new Set([nameOf(request, cookie), cookie.name]);
  return [...names].map((name) => named(request, name)).filter((value) => value !== undefined);
}

/** The first of `cookieValues`, if there is one. */
export function cookieValue(request: Request, cookie: Cookie): string | undefined {
  return cookieValues(request, cookie)[0];
}

function named({ headers }: Request, name: string): string | undefined {
  for (const pair of (headers.cookie ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (pair.slice(0, at).trim() !== name) continue;
    try {
      return decodeURIComponent(pair.slice(at + 1).trim());
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** @param seconds how long browsers keep it */
export function setCookie(
  request: Request,
  response: Response,
  cookie: Cookie,
  value: string,
  seconds: number,
): void {
  const options = { ...attributes(request, cookie), maxAge: seconds * 1000 };
  response.cookie(nameOf(request, cookie), value, options);
}

/** Lets the browser forget a cookie, also under its plain name where it has that. */
export function clearCookie(request: Request, response: Response, cookie: Cookie): void {
  const own = nameOf(request, cookie);
  for (const name of new Set([own, cookie.name])) {
    if (name !== own && named(request, name) === undefined) continue;
    response.clearCookie(name, attributes(request, cookie));
  }
}

/** Without `secure`, browsers refuse a name with a prefix. */
function attributes({ secure }: Request, { path }: Cookie) {
  return { httpOnly: true, sameSite: "lax", secure, path } as const;
}
