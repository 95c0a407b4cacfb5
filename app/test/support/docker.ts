import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { databasePackages } from "../../../infra/components/database-pair.ts";
import { imageFor } from "../../../tests/support/unit/images.ts";

const run = promisify(execFile);
const started = new Set<string>();

/** Runs the docker client and gives its output. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run("docker", args, { maxBuffer: 16 * 1024 * 1024 });
  return stdout.trim();
}

/** Starts a container `app-test-…` that `removeContainers` will remove. @returns its name */
export async function startContainer(name: string, args: string[]): Promise<string> {
  const full = `app-test-${name}-${process.pid}`;
  started.add(full);
  await docker("run", "--detach", "--name", full, ...args);
  return full;
}

/** Removes one container, or every one that this process started. */
export async function removeContainers(names: Iterable<string> = started): Promise<void> {
  for (const name of [...names]) {
    await docker("rm", "--force", "--volumes", name).catch(() => {});
    started.delete(name);
  }
}

/** The stack's own image of a database member, built when it is not there. */
export function postgresImage(): Promise<string> {
  return imageFor({ component: "DatabasePair", packages: databasePackages });
}

/** The stack's own image of a load balancer. */
export function balancerImage(): Promise<string> {
  return imageFor({ component: "LoadBalancer", packages: ["haproxy", "keepalived", "socat"] });
}

/** The stack's own image of a member of the shared storage. */
export function storageImage(): Promise<string> {
  return imageFor({ component: "SharedStorage", packages: ["glusterfs-server"] });
}
