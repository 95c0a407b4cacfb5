import { renderCache } from "../../../infra/render/cache.ts";
import { first, planWith } from "../../../tests/support/unit/fixtures.ts";
import { imageFor } from "../../../tests/support/unit/images.ts";
import type { CacheConfig } from "../../src/data/cache.ts";
import { docker, removeContainers, startContainer } from "./docker.ts";
import { until } from "./until.ts";

/** Password of the tests' cache. */
export const cachePassword = "c-secret-4";

/**
 * A cache in a container of its own, with the stack's own configuration but for TLS: that is the matter of
 * the proxy beside an instance.
 */
export interface TestCache {
  /** Where this process reaches it. */
  at: { host: string; port: number };
  /**
   * What a server's configuration says about it.
   * @param port of this machine that leads there. @default its own
   */
  config: (port?: number, password?: string) => CacheConfig;
  container: string;
  /** Runs one command as an operator, who may do everything. @returns its output */
  run: (...command: string[]) => Promise<string>;
  pause: () => Promise<void>;
  unpause: () => Promise<void>;
  /** Empties it, as a restart would. */
  empty: () => Promise<void>;
  remove: () => Promise<void>;
}

/** Starts a Valkey. @param megabytes its memory */
export async function startCache(megabytes = 64): Promise<TestCache> {
  const { settings, topology } = planWith({ cache: { megabytes } });
  const self = first(topology.members.cache);
  const whole = renderCache(settings, self);
  const port = Number(/^tls-port (\d+)$/m.exec(whole)?.[1]);
  const text = whole
    .replaceAll(/^tls-.*\n/gm, "")
    .replace(/^port 0$/m, `port ${port}`)
    .replace(/^bind .*$/m, "bind *")
    .replace("@{cache_password}", cachePassword)
    .concat("user operator on nopass ~* &* +@all\n");
  const user = /^user (\S+) on >/m.exec(text)?.[1] ?? "";
  const container = await startContainer("cache", [
    ...["--init", "--env", `CONFIG=${text}`, "--publish", `127.0.0.1::${port}`],
    ...[
      "--entrypoint",
      "bash",
      await imageFor({ component: "Cache", packages: ["valkey-server"] }),
    ],
    ...["-c", 'exec valkey-server - <<< "$CONFIG"'],
  ]);
  const published = await docker("port", container, `${port}/tcp`);
  const run = (...command: string[]) =>
    docker(
      "exec",
      container,
      "valkey-cli",
      "-p",
      `${port}`,
      "--user",
      "operator",
      "--pass",
      "x",
      "--no-auth-warning",
      ...command,
    );
  const cache: TestCache = {
    at: { host: "127.0.0.1", port: Number(published.split(":").at(-1)) },
    config: (port = cache.at.port, password = cachePassword) => ({
      url: `redis://${user}:${password}@127.0.0.1:${port}/0`,
    }),
    container,
    run,
    pause: async () => void (await docker("pause", container)),
    unpause: async () => void (await docker("unpause", container)),
    empty: async () => void (await run("FLUSHALL")),
    remove: () => removeContainers([container]),
  };
  await until(
    "the cache answers",
    () => run("PING"),
    (answer) => answer === "PONG",
  );
  return cache;
}
