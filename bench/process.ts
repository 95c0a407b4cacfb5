import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerConfig } from "../app/src/http/server-config.ts";
import { serverEnvironment } from "../app/test/support/app.ts";
import { until } from "../app/test/support/until.ts";

/** A server that is measured. */
export interface Measurable {
  url: string;
  stop: () => Promise<void>;
}

/** Starts a program with a configuration in its environment, as a machine would; its log goes nowhere. */
export async function startProcess(file: string, config: ServerConfig): Promise<Measurable> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-bench-"));
  const listen = { host: "127.0.0.1", port: await freePort() };
  const told = await serverEnvironment({ ...config, listen, logLevel: "info" }, folder);
  const env = { PATH: process.env.PATH, ...told, NODE_ENV: "production" };
  const child = spawn(process.execPath, [file], { env, stdio: ["ignore", "ignore", "inherit"] });
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `http://${listen.host}:${listen.port}`;
  const stop = async () => {
    child.kill("SIGKILL");
    await exit;
    rmSync(folder, { recursive: true });
  };
  await until(
    `${file} answers`,
    () => fetch(url),
    ({ status }) => status === 200,
    20,
  ).catch(async (error) => {
    await stop();
    throw error;
  });
  return { url, stop };
}

/** A port that nobody has at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
