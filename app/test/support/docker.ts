import { execFile } from "node:child_process";
import { promisify } from "node:util";

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

/** The PostgreSQL 17 image to test with. */
export async function postgresImage(): Promise<string> {
  const image = process.env.HASTACK_TEST_POSTGRES_IMAGE ?? "hastack-test/postgres";
  try {
    await docker("image", "inspect", image);
  } catch {
    throw new Error(
      `no image ${image}: name one with Debian's postgresql-17 in HASTACK_TEST_POSTGRES_IMAGE, or build it:\n` +
        `  printf 'FROM debian:trixie-slim\\nRUN apt-get update && apt-get install -y postgresql-17\\n' | docker build -t ${image} -`,
    );
  }
  return image;
}
