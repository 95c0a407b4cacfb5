import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { z } from "zod";
import { authorityOf } from "../data/cache.ts";
import type { SmtpConfig } from "../data/mail.ts";
import type { ServerConfig } from "../http/server-config.ts";

/** The environment's variables; an empty one counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the migrations are told. */
export interface MigrateConfig {
  /** The primary itself, as the owner of the database. */
  databaseUrl: string;
  /** First password of the administrator `admin`; another one than before replaces what is there. */
  adminPassword: string;
  uploadsDirectory: string;
  /** Fills tables that are empty with sample data. */
  sampleData: boolean;
  /** What all pictures together may take of the store, and those of one account. */
  uploadsMegabytes: number;
  uploadsPerAccountMegabytes: number;
  /** What pictures may take besides, once they are removed. */
  trashMegabytes: number;
}

/** The environment cannot be used; the message names each variable, its problem and the fix. */
export class ConfigError extends Error {}

/** Exit code for a wrong configuration (EX_CONFIG of sysexits.h). */
export const exitConfig = 78;

/** One variable: how its text is read, and what it should be set to, in words. */
interface Variable<T> {
  schema: z.ZodType<T>;
  use: string;
  /** It holds a secret and is never shown. @default it may be shown */
  secret?: true;
}

type Values<Table> = {
  [Name in keyof Table]: Table[Name] extends Variable<infer T> ? T : never;
};

/** Adds a problem in words of our own; what zod says by itself is not shown. */
type Refuse = (message: string) => never;

/** Reads a text by a function that may refuse it. */
function parsed<T>(read: (text: string, refuse: Refuse) => T) {
  return z.string().transform((text, context): T => {
    try {
      return read(text, (message) => {
        throw new ConfigError(message);
      });
    } catch (error) {
      // Other errors may quote what they could not read.
      const message = error instanceof ConfigError ? error.message : "cannot be read";
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }
  });
}

const plainNumber = (least: number, most: number, pattern = /^\d+$/) =>
  z.string().regex(pattern).transform(Number).pipe(z.number().min(least).max(most));
const seconds = (least: number, most: number) => plainNumber(least, most, /^\d+(\.\d+)?$/);

/** A URL with one of these schemes and a host, whose user and password can be decoded. */
function readUrl(text: string, schemes: readonly string[], refuse: Refuse): URL {
  if (!URL.canParse(text)) refuse("is not a URL");
  const url = new URL(text);
  if (!schemes.includes(url.protocol)) refuse(`does not begin with ${schemes.join("// or ")}//`);
  if (url.hostname === "") refuse("names no host");
  decodeURIComponent(url.username + url.password);
  return url;
}

/** A connection string as `pg` takes it, `sslmode` and `sslrootcert` included. */
const postgresUrl = parsed((text, refuse) => {
  const { pathname, searchParams } = readUrl(text, ["postgresql:", "postgres:"], refuse);
  if (pathname.length < 2) refuse("names no database");
  for (const name of ["sslrootcert", "sslcert", "sslkey"]) {
    const file = searchParams.get(name);
    if (file) readNamedFile(file, refuse);
  }
  // Parses it too, and throws where it cannot.
  new pg.Client({ connectionString: text });
  return text;
});

function readNamedFile(file: string, refuse: Refuse): void {
  try {
    readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    refuse(`names the file ${file}, which cannot be read (${code})`);
  }
}

const redisUrl = parsed((text, refuse) => {
  const { pathname } = readUrl(text, ["redis:", "rediss:"], refuse);
  if (!/^(\/\d*)?$/.test(pathname)) refuse("has a path that is not the number of a database");
  const authority = authorityOf(text);
  if (authority !== undefined) readNamedFile(authority, refuse);
  return { url: text };
});

type Server = Omit<SmtpConfig, "from" | "servername" | "certificateAuthority">;
const smtpUrl = parsed((text, refuse): Server => {
  const url = readUrl(text, ["smtp:", "smtps:"], refuse);
  const secure = url.protocol === "smtps:";
  return {
    ...{ host: url.hostname, port: Number(url.port) || (secure ? 465 : 587), secure },
    ...(url.username && { user: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
  };
});

/** Content of the file that a variable names, without the newline that an editor adds. */
function readText(path: string, refuse: Refuse): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    return refuse(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** The same, at least so many characters. */
const textFile = (least: number) =>
  parsed((path, refuse) => {
    const text = readText(path, refuse);
    if (text.length < least) refuse(`holds ${text.length} characters`);
    return text;
  });

/** A secret, and in a second line the one that takes its place, or whose place it took. */
const secretFile = parsed((path, refuse) => {
  const lines = readText(path, refuse).split(/\r?\n/);
  const short = lines.find((line) => line.length < 16);
  if (short !== undefined) refuse(`holds ${short.length} characters`);
  return lines;
});

const database: Variable<string> = {
  schema: postgresUrl,
  use: "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
  secret: true,
};

const uploads = (isDevelopment: boolean): Variable<string> => ({
  schema: isDevelopment
    ? z.string().startsWith("/").default(developmentUploads)
    : z.string().startsWith("/"),
  use: "the path of a directory, from / on",
});

/** Where uploads go in a checkout; a dot keeps the folder out of releases. */
const developmentUploads = join(import.meta.dirname, "../../.uploads");

/** In a checkout some may be missing that the instances of a release must share. */
function serverVariables(env: Environment) {
  const isDevelopment = isCheckout(env);
  return {
    HOST: variable(z.string().default("127.0.0.1"), "the address to listen on"),
    PORT: variable(plainNumber(0, 65535).default(3000), "the port to listen on, 0 to 65535"),
    HASTACK_TIER: variable(
      z.enum(["storefront", "admin"]).default("storefront"),
      "storefront or admin",
    ),
    HASTACK_INSTANCE: variable(
      z
        .string()
        .regex(/^[\w.-]{1,63}$/)
        .optional(),
      "the name of this instance, like storefront-1",
    ),
    HASTACK_RELEASE: variable(
      z
        .string()
        .regex(/^[\w.-]{1,63}$/)
        .default("development"),
      "the name of the release, like 0123456789ab",
    ),
    DATABASE_URL: database,
    DATABASE_READER_URL: { ...database, schema: postgresUrl.optional() },
    DATABASE_POOL_SIZE: variable(plainNumber(1, 1000).default(10), "connections, 1 to 1000"),
    REDIS_URL: {
      ...variable(redisUrl.optional(), "redis://USER:PASSWORD@HOST:PORT/0, or rediss:// for TLS"),
      secret: true as const,
    },
    SMTP_URL: {
      ...variable(smtpUrl.optional(), "smtp://USER:PASSWORD@HOST:PORT, or smtps:// for TLS"),
      secret: true as const,
    },
    SMTP_SERVERNAME: variable(z.string().optional(), "the name in the mail server's certificate"),
    SMTP_CA_FILE: variable(
      textFile(1).optional(),
      "the path of a file with the certificates of who vouches for the mail server's",
    ),
    MAIL_FROM: variable(
      env.SMTP_URL ? z.string().min(3) : z.string().optional(),
      "the address that mails are from",
    ),
    PUBLIC_URL: variable(
      isDevelopment ? publicUrl.optional() : publicUrl,
      "what links begin with, like https://travel.example, without a slash at the end",
    ),
    TRUSTED_PROXIES: variable(
      addresses.default([]),
      "addresses of the load balancers, with commas between them",
    ),
    DRAIN_SECONDS: variable(seconds(0, 300).default(3), "seconds, 0 to 300"),
    STOP_GRACE_SECONDS: variable(seconds(1, 600).default(25), "seconds, 1 to 600"),
    UPLOADS_DIRECTORY: uploads(isDevelopment),
    HASTACK_KEEP_FILES_DAYS: variable(plainNumber(0, 36_500).default(0), "days, 0 to 36500"),
    COOKIE_SECRET_FILE: variable(
      isDevelopment ? secretFile.optional() : secretFile,
      "the path of a file with at least 16 characters, the same for all instances",
    ),
    SESSION_SECRET_FILE: variable(
      isDevelopment ? secretFile.optional() : secretFile,
      "the path of a file with at least 16 characters, the same for all instances of the tier",
    ),
    LOG_LEVEL: variable(z.enum(logLevels).default("info"), logLevels.join(", ")),
  };
}

const variable = <T>(schema: z.ZodType<T>, use: string): Variable<T> => ({ schema, use });

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
const megabytes = plainNumber(1, 100_000_000);
const publicUrl = z.url({ protocol: /^https?$/ }).regex(/[^/]$/);
const addresses = z
  .string()
  .transform((text) => text.split(",").map((one) => one.trim()))
  .pipe(z.array(z.ipv4().or(z.ipv6()).or(z.cidrv4()).or(z.cidrv6())));

function migrateVariables(isDevelopment: boolean) {
  return {
    DATABASE_URL: database,
    ADMIN_PASSWORD_FILE: variable(
      textFile(10),
      "the path of a file with the first password of the administrator, at least 10 characters",
    ),
    UPLOADS_DIRECTORY: uploads(isDevelopment),
    SAMPLE_DATA: variable(
      z
        .enum(["true", "false"])
        .default("false")
        .transform((text) => text === "true"),
      "true or false",
    ),
    UPLOADS_MEGABYTES: variable(megabytes.default(5000), "megabytes, 1 to 100000000"),
    UPLOADS_PER_ACCOUNT_MEGABYTES: variable(megabytes.default(100), "megabytes, 1 to 100000000"),
    TRASH_MEGABYTES: variable(megabytes.default(5000), "megabytes, 1 to 100000000"),
  };
}

/** Reads all variables of a table. @throws ConfigError that names all that are wrong */
function readVariables<Table extends Record<string, Variable<unknown>>>(
  table: Table,
  env: Environment,
): Values<Table> {
  const problems: string[] = [];
  const values = Object.entries(table).map(([name, { schema, use, secret }]) => {
    const text = env[name] || undefined;
    const result = schema.safeParse(text);
    if (result.success) return [name, result.data];
    const custom = result.error.issues.find(({ code }) => code === "custom");
    problems.push(
      text === undefined
        ? `${name} is not set: set it to ${use}`
        : `${name}: ${secret ? "(hidden)" : JSON.stringify(text)} ${custom?.message ?? "cannot be used"}, use ${use}`,
    );
    return [name, undefined];
  });
  if (problems.length > 0) throw new ConfigError(explain(problems));
  return Object.fromEntries(values);
}

function explain(problems: readonly string[]): string {
  const lines = problems.map((problem) => `  ${problem}`).join("\n");
  return `The environment is not a valid configuration. Correct these variables and start again:\n${lines}`;
}

/** A checkout that somebody works on; releases are started with their name. */
function isCheckout(env: Environment): boolean {
  return !env.HASTACK_RELEASE;
}

/** Reads the configuration of the server. @throws ConfigError */
export function loadServerConfig(env: Environment = process.env): ServerConfig {
  const read = readVariables(serverVariables(env), env);
  const { HOST: host, PORT: port, HASTACK_TIER: tier } = read;
  return {
    tier,
    instance: read.HASTACK_INSTANCE ?? `${tier}-1`,
    release: read.HASTACK_RELEASE,
    listen: { host, port },
    database: {
      writer: read.DATABASE_URL,
      reader: read.DATABASE_READER_URL ?? read.DATABASE_URL,
      poolSize: read.DATABASE_POOL_SIZE,
    },
    uploadsDirectory: prepareUploads(read.UPLOADS_DIRECTORY),
    keepFilesDays: read.HASTACK_KEEP_FILES_DAYS,
    // A secret of this process alone: its sessions end with it.
    cookieSecrets: read.COOKIE_SECRET_FILE ?? [randomBytes(32).toString("base64url")],
    sessionSecrets: read.SESSION_SECRET_FILE ?? [randomBytes(32).toString("base64url")],
    publicUrl: read.PUBLIC_URL ?? `http://${host}:${port}`,
    ...(read.REDIS_URL && { cache: read.REDIS_URL }),
    ...smtpOf(read),
    trustedProxies: read.TRUSTED_PROXIES,
    drainSeconds: read.DRAIN_SECONDS,
    stopGraceSeconds: read.STOP_GRACE_SECONDS,
    logLevel: read.LOG_LEVEL,
  };
}

function smtpOf(read: Values<ReturnType<typeof serverVariables>>): Pick<ServerConfig, "smtp"> {
  const { SMTP_URL: server, MAIL_FROM: from, SMTP_CA_FILE: certificateAuthority } = read;
  if (!server || !from) return {};
  const servername = read.SMTP_SERVERNAME ?? server.host;
  const trusted = certificateAuthority === undefined ? {} : { certificateAuthority };
  return { smtp: { ...server, servername, from, ...trusted } };
}

/** What the command that erases files is told. */
export type EraseConfig = Pick<ServerConfig, "database" | "uploadsDirectory">;

/** Reads the configuration of the command that erases files. @throws ConfigError */
export function loadEraseConfig(env: Environment = process.env): EraseConfig {
  const variables = { DATABASE_URL: database, UPLOADS_DIRECTORY: uploads(isCheckout(env)) };
  const { DATABASE_URL: writer, UPLOADS_DIRECTORY: directory } = readVariables(variables, env);
  return { database: { writer, reader: writer, poolSize: 1 }, uploadsDirectory: directory };
}

/** Reads the configuration of the migrations. @throws ConfigError */
export function loadMigrateConfig(env: Environment = process.env): MigrateConfig {
  const read = readVariables(migrateVariables(isCheckout(env)), env);
  return {
    databaseUrl: read.DATABASE_URL,
    adminPassword: read.ADMIN_PASSWORD_FILE,
    uploadsDirectory: prepareUploads(read.UPLOADS_DIRECTORY),
    sampleData: read.SAMPLE_DATA,
    uploadsMegabytes: read.UPLOADS_MEGABYTES,
    uploadsPerAccountMegabytes: read.UPLOADS_PER_ACCOUNT_MEGABYTES,
    trashMegabytes: read.TRASH_MEGABYTES,
  };
}

/** Makes the checkout's own uploads directory; any other one is made by whoever names it. */
function prepareUploads(directory: string): string {
  if (directory === developmentUploads) mkdirSync(directory, { recursive: true });
  return directory;
}
