import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Every metric of this process. */
export const registry = new Registry();
collectDefaultMetrics({ register: registry });

/** Time from request to end of answer; `route` is the pattern, never the raw path. */
export const httpSeconds = new Histogram({
  name: "http_request_duration_seconds",
  help: "Time from request to the end of its answer.",
  labelNames: ["method", "route", "status"] as const,
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  registers: [registry],
});

/** Attempts that were given up and made again on another connection. */
export const databaseRetries = new Counter({
  name: "database_retries_total",
  help: "Database attempts that failed and were made again.",
  labelNames: ["operation", "reason"] as const,
  registers: [registry],
});

/** Reads that may be served from the cache; `bypass`: it was not asked, or did not answer. */
export const cacheReads = new Counter({
  name: "cache_reads_total",
  help: "Reads that could have come from the cache, by what became of them.",
  labelNames: ["topic", "result"] as const,
  registers: [registry],
});

/** Connections to the cache that were given up. */
export const cacheErrors = new Counter({
  name: "cache_errors_total",
  help: "Connections to the cache that failed or did not answer in time.",
  registers: [registry],
});

/** Errors that reached no handler; the process goes on. */
export const uncaughtErrors = new Counter({
  name: "uncaught_errors_total",
  help: "Errors outside of any request's handling.",
  registers: [registry],
});

/** Files that the sweeper removed, or moved to the trash, because no row names them. */
export const orphansRemoved = new Counter({
  name: "orphan_files_removed_total",
  help: "Uploaded files without a row that were removed, or moved to the trash.",
  registers: [registry],
});

const uploadBytes = new Gauge({
  name: "upload_bytes",
  help: "What all pictures take of the shared storage, those under way included.",
  registers: [registry],
});
const uploadBudgetBytes = new Gauge({
  name: "upload_budget_bytes",
  help: "What all pictures may take of the shared storage.",
  registers: [registry],
});

const trashBytes = new Gauge({
  name: "trash_bytes",
  help: "What removed pictures take of the shared storage until no backup needs them any more.",
  registers: [registry],
});
const trashFiles = new Gauge({
  name: "trash_files",
  help: "How many removed pictures there are.",
  registers: [registry],
});
const trashBudgetBytes = new Gauge({
  name: "trash_budget_bytes",
  help: "What removed pictures may take of the shared storage; more of them count as uploads.",
  registers: [registry],
});

/** Shows what pictures take, as it was last asked. */
export function showUploads(
  use: Record<
    "usedBytes" | "budgetBytes" | "trashBytes" | "trashFiles" | "trashBudgetBytes",
    number
  >,
): void {
  uploadBytes.set(use.usedBytes);
  uploadBudgetBytes.set(use.budgetBytes);
  trashBytes.set(use.trashBytes);
  trashFiles.set(use.trashFiles);
  trashBudgetBytes.set(use.trashBudgetBytes);
}

/** Operations on the shared storage that were given up and have not come back. */
export function observeStore(stuck: () => number): void {
  registry.removeSingleMetric("store_operations_stuck");
  new Gauge({
    name: "store_operations_stuck",
    help: "Operations on the shared storage that were given up and have not come back.",
    registers: [registry],
    collect() {
      this.set(stuck());
    },
  });
}

/** The counts of one connection pool. */
export interface PoolCounts {
  total: number;
  idle: number;
  waiting: number;
}

/** Shows a pool's connections as `database_pool_connections{pool,state}`. */
export function observePools(pools: () => Record<string, PoolCounts>): void {
  registry.removeSingleMetric("database_pool_connections");
  new Gauge({
    name: "database_pool_connections",
    help: "Connections of each pool, and requests that wait for one.",
    labelNames: ["pool", "state"] as const,
    registers: [registry],
    collect() {
      for (const [pool, counts] of Object.entries(pools())) {
        this.set({ pool, state: "idle" }, counts.idle);
        this.set({ pool, state: "active" }, counts.total - counts.idle);
        this.set({ pool, state: "waiting" }, counts.waiting);
      }
    },
  });
}
