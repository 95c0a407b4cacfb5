import { type DestinationStream, type Logger, pino } from "pino";
import type { ServerConfig } from "../http/server-config.ts";

/** JSON lines on stdout. Nothing of a request is logged beyond what `logRequests` names. */
export function createLog(
  config: Pick<ServerConfig, "logLevel" | "instance" | "release" | "tier">,
  destination?: DestinationStream,
): Logger {
  const { logLevel: level, instance, release, tier } = config;
  const options = {
    level,
    base: { instance, release, tier },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: aboutError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/**
 * What is logged of an error. PostgreSQL's errors carry whole rows in `detail`, password hashes
 * included, and those of other libraries a request or its answer: none of it gets into the log.
 */
function aboutError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name, message, stack, code, constraint, cause } = error as Error & {
    code?: unknown;
    constraint?: unknown;
  };
  return {
    type: name,
    message,
    stack,
    code,
    constraint,
    ...(cause ? { cause: aboutError(cause) } : {}),
  };
}
