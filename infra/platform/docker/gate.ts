/**
 * Waits until a member is healthy. It gives up early when the member's container is gone, and ends
 * with the member's last log lines when it does.
 */
import { until } from "../wait.ts";
import { containerState, fail, required, tryDocker } from "./engine.ts";

const probeLimitSeconds = 5;
const logLines = 25;

async function pass(): Promise<void> {
  const container = required("CONTAINER");
  await until(`${container} must be healthy (${required("MEANING")})`, {
    probe: () =>
      tryDocker(["exec", container, "sh", "-c", required("HEALTH")], "", probeLimitSeconds),
    done: ({ code }) => code === 0,
    describe: ({ stdout, stderr }) => `${stdout}${stderr}`.trim() || "none",
    limitSeconds: Number(required("TIMEOUT_SECONDS")),
    hopeless: async () =>
      (await containerState(container)) === undefined ? "there is no such container" : undefined,
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
