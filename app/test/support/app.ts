import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { DatabaseLimits } from "../../src/data/database.ts";
import type { ServerConfig } from "../../src/http/server-config.ts";
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

/** A server configuration that a test then bends. */
export function serverConfig(
  tier: "storefront" | "admin",
  database: { name: string; writer: Endpoint; reader?: Endpoint },
  uploads: string,
): ServerConfig {
  const { name, writer, reader = writer } = database;
  const pick = ({ host, port }: Endpoint) => ({ host, port });
  return {
    tier,
    instance: `${tier}-1`,
    listen: { host: "127.0.0.1", port: 0 },
    database: {
      ...{ name, user: tier, password: passwords[tier], poolSize: 5 },
      ...{ writer: pick(writer), reader: pick(reader) },
    },
    uploadsDirectory: uploads,
    cookieSecret: "cookie-secret-of-the-tests",
    publicUrl: "http://travel.test",
    trustedProxies: [],
    drainSeconds: 1,
    stopGraceSeconds: 10,
    logLevel: "silent",
  };
}

/** Migrates a database; sample data only where asked for. @returns the lines that were said */
export async function migrateDatabase(
  name: string,
  hosts: Endpoint[],
  options: Partial<MigrateConfig> = {},
): Promise<string[]> {
  const lines: string[] = [];
  await migrate(
    {
      database: {
        ...{ name, user: "migrator", password: passwords.migrator },
        hosts: hosts.map(({ host, port }) => ({ host, port })),
      },
      principals: { storefront: "storefront", admin: "admin" },
      adminPassword: "password-of-the-admin",
      uploadsDirectory: "/nonexistent",
      sampleData: false,
      ...options,
    },
    (line) => lines.push(line),
  );
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
  limits: Partial<DatabaseLimits> = {},
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
}

/** Starts an entry point as a process, with a configuration file. */
export async function spawnEntry(
  entry: string,
  config: unknown,
  { nodeArgs = [], directory: application = appDirectory }: SpawnOptions = {},
): Promise<Omit<AppProcess, "url">> {
  const directory = await mkdtemp(join(tmpdir(), "app-test-config-"));
  const file = join(directory, "app.json");
  await writeFile(file, typeof config === "string" ? config : JSON.stringify(config));
  const child = spawn(process.execPath, [...nodeArgs, join(application, "src", entry)], {
    env: { PATH: process.env.PATH, HASTACK_APP_CONFIG: file },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  exit.then(() => rm(directory, { recursive: true }));
  return { child, output: () => output, exit };
}

/** Starts the server as a process and waits until it serves. */
export async function spawnServer(
  config: ServerConfig,
  options: SpawnOptions = {},
): Promise<AppProcess> {
  const started = await spawnEntry("run/server.ts", { ...config, logLevel: "info" }, options);
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
