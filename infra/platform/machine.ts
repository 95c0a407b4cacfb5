/**
 * The small seam below the verbs: how a program gets to a machine and runs there, and what keeps
 * processes running. The programs are shell, in `programs/`. What they do is written there once; each
 * platform brings a connection and a supervisor.
 */
import { readProjectFile } from "../../lib/paths.ts";
import type { Outcome } from "../../lib/run.ts";
import type { Health, ManagedFile, Process, Workload } from "./platform.ts";

/** Runs programs on one machine, as root. */
export interface Connection {
  /**
   * @param input the request, as `encode` writes it
   * @returns how the program ended, also when it failed
   */
  run(program: string, input: string, limitSeconds: number): Promise<Outcome>;
}

/**
 * What starts processes again, and is told to start, stop and reload them: s6 or systemd. The other
 * programs speak to it by the functions in the program of its name.
 */
export interface Supervisor {
  /** Its own files for a workload's processes, delivered with the workload's. */
  files(workload: Workload, folder: string): ManagedFile[];
  /** Where a process of a workload finds its credentials, and who owns the files that were delivered. */
  credentials(
    process: Process,
    folder: string,
  ): { readonly folder: string; readonly owner: string };
  /** Health of processes that nothing else is known of: none has died for some seconds. */
  steady(processes: readonly Process[]): Health;
}

/** All files of a workload, the supervisor's too, as they are delivered into its folder. */
export function deliveredFiles(
  supervisor: Supervisor,
  workload: Workload,
  folder: string,
): ManagedFile[] {
  const { files, processes } = workload;
  const own = files.map((file): ManagedFile => {
    const owner = processes.find(({ name }) => file.credentialOf?.includes(name));
    if (owner) return { ...file, owner: supervisor.credentials(owner, folder).owner };
    const reader = processes.find(({ environmentFile }) => environmentFile === file.path);
    if (!reader) return file;
    const credentials = supervisor.credentials(reader, folder).folder;
    return { ...file, content: file.content.replaceAll("@{credentials}", credentials) };
  });
  return [...own, ...supervisor.files(workload, folder)];
}

/** How long that is. */
export const steadySeconds = 5;
export const steadyMeaning = `its processes have run for ${steadySeconds} s`;

/** The text of a file of `programs/`; some lie where they are used. */
export function readProgram(name: string): string {
  const path = name === "install-packages" ? `docker/image/${name}` : `programs/${name}`;
  return readProjectFile(`infra/platform/${name.includes("/") ? name : path}`);
}

/** One text of several files, which makes this call once it has read its request. */
export function joined(files: readonly string[], name: string, call: string): string {
  return [...files.map(readProgram), `receive ${name}`, call, ""].join("\n");
}
