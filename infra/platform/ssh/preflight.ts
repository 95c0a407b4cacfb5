/** Looks at all machines before anything is changed: every problem of every machine at once. */
import { targets } from "../../inventory.ts";
import { type Settings, SettingsError } from "../../settings.ts";
import type { Topology } from "../../topology.ts";
import { callMachine, type Target } from "./connection.ts";
import type { Machines } from "./ssh.ts";

/** @throws SettingsError with every problem as machine, problem, fix */
export async function inspectMachines(settings: Settings, _topology: Topology): Promise<Machines> {
  const all = targets(settings);
  const seen = await Promise.all(all.map(inspect));
  const problems = seen.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  if (problems.length > 0) throw new SettingsError(problems);
  const architecture = seen.some(({ uname }) => uname === "aarch64") ? "arm64" : "x64";
  return { targets: all, architecture };
}

async function inspect(target: Target): Promise<{ uname?: string; problem?: string }> {
  try {
    const { stdout } = await callMachine(target, ["uname", "-m"], { limitSeconds: 30 });
    return { uname: stdout.trim() };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
