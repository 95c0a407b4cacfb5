import { type RequestHandler, Router } from "express";
import type { Services } from "../app.ts";
import { HttpError } from "../errors.ts";
import { imageName, imageTypes } from "../uploads.ts";

/** Pictures, on both tiers. A name is given once and never changes its content. */
export function imageRoutes({ config }: Services): RequestHandler {
  const router = Router();
  router.get("/images/:file", (request, response, next) => {
    const { file } = request.params;
    const notFound = new HttpError(404, "not-found", "There is no such picture.");
    if (!imageName.test(file)) throw notFound;
    response.set({
      "Content-Type": imageTypes[file.slice(file.lastIndexOf(".") + 1)],
      ETag: `"${file}"`,
    });
    const options = { root: config.uploadsDirectory, maxAge: "1y", immutable: true };
    response.sendFile(file, options, (error?: NodeJS.ErrnoException & { status?: number }) => {
      // A client that went away is nobody's fault.
      if (!error || error.code === "ECONNABORTED") return;
      response.removeHeader("Content-Type");
      if (error.status === 416) return next(new HttpError(416, "bad-range", "No such range."));
      if (error.status === 404) return next(notFound);
      next(new HttpError(503, "storage-unavailable", "Pictures cannot be read at the moment.", 5));
    });
  });
  return router;
}
