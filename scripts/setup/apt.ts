import type { Machine } from "../../lib/machine.ts";
import { adminPath } from "../../lib/machine.ts";
import { mustRun, run } from "../../lib/run.ts";

const lockSeconds = 120;

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: adminPath(),
  DEBIAN_FRONTEND: "noninteractive",
});

const aptGet = ["apt-get", "-q", "-y", "-o", `DPkg::Lock::Timeout=${lockSeconds}`];

/** Why packages cannot be installed on this machine; nothing when they can. */
export function cannotInstall(machine: Machine): string | undefined {
  if (!machine.debianLike) return `${machine.distribution} is neither Debian nor based on it`;
  if (!machine.root) return `user ${machine.user} is not root`;
  return undefined;
}

/** Those of the packages that this machine's distribution has. Needs fresh lists. */
async function known(packages: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of packages) {
    const { stdout } = await run(["apt-cache", "policy", name], { env: environment() });
    if (/Candidate: (?!\(none\))/.test(stdout)) found.push(name);
  }
  return found;
}

/**
 * Installs packages without their recommendations.
 * @param ifKnown installed as well where the distribution has them
 * @throws with apt's last words.
 */
export async function aptInstall(
  packages: readonly string[],
  ifKnown: readonly string[] = [],
): Promise<void> {
  const env = environment();
  await mustRun([...aptGet, "update"], { env });
  const all = [...packages, ...(await known(ifKnown))];
  await mustRun([...aptGet, "install", "--no-install-recommends", ...all], { env });
}
