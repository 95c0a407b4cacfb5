import { readFileSync } from "node:fs";
import { z } from "zod";
import type { ServerConfig } from "../http/server-config.ts";

const port = z.number().int().min(1).max(65535);
const endpoint = z.strictObject({ host: z.string().min(1), port });

const serverSchema = z.strictObject({
  tier: z.enum(["storefront", "admin"]),
  /** Shown top left on every page, in `X-Served-By`, and as `hostname` by `/api/health`. */
  instance: z.string().min(1),
  listen: z.strictObject({ host: z.string().min(1), port: port.or(z.literal(0)) }),
  database: z.strictObject({
    name: z.string().min(1),
    user: z.string().min(1),
    password: z.string(),
    /** Connections of this instance to each of `writer` and `reader`. */
    poolSize: z.number().int().min(1).max(1000).default(10),
    writer: endpoint,
    reader: endpoint,
  }),
  uploadsDirectory: z.string().startsWith("/"),
  cookieSecret: z.string().min(16),
  /** What links in mails begin with; it ends without a slash. Never taken from a request. */
  publicUrl: z.url({ protocol: /^https?$/ }).regex(/[^/]$/, "must end without a slash"),
  /** @default reads go to the database */
  cache: z
    .strictObject({
      host: z.string().min(1),
      port,
      user: z.string().min(1),
      password: z.string().min(1),
    })
    .optional(),
  /** @default no mail is sent; an operator makes the links */
  smtp: z
    .strictObject({
      host: z.string().min(1),
      port,
      /** TLS from the start; otherwise STARTTLS where the server has it. */
      secure: z.boolean(),
      /** Name in the server's certificate: `host` may only be the way to it. */
      servername: z.string().min(1),
      user: z.string().min(1).optional(),
      password: z.string().min(1).optional(),
      /** Address in `From`. */
      from: z.string().min(3),
    })
    .optional(),
  /** Only these addresses may set `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Request-Id`. */
  trustedProxies: z.array(z.ipv4().or(z.ipv6()).or(z.cidrv4()).or(z.cidrv6())).default([]),
  /** After SIGTERM: health says 503 for this long while everything is still served. */
  drainSeconds: z.number().min(0).max(300).default(3),
  /** After SIGTERM: the process has gone within this time, finished or not. */
  stopGraceSeconds: z.number().min(1).max(600).default(25),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
});

const roleName = z.string().regex(/^[a-z_][a-z0-9_]{0,62}$/);

const migrateSchema = z.strictObject({
  database: z.strictObject({
    name: z.string().min(1),
    user: z.string().min(1),
    password: z.string(),
    /** The members; whichever is not in recovery is migrated. */
    hosts: z.array(endpoint).min(1),
  }),
  principals: z.strictObject({ storefront: roleName, admin: roleName }),
  /** First password of the administrator `admin`; another one than before replaces what is there. */
  adminPassword: z.string().min(10),
  uploadsDirectory: z.string().startsWith("/"),
  /** Fills tables that are empty with sample data. */
  sampleData: z.boolean().default(false),
});

export type MigrateConfig = z.infer<typeof migrateSchema>;

/** The configuration file cannot be used; the message names path, problem and fix. */
export class ConfigError extends Error {}

/** Exit code for a wrong configuration (EX_CONFIG of sysexits.h). */
export const exitConfig = 78;

const secret = /password|secret/i;

/** What stands there, if it may be shown: never a secret, nor a whole that may hold one. */
function seen(value: unknown, path: readonly PropertyKey[]): string {
  if (path.some((key) => secret.test(String(key)))) return "(hidden)";
  let found: unknown = value;
  for (const key of path) found = (found as Record<PropertyKey, unknown> | undefined)?.[key];
  if (found === undefined) return "nothing";
  if (Array.isArray(found)) return `a list of ${found.length}`;
  return typeof found === "object" && found !== null ? "an object" : JSON.stringify(found);
}

function parse<T>(schema: z.ZodType<T>, file: string, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.map(String).join(".") || "(the whole file)";
    return `  ${path}: ${issue.message}; found ${seen(value, issue.path)}`;
  });
  throw new ConfigError(
    `${file} is not a valid configuration. Correct these settings and start again:\n${problems.join("\n")}`,
  );
}

function read(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(
      `${file} cannot be read (${(error as Error).message}). Name the configuration file in HASTACK_APP_CONFIG.`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around the error, which may hold a secret: give the place only.
    const place = /position \d+.*$/.exec((error as Error).message)?.[0] ?? "unknown position";
    throw new ConfigError(`${file} is not JSON (at ${place}). Write it as one JSON object.`);
  }
}

/** Path of the configuration file: `HASTACK_APP_CONFIG`, by default `/etc/hastack/app.json`. */
export function configPath(): string {
  return process.env.HASTACK_APP_CONFIG ?? "/etc/hastack/app.json";
}

/** Reads the configuration of the server. @throws ConfigError */
export function loadServerConfig(file = configPath()): ServerConfig {
  return parse(serverSchema, file, read(file));
}

/** Reads the configuration of the migrations. @throws ConfigError */
export function loadMigrateConfig(file = configPath()): MigrateConfig {
  return parse(migrateSchema, file, read(file));
}
