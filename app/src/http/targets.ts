import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { RequestHandler } from "express";
import { HttpError } from "../lib/errors.ts";

/** What a request asks for besides a path: the whole server, or nothing that can be found here. */
const targets = new WeakMap<IncomingMessage, "server" | "unknown">();

/**
 * Turns a request's target into a path before anything else looks at it: routers and URL parsers
 * throw, or never answer, at targets that are none. The absolute form is the same as its path.
 */
export function readTarget(request: IncomingMessage): void {
  const url = request.url ?? "";
  if (url.startsWith("/")) return;
  const [origin] = /^https?:\/\/[^/?#]+/i.exec(url) ?? [];
  const rest = url.slice(origin?.length ?? 0);
  request.url = origin && rest.startsWith("/") ? rest : `/${origin ? rest : ""}`;
  if (!origin) targets.set(request, url === "*" ? "server" : "unknown");
}

/** Answers what `readTarget` found no path in. */
export function answerOddTargets(): RequestHandler {
  return (request, response, next) => {
    const target = targets.get(request);
    if (target === undefined) return next();
    if (target === "server" && request.method === "OPTIONS") {
      response.set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS").status(204).end();
      return;
    }
    const help = "The target of the request is not a path: it begins with neither / nor http://.";
    throw new HttpError(400, "bad-target", help);
  };
}

/** CONNECT asks for a tunnel, which never gets to the application. */
export function refuseConnect(instance: string): (request: unknown, socket: Duplex) => void {
  const head = ["HTTP/1.1 405 Method Not Allowed", `X-Served-By: ${instance}`];
  const more = ["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", "Content-Length: 0"];
  const answer = [...head, ...more, "Connection: close", "", ""].join("\r\n");
  return (_request, socket) => {
    socket.on("error", () => socket.destroy());
    endWith(socket, answer);
  };
}

/**
 * Ends a connection with an answer, and a moment later its other side: what a client keeps open
 * would hold up the end of this process.
 */
export function endWith(socket: Duplex, answer: string): void {
  socket.end(answer);
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

/** For reading the answer; what is closed at once may lose it. Milliseconds. */
const lingerMs = 1500;
