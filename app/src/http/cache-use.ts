import type { Response } from "express";
import type { CacheUse } from "../data/cached-reads.ts";

/** Says in `X-Cache` where an answer came from: the slowest of all its parts. */
export function noteCacheUse(response: Response, ...uses: CacheUse[]): void {
  const order: CacheUse[] = ["bypass", "miss", "hit"];
  response.set("X-Cache", order.find((use) => uses.includes(use)) ?? "bypass");
}
