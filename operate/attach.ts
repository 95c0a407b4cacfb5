/** Commands on a stack's machines that last: a shell at a terminal, a log that is followed. */
import { spawn } from "node:child_process";
import { targets } from "../infra/inventory.ts";
import { dockerNames } from "../infra/platform/docker/names.ts";
import { sshArguments, withKnownHosts } from "../infra/platform/ssh/connection.ts";
import type { OperatedStack } from "./stack.ts";

/**
 * Hands over the command line that runs a command as root on a machine of the stack.
 * @param terminal whether the command gets a terminal there
 * @param use runs it; what the line needs is there until it is done
 */
export async function withCommandOn<T>(
  { name, settings }: OperatedStack,
  machine: string,
  command: readonly string[],
  terminal: boolean,
  use: (line: readonly string[]) => Promise<T>,
): Promise<T> {
  if (settings.platform === "docker") {
    const options = terminal ? ["--interactive", "--tty"] : ["--interactive"];
    const container = dockerNames(name).container(machine);
    return use(["docker", "exec", ...options, container, ...command]);
  }
  const target = targets(settings).find((one) => one.name === machine);
  if (target === undefined) throw new Error(`machine ${machine}: it is none of the stack's`);
  return withKnownHosts(target, (knownHosts) =>
    use(["ssh", ...sshArguments(target, knownHosts, command, { terminal })]),
  );
}

/** Whether a person types here, and reads what comes. */
export const atTerminal = (): boolean => Boolean(process.stdin.isTTY && process.stdout.isTTY);

/**
 * Runs a command on a machine with our own input and output, to its end.
 * @returns its exit code
 */
export function attach(
  stack: OperatedStack,
  machine: string,
  command: readonly string[],
): Promise<number> {
  return withCommandOn(stack, machine, command, atTerminal(), ([program = "", ...args]) => {
    const child = spawn(program, args, { stdio: "inherit" });
    return new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve(code ?? 128));
    });
  });
}
