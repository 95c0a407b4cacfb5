/** A disk of a container that forgets, with its power, what was written and not synced: a FUSE file system. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runDocker } from "../../../infra/platform/docker/engine.ts";
import type { Container } from "./containers.ts";
import { buildGo } from "./go-program.ts";

/** What a container needs to mount one. */
export const forgetfulOptions = ["--device=/dev/fuse", "--cap-add=SYS_ADMIN"] as const;

/** Puts such disks under paths of containers that have nothing there yet. @returns one for each container */
export function forgetfulDisks(
  containers: readonly Container[],
  path: string,
): Promise<ForgetfulDisk[]> {
  return withProgram((program) =>
    Promise.all(
      containers.map(async (container) => {
        await runDocker(["cp", program, `${container.name}:/forgetful`]);
        const disk = new ForgetfulDisk(container, path);
        await disk.mount();
        return disk;
      }),
    ),
  );
}

async function withProgram<T>(act: (program: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "forgetful-"));
  const program = join(folder, "forgetful");
  try {
    await buildGo("tests/support/forgetful", program);
    return await act(program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export class ForgetfulDisk {
  readonly #container: Container;
  readonly #path: string;

  constructor(container: Container, path: string) {
    this.#container = container;
    this.#path = path;
  }

  /** Mounts it, with what it had when it was lost. */
  async mount(): Promise<void> {
    await this.#container.run(`mkdir -p /disk ${this.#path}
setsid /forgetful /disk ${this.#path} > /tmp/forgetful.log 2>&1 < /dev/null & echo $! > /tmp/forgetful.pid
for try in $(seq 100); do
  ! mountpoint -q ${this.#path} || exit 0
  sleep 0.05
done
cat /tmp/forgetful.log >&2; exit 1`);
  }

  /**
   * Takes the power: what was not synced is lost, and then the processes that are on it, which nothing starts again.
   * @param service of the supervisor @param user whose processes are on it
   */
  async losePower(service: string, user: string): Promise<void> {
    await this.#container.run(`s6-svc -O /etc/hastack/services/${service}
disk=$(cat /tmp/forgetful.pid)
kill -USR1 $disk
while kill -0 $disk 2> /dev/null; do sleep 0.01; done
while pkill -KILL -u ${user}; do sleep 0.05; done
umount -l ${this.#path}`);
  }

  /** Gives the power back. */
  async return(service: string): Promise<void> {
    await this.mount();
    await this.#container.run(`s6-svc -u /etc/hastack/services/${service}`);
  }
}
