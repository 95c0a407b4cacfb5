import { type RequestHandler, type Response, Router } from "express";
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
      response,
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
  response: Response,
  directory: string,
  file: string,
  cacheControl: string,
): Promise<void> {
  response.set({
    "Content-Type": imageTypes[file.slice(file.lastIndexOf(".") + 1)],
    ETag: `"${file}"`,
    "Cache-Control": cacheControl,
  });
  const options = { root: directory, cacheControl: false };
  await new Promise<void>((resolve, reject) => {
    response.sendFile(file, options, (error?: NodeJS.ErrnoException & { status?: number }) => {
      // A client that went away is not an error.
      if (!error || error.code === "ECONNABORTED") return resolve();
      response.removeHeader("Content-Type");
      if (error.status === 416) return reject(new HttpError(416, "bad-range", "No such range."));
      if (error.status === 404) return reject(noPicture());
      reject(
        new HttpError(503, "storage-unavailable", "Pictures cannot be read at the moment.", 5),
      );
    });
  });
}
