import { createHmac, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import type { Topic } from "../data/cached-reads.ts";
import { horizonOf, logPlace, type Position, unknownPosition } from "../data/horizon.ts";
import { cookieValues, setCookie } from "./cookies.ts";
import type { Services } from "./services.ts";

/** Where a browser remembers how far the standby must be to show it its own write: at either tier. */
export const positionCookie = { name: "hastack-position", path: "/" };

/** How long a user's reads wait for their own write, seconds; a standby is never so far behind. */
const maxAgeSeconds = 600;

function sign(secret: string, value: string): string {
  return createHmac("sha256", secret).update(`${positionCookie.name}=${value}`).digest("base64url");
}

function isSigned(secrets: readonly string[], value: string, signature: string): boolean {
  const given = Buffer.from(signature);
  return secrets.some((secret) => {
    const expected = Buffer.from(sign(secret, value));
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
}

/**
 * The position and its signature, as they stand in the cookie: first the place in the log with a
 * signature of its own, which is all that the releases before the cache wrote and read.
 */
export function sealPosition([secret = ""]: readonly string[], position: Position): string {
  const place = logPlace(position);
  const start = `${place}.${sign(secret, place)}`;
  const horizon = horizonOf(position);
  return horizon ? `${start}.${horizon}.${sign(secret, position)}` : start;
}

const placePattern = /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/;
const horizonPattern = /^[0-9a-f]{24}$/;

/** The position in a sealed value; undefined where a signature is not ours. */
export function openPosition(secrets: readonly string[], sealed: string): Position | undefined {
  const [place = "", signature = "", horizon, whole = ""] = sealed.split(".");
  if (!placePattern.test(place) || !isSigned(secrets, place, signature)) return undefined;
  if (horizon === undefined) return place;
  const position = `${horizon}@${place}`;
  return horizonPattern.test(horizon) && isSigned(secrets, position, whole) ? position : undefined;
}

/** The caller's last write, if this browser has written lately. */
export function positionOf(request: Request, secrets: readonly string[]): Position | undefined {
  const [position, another] = cookieValues(request, positionCookie)
    .map((sealed) => openPosition(secrets, sealed))
    .filter((one) => one !== undefined);
  // One by the release before, beside this one: nothing says which is the later
  return another === undefined ? position : unknownPosition;
}

/** Lets the caller's next reads see what has just been written. */
export function rememberPosition(
  request: Request,
  response: Response,
  secrets: readonly string[],
  position: Position,
): void {
  // Reads that must go to the writer should not do so for long.
  const seconds = position === unknownPosition ? 60 : maxAgeSeconds;
  setCookie(request, response, positionCookie, sealPosition(secrets, position), seconds);
}

/** After a change that cached reads may hold: they show it to everybody, and the caller's reads do. */
export async function noteChange(
  { config, cached }: Services,
  request: Request,
  response: Response,
  topic: Topic,
  position: Position,
): Promise<void> {
  await cached.changed(topic, position);
  rememberPosition(request, response, config.cookieSecrets, position);
}

/**
 * A change that ended in 500 may have been made all the same. Who goes and looks then, as the answer
 * tells them to, is not shown what the cache or a standby still says.
 */
export function doubtAfterFailure({ config, cached }: Services): RequestHandler {
  return (request, response, next) => {
    if (["GET", "HEAD"].includes(request.method)) return next();
    const writeHead = response.writeHead;
    response.writeHead = ((...args: Parameters<typeof writeHead>) => {
      if (response.statusCode === 500) {
        rememberPosition(request, response, config.cookieSecrets, unknownPosition);
        void cached.changedPerhaps();
      }
      return writeHead.apply(response, args);
    }) as typeof writeHead;
    next();
  };
}
