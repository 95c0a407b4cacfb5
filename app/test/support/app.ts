import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { DatabaseLimits } from "../../src/data/database.ts";
import type { ServerConfig } from "../../src/http/server-config.ts";
import type { BodyLimits } from "../../src/http/slow-bodies.ts";
import type { MigrateConfig } from "../../src/run/config.ts";
import { migrate } from "../../src/run/migrate.ts";
import { startInstance } from "../../src/run/server.ts";
import { passwords } from "./postgres.ts";
import { until } from "./until.ts";

/** Source folder of the application. */
export const appDirectory = join(import.meta.dirname, "../..");

export interface Endpoint {
  host: string;
  port: number;
}

/** A new uploads directory; remove it with `rm`. */
export async function uploadsDirectory(): Promise<string> {
  return await mkdtemp(join(tmpdir(), "app-test-uploads-"));
}

/** What each tier of the tests signs its sessions with. */
export const sessionSecrets = {
  storefront: "session-secret-of-the-storefront",
  admin: "session-secret-of-the-admin",
};

/** A server configuration that a test then bends. */
export function serverConfig(
  tier: "storefront" | "admin",
  database: { name: string; writer: Endpoint; reader?: Endpoint },
  uploads: string,
): ServerConfig {
  const { name, writer, reader = writer } = database;
  const urlOf = (at: Endpoint) => databaseUrl(at, name, `app_${tier}`, passwords[tier]);
  return {
    tier,
    instance: `${tier}-1`,
    release: "development",
    listen: { host: "127.0.0.1", port: 0 },
    database: { writer: urlOf(writer), reader: urlOf(reader), poolSize: 5 },
    uploadsDirectory: uploads,
    keepFilesDays: 0,
    cookieSecrets: ["cookie-secret-of-the-tests"],
    sessionSecrets: [sessionSecrets[tier]],
    publicUrl: "http://travel.test",
    trustedProxies: [],
    drainSeconds: 1,
    stopGraceSeconds: 10,
    logLevel: "silent",
  };
}

function databaseUrl({ host, port }: Endpoint, name: string, user: string, password: string) {
  return `postgresql://${user}:${password}@${host}:${port}/${name}`;
}

/** A configuration of the migrations that a test then bends. */
export function migrateConfig(name: string, primary: Endpoint): MigrateConfig {
  return {
    databaseUrl: databaseUrl(primary, name, "migrator", passwords.migrator),
    adminPassword: "password-of-the-admin",
    uploadsDirectory: "/nonexistent",
    sampleData: false,
    uploadsMegabytes: 5000,
    uploadsPerAccountMegabytes: 100,
    trashMegabytes: 5000,
  };
}

/** Migrates a database; sample data only where asked for. @returns the lines that were said */
export async function migrateDatabase(
  name: string,
  primary: Endpoint,
  options: Partial<MigrateConfig> = {},
): Promise<string[]> {
  const lines: string[] = [];
  await migrate({ ...migrateConfig(name, primary), ...options }, (line) => lines.push(line));
  return lines;
}

/** An instance inside this process. */
export interface TestApp {
  url: string;
  uploads: string;
  close: () => Promise<void>;
}

/** Starts an instance inside this process. */
export async function startApp(
  config: ServerConfig,
  limits: Partial<DatabaseLimits & BodyLimits> = {},
): Promise<TestApp> {
  const instance = await startInstance(
    { ...config, drainSeconds: 0, stopGraceSeconds: 3 },
    pino({ level: "silent" }),
    limits,
  );
  return {
    url: `http://127.0.0.1:${instance.port}`,
    uploads: config.uploadsDirectory,
    close: async () => {
      await instance.stop();
    },
  };
}

/** An instance as a process of its own, as on a machine. */
export interface AppProcess {
  url: string;
  child: ChildProcess;
  /** Everything it has written so far. */
  output: () => string;
  exit: Promise<number | null>;
}

/** How a process is started. */
export interface SpawnOptions {
  /** @default none */
  nodeArgs?: string[];
  /** The application's folder. @default the one of the checkout */
  directory?: string;
  /** Words after the entry's path. @default none */
  args?: string[];
  /** Further variables. @default none */
  environment?: Readonly<Record<string, string>>;
}

/**
 * The environment that gives a server its configuration, as a machine does.
 * @param folder where the files of secrets are written
 */
export async function serverEnvironment(
  config: ServerConfig,
  folder: string,
): Promise<Record<string, string>> {
  const { cache, smtp } = config;
  const cookieSecret = join(folder, "cookie-secret");
  const sessionSecret = join(folder, "session-secret");
  const authority = join(folder, "smtp-ca.crt");
  if (smtp?.certificateAuthority) await writeFile(authority, smtp.certificateAuthority);
  await writeFile(cookieSecret, config.cookieSecrets.join("\n"), { mode: 0o644 });
  await writeFile(sessionSecret, config.sessionSecrets.join("\n"), { mode: 0o644 });
  return {
    HOST: config.listen.host,
    PORT: String(config.listen.port),
    HASTACK_TIER: config.tier,
    HASTACK_INSTANCE: config.instance,
    HASTACK_RELEASE: config.release,
    DATABASE_URL: config.database.writer,
    DATABASE_READER_URL: config.database.reader,
    DATABASE_POOL_SIZE: String(config.database.poolSize),
    PUBLIC_URL: config.publicUrl,
    TRUSTED_PROXIES: config.trustedProxies.join(","),
    DRAIN_SECONDS: String(config.drainSeconds),
    STOP_GRACE_SECONDS: String(config.stopGraceSeconds),
    UPLOADS_DIRECTORY: config.uploadsDirectory,
    HASTACK_KEEP_FILES_DAYS: String(config.keepFilesDays),
    COOKIE_SECRET_FILE: cookieSecret,
    SESSION_SECRET_FILE: sessionSecret,
    LOG_LEVEL: config.logLevel,
    ...(cache && { REDIS_URL: cache.url }),
    ...(smtp && {
      SMTP_URL: `${smtp.secure ? "smtps" : "smtp"}://${login(smtp)}${smtp.host}:${smtp.port}`,
      SMTP_SERVERNAME: smtp.servername,
      ...(smtp.certificateAuthority && { SMTP_CA_FILE: authority }),
      MAIL_FROM: smtp.from,
    }),
  };
}

function login({ user, password }: NonNullable<ServerConfig["smtp"]>): string {
  return user && password ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : "";
}

/** The environment that gives the migrations their configuration. */
export async function migrateEnvironment(
  config: MigrateConfig,
  folder: string,
): Promise<Record<string, string>> {
  const adminPassword = join(folder, "admin-password");
  await writeFile(adminPassword, config.adminPassword);
  return {
    DATABASE_URL: config.databaseUrl,
    ADMIN_PASSWORD_FILE: adminPassword,
    UPLOADS_DIRECTORY: config.uploadsDirectory,
    SAMPLE_DATA: String(config.sampleData),
    UPLOADS_MEGABYTES: String(config.uploadsMegabytes),
    UPLOADS_PER_ACCOUNT_MEGABYTES: String(config.uploadsPerAccountMegabytes),
    TRASH_MEGABYTES: String(config.trashMegabytes),
  };
}

/** A folder for files of secrets; remove it with `rm`. */
export async function secretsFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), "app-test-secrets-"));
}

/** Starts an entry point as a process, with this environment and nothing of the tests' own. */
export async function spawnEntry(
  entry: string,
  environment: Readonly<Record<string, string>>,
  {
    nodeArgs = [],
    directory: application = appDirectory,
    args = [],
    environment: more,
  }: SpawnOptions = {},
): Promise<Omit<AppProcess, "url">> {
  const child = spawn(process.execPath, [...nodeArgs, join(application, "src", entry), ...args], {
    env: { PATH: process.env.PATH, ...environment, ...more },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, output: () => output, exit };
}

/** Starts the server as a process and waits until it serves. */
export async function spawnServer(
  config: ServerConfig,
  options: SpawnOptions = {},
): Promise<AppProcess> {
  const folder = await secretsFolder();
  const environment = await serverEnvironment({ ...config, logLevel: "info" }, folder);
  const started = await spawnEntry("run/server.ts", environment, options);
  started.exit.then(() => rm(folder, { recursive: true }));
  const port = await until(
    "the server says its port",
    () => /"port":(\d+),"msg":"serving"/.exec(started.output())?.[1],
    Boolean,
    15,
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${started.output()}`);
  });
  return { ...started, url: `http://127.0.0.1:${port}` };
}

/** Names in an uploads directory, hidden ones too. */
export async function files(directory: string): Promise<string[]> {
  return (await readdir(directory)).sort();
}
