/** Waits until a workload is healthy. A container that starts again meanwhile is waited for as well. */
import { fail, required } from "../../../lib/command.ts";
import { until } from "../../../lib/until.ts";
import { joined } from "../machine.ts";
import { encode, type GateRequest } from "../request.ts";
import { inContainer } from "./connection.ts";
import { containerState, tryDocker } from "./engine.ts";

const logLines = 25;
/** One look at health may take 10 s, and comes on top. */
const extraSeconds = 60;
const gate = joined(["request", "s6", "gate"], "gate", "gate");

async function pass(): Promise<void> {
  const container = required("CONTAINER");
  const request: GateRequest = JSON.parse(required("REQUEST"));
  const { meaning, timeoutSeconds } = request.health;
  console.log(`waiting until ${request.member} is healthy: ${meaning}`);
  const outcome = await until(`${request.member} must be healthy (${meaning})`, {
    probe: async () => {
      const { code, stderr } = await inContainer(container).run(
        gate,
        encode(request),
        timeoutSeconds + extraSeconds,
      );
      return { code, stderr, state: await containerState(container) };
    },
    done: ({ code, state }) => code === 0 || state === "running",
    describe: ({ state }) => `its container is ${state}`,
    hopeless: async () =>
      (await containerState(container)) === undefined ? "there is no such container" : undefined,
    limitSeconds: timeoutSeconds,
    intervalSeconds: 0.5,
  });
  if (outcome.code !== 0) throw new Error(await withLog(container, outcome.stderr.trim()));
}

async function withLog(container: string, text: string): Promise<string> {
  const { stdout, stderr } = await tryDocker(["logs", `--tail=${logLines}`, container]);
  return text.replace("@{log}", () => `${stdout}${stderr}`.trim());
}

await pass().catch(fail);
