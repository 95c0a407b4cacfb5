import { type RequestHandler, Router } from "express";
import { registry } from "../../lib/metrics.ts";
import type { Services } from "../services.ts";

/** Health, liveness and metrics: on both tiers, answered from memory. */
export function operationsRoutes({ health, config }: Services): RequestHandler {
  const router = Router();
  router.use((request, response, next) => {
    if (/^\/(api|metrics)/.test(request.path)) response.set("Cache-Control", "no-store");
    next();
  });
  router.get("/api/health", (_request, response) => {
    response.status(health.statusCode).json(health.report());
  });
  router.get("/api/live", (_request, response) => {
    response.json({ status: "alive", hostname: config.instance });
  });
  router.get("/metrics", async (_request, response) => {
    response.set("Content-Type", registry.contentType).send(await registry.metrics());
  });
  return router;
}
