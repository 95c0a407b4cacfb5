import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { Cache } from "../data/cache.ts";
import { CachedReads } from "../data/cached-reads.ts";
import { Database, type DatabaseLimits } from "../data/database.ts";
import { Mailer } from "../data/mail.ts";
import { stuckOperations } from "../data/store.ts";
import { createApp } from "../http/app.ts";
import { Health } from "../http/health.ts";
import { picturesOf, type ServerConfig } from "../http/server-config.ts";
import { type BodyLimits, SlowBodies } from "../http/slow-bodies.ts";
import { endWith, readTarget, refuseConnect } from "../http/targets.ts";
import { observePools, observeStore, uncaughtErrors } from "../lib/metrics.ts";
import { ConfigError, exitConfig, loadServerConfig } from "./config.ts";
import { drain } from "./drain.ts";
import { createLog } from "./log.ts";
import { startSweeper } from "./sweeper.ts";

/** A running instance. */
export interface Instance {
  port: number;
  health: Health;
  /** Drains and closes. @returns whether everything was finished within the grace */
  stop: () => Promise<boolean>;
}

/** Starts one instance. It is ready once it listens; it waits for no dependency. */
export async function startInstance(
  config: ServerConfig,
  log: Logger,
  limits: Partial<DatabaseLimits & BodyLimits> = {},
): Promise<Instance> {
  // Not the error itself: pg hangs its whole client on it, with the key that cancels queries
  const onError = ({ message, code }: Error & { code?: string }) =>
    log.warn({ reason: message, code }, "no connection to the database");
  const database = new Database(config, onError, limits);
  observePools(() => database.counts());
  observeStore(stuckOperations);
  const cache = config.cache && new Cache(config.cache, log);
  const cached = new CachedReads(database, cache, {
    name: new URL(config.database.writer).pathname.slice(1),
    release: config.release,
  });
  const health = new Health(config, database, cache);
  const mail = config.smtp && new Mailer(config.smtp, log);
  const slowBodies = new SlowBodies(limits);
  const app = createApp({ config, database, cached, health, log, mail }, slowBodies);
  const server = createHttpServer(app, config.instance);
  await listen(server, config.listen);
  const { port } = server.address() as AddressInfo;
  await Promise.all([health.start(), cache?.start()]);
  const stopSweeper =
    config.tier === "admin" ? startSweeper(database, { ...picturesOf(config), log }) : () => {};
  health.phase = "serving";
  log.info({ host: config.listen.host, port }, "serving");
  const { drainSeconds, stopGraceSeconds } = config;
  const close = async () => {
    health.stop();
    stopSweeper();
    await Promise.all([cache?.stop(), mail?.close()]);
    await database.close();
  };
  const giveUp = () => slowBodies.giveUp();
  const stop = () => drain({ server, health, log, drainSeconds, stopGraceSeconds, giveUp, close });
  return { port, health, stop };
}

function createHttpServer(app: ReturnType<typeof createApp>, instance: string): Server {
  const server = createServer(
    {
      headersTimeout: 10_000,
      // Never the first to give up: 5 MB at the least rate of slow-bodies.ts take 18 minutes.
      requestTimeout: 1_200_000,
      connectionsCheckingInterval: 2000,
      maxHeaderSize: 16 * 1024,
      // Longer than the load balancer keeps an idle connection, so that it never meets a close.
      keepAliveTimeout: 75_000,
    },
    (request, response) => {
      readTarget(request);
      app(request, response);
    },
  );
  server.on("connect", refuseConnect(instance));
  // What is no HTTP at all never gets to the application, and is answered with its name all the same.
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const status = badRequests[error.code ?? ""] ?? "400 Bad Request";
    endWith(
      socket,
      `HTTP/1.1 ${status}\r\nX-Served-By: ${instance}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
  });
  return server;
}

const badRequests: Record<string, string> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

async function listen(server: Server, { host, port }: ServerConfig["listen"]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** No single error may take an instance, and everybody's requests, down. */
function surviveErrors(log: Logger): void {
  const onError = (error: unknown) => {
    uncaughtErrors.inc();
    log.error({ err: error }, "uncaught error");
  };
  process.on("uncaughtException", onError);
  process.on("unhandledRejection", onError);
}

async function main(): Promise<void> {
  let config: ServerConfig;
  try {
    config = loadServerConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(exitConfig);
  }
  const log = createLog(config);
  const instance = await startInstance(config, log).catch((error: Error) => {
    log.fatal({ err: error }, "cannot start");
    process.exit(1);
  });
  surviveErrors(log);
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, async () => {
      if (stopping) return;
      stopping = true;
      await instance.stop();
      // An exit waits for every thread, and one that waits for a store that hangs does not come back.
      if (instance.health.report().storage.state === "unavailable" || stuckOperations() > 0) {
        log.warn("the store does not answer: ending without it");
        process.kill(process.pid, "SIGKILL");
      }
      process.exit(0);
    });
  }
}

if (import.meta.main) await main();
