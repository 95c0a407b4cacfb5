/** Restarting the Docker engine itself. */
import { existsSync, readFileSync } from "node:fs";
import { mustRun, run } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { ensureEngine } from "../../scripts/setup/engine.ts";
import { limits } from "./promises.ts";

const pidFile = "/var/run/docker.pid";

/**
 * Why the engine cannot be restarted here, if so. Other people's containers would go down with it,
 * so it needs a word (HASTACK_TEST_ENGINE_RESTART=1) and an engine of this machine.
 */
export function noRestartBecause(): string | undefined {
  if (process.env.HASTACK_TEST_ENGINE_RESTART !== "1")
    return "HASTACK_TEST_ENGINE_RESTART=1 is not set";
  if (process.getuid?.() !== 0) return "only root may restart the engine";
  if (!existsSync(pidFile)) return `${pidFile} is not there`;
  return undefined;
}

export async function restartEngine(): Promise<void> {
  const pid = Number(readFileSync(pidFile, "utf8"));
  if (existsSync("/run/systemd/system")) {
    await mustRun(["systemctl", "restart", "docker"], { limitSeconds: limits.engineRestart });
  } else {
    process.kill(pid, "SIGTERM");
    await until("the engine has ended", {
      probe: async () => existsSync(`/proc/${pid}`),
      done: (there) => !there,
      limitSeconds: limits.engineRestart,
    });
    await ensureEngine(() => {});
  }
  await until("the engine answers", {
    probe: () => run(["docker", "version"], { limitSeconds: 10 }),
    done: ({ code }) => code === 0,
    limitSeconds: limits.engineRestart,
  });
}
