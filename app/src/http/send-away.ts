import type { RequestHandler } from "express";
import type { Health } from "./health.ts";

/**
 * Asks clients to open their next connection elsewhere while this instance drains: with the answer's
 * head, so that requests which came before the drain and end in it say so too.
 */
export function sendAwayWhileDraining(health: Health): RequestHandler {
  return (_request, response, next) => {
    const writeHead = response.writeHead;
    response.writeHead = ((...args: Parameters<typeof writeHead>) => {
      if (health.phase === "draining") response.setHeader("Connection", "close");
      return writeHead.apply(response, args);
    }) as typeof writeHead;
    next();
  };
}
