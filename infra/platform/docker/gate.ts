/**
 * Waits until a member is healthy. It gives up early when the member's container is gone or its
 * processes die again and again, and ends with the member's last log lines when it does.
 */

import { fail, required } from "../../../lib/command.ts";
import { until } from "../../../lib/until.ts";
import { containerState, tryDocker } from "./engine.ts";
import { configurationDirectory, servicesDirectory } from "./s6.ts";

const probeLimitSeconds = 10;
const logLines = 25;
/** Deaths of processes after which waiting is of no use: their supervisor starts one a second. */
const hopelessDeaths = 8;

/** How often processes of the member have died, by its supervisor's count. */
async function deaths(container: string): Promise<number> {
  const count = `for service in ${servicesDirectory}/*; do s6-svdt "$service"; done | wc -l`;
  const { stdout } = await tryDocker(["exec", container, "sh", "-c", count], "", probeLimitSeconds);
  return Number(stdout.trim() || 0);
}

async function pass(): Promise<void> {
  const container = required("CONTAINER");
  console.log(`waiting until ${container} is healthy: ${required("MEANING")}`);
  const deathsBefore = await deaths(container);
  await until(`${container} must be healthy (${required("MEANING")})`, {
    probe: () =>
      tryDocker(
        ["exec", `--workdir=${configurationDirectory}`, container, "sh", "-c", required("HEALTH")],
        "",
        probeLimitSeconds,
      ),
    done: ({ code }) => code === 0,
    describe: ({ stdout, stderr }) => `${stdout}${stderr}`.trim() || "none",
    limitSeconds: Number(required("TIMEOUT_SECONDS")),
    intervalSeconds: 0.5,
    hopeless: async () => {
      if ((await containerState(container)) === undefined) return "there is no such container";
      const died = (await deaths(container)) - deathsBefore;
      return died >= hopelessDeaths ? `its processes died ${died} times` : undefined;
    },
  });
}

async function explain(error: unknown): Promise<never> {
  const { stdout, stderr } = await tryDocker(["logs", `--tail=${logLines}`, required("CONTAINER")]);
  const message = error instanceof Error ? error.message : String(error);
  return fail(
    new Error(
      `${message}\nIts last log lines:\n${`${stdout}${stderr}`.trim()}\n` +
        "The other members were not touched and serve on, without this one's redundancy. " +
        "Mend the cause, then run up again.",
    ),
  );
}

await pass().catch(explain);
