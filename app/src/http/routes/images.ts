import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Request, type RequestHandler, type Response, Router } from "express";
import { closeLater, onStore, openStored } from "../../data/store.ts";
import { imageName, imageTypes } from "../../data/uploads.ts";
import { HttpError } from "../../lib/errors.ts";
import type { Services } from "../services.ts";

/** Pictures, on both tiers. A name is given once and never changes its content. */
export function imageRoutes({ config }: Services): RequestHandler {
  const router = Router();
  router.get("/images/:file", async (request, response) => {
    const { file } = request.params;
    if (!imageName.test(file)) throw noPicture();
    await sendPicture(
      { request, response },
      config.uploadsDirectory,
      file,
      "public, max-age=31536000, immutable",
    );
  });
  return router;
}

/** 404 for a picture. */
export function noPicture(): HttpError {
  return new HttpError(404, "not-found", "There is no such picture.");
}

/**
 * Sends a stored picture, or the part or the "not modified" that was asked for.
 * @param file one of the names that `imageName` allows
 * @throws HttpError 404, 416, 503
 */
export async function sendPicture(
  { request, response }: { request: Request; response: Response },
  directory: string,
  file: string,
  cacheControl: string,
): Promise<void> {
  const handle = await openStored(join(directory, file), "r").catch(noneSuch);
  try {
    const { size, mtime } = await onStore(() => handle.stat()).catch(noneSuch);
    response.set({
      "Content-Type": imageTypes[file.slice(file.lastIndexOf(".") + 1)],
      ETag: `"${file}"`,
      "Cache-Control": cacheControl,
      "Last-Modified": mtime.toUTCString(),
      "Accept-Ranges": "bytes",
    });
    if (request.fresh) return void response.status(304).end();
    const { start, end } = partOf(request, response, size);
    response.set("Content-Length", String(end + 1 - start));
    if (request.method === "HEAD") return void response.end();
    const parts = readPart(handle, start, end);
    // While there is an answer left for a picture that cannot be read
    const first = await parts.next().catch(noneSuch);
    await pipeline(continued(first, parts), response).catch((error) => {
      // A client that went away is not an error; nor is there an answer left for another one.
      if (!response.destroyed) throw error;
    });
  } finally {
    closeLater(handle);
  }
}

function noneSuch(error: NodeJS.ErrnoException): never {
  if (error.code === "ENOENT") throw noPicture();
  throw new HttpError(503, "storage-unavailable", "Pictures cannot be read at the moment.", 5);
}

/** The part that is asked for, which it notes in the answer; else the whole. @throws HttpError 416 */
function partOf(
  request: Request,
  response: Response,
  size: number,
): { start: number; end: number } {
  const whole = { start: 0, end: size - 1 };
  const condition = request.get("If-Range");
  if (condition !== undefined && condition !== response.get("ETag")) return whole;
  const ranges = request.range(size, { combine: true });
  if (ranges === -1) {
    response.set("Content-Range", `bytes */${size}`);
    throw new HttpError(416, "bad-range", "No such range.");
  }
  const [part] = Array.isArray(ranges) && ranges.type === "bytes" ? ranges : [];
  // Several parts would need a body of several; the whole is right as well
  if (!part || (Array.isArray(ranges) && ranges.length > 1)) return whole;
  response.status(206).set("Content-Range", `bytes ${part.start}-${part.end}/${size}`);
  return part;
}

async function* continued<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (!first.done) yield first.value;
  yield* rest;
}

/** Read at once, bytes. */
const readBytes = 256 * 1024;

async function* readPart(handle: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at <= end; ) {
    const length = Math.min(readBytes, end + 1 - at);
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await onStore(() => handle.read(buffer, 0, length, at));
    // It is shorter than it was: the answer must not look whole
    if (bytesRead === 0) throw new Error("the picture ended early");
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
