/** How commands get to the machines of a stack, on either platform. */
import { targets } from "../infra/inventory.ts";
import { tryDocker } from "../infra/platform/docker/engine.ts";
import { dockerNames } from "../infra/platform/docker/names.ts";
import { ConnectionError, callMachine } from "../infra/platform/ssh/connection.ts";
import type { Outcome } from "../lib/run.ts";
import type { OperatedStack } from "./stack.ts";

export interface ReachOptions {
  /** After this the script is ended where it runs, with code 124, and a machine that is silent is lost. */
  readonly limitSeconds: number;
  /** For logging in, and for the answer of a script that was ended to come back. @default 1 */
  readonly graceSeconds?: number;
  /** Text for the script's standard input. @default nothing */
  readonly input?: string;
}

/** Why a machine could not be asked: it does not run, is not there, or does not answer. */
export interface Unreachable {
  readonly unreachable: string;
  /** What the script had written until then. @default nothing */
  readonly said?: string;
}

/** A machine that somebody has taken over must not fill this one's memory. */
const limitCharacters = 2 ** 24;

export const isUnreachable = (one: Outcome | Unreachable): one is Unreachable =>
  "unreachable" in one;

/**
 * Runs shell text as root on a machine of the stack; on Docker each member is a machine. However this
 * command ends, the script is not running any more once its time is up.
 * @param script without secrets, which go by its input
 */
export async function onMachineOf(
  { name, settings }: OperatedStack,
  machine: string,
  script: string,
  { limitSeconds, graceSeconds = 1, input = "" }: ReachOptions,
): Promise<Outcome | Unreachable> {
  const command = ["timeout", "--kill-after=1", String(limitSeconds), "sh", "-c", script];
  const limit = limitSeconds + graceSeconds;
  if (settings.platform === "docker") {
    const container = dockerNames(name).container(machine);
    const words = ["exec", "--interactive", container, ...command];
    return lost(await tryDocker(words, input, limit, true, limitCharacters));
  }
  const target = targets(settings).find((one) => one.name === machine);
  if (target === undefined) throw new Error(`machine ${machine}: it is none of the stack's`);
  try {
    return lost(
      await callMachine(target, command, {
        input,
        limitSeconds: limit,
        limitCharacters,
        apart: true,
      }),
    );
  } catch (error) {
    if (error instanceof ConnectionError) return { unreachable: error.problem.why };
    throw error;
  }
}

/** Tells a script's failure from one to reach it. */
function lost(outcome: Outcome): Outcome | Unreachable {
  const { code, stdout, stderr, isEndless } = outcome;
  if (isEndless) return { unreachable: "it writes without end" };
  if (code === 124 && /^not done within/m.test(stderr))
    return { unreachable: "it does not answer", said: stdout };
  const engine =
    /^Error(?: response from daemon)?: (.*(?:is not running|is paused|No such container).*)$/m;
  const [, why] = (code !== 0 && engine.exec(stderr)) || [];
  return why === undefined ? outcome : { unreachable: why };
}
