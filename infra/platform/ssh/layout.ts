/** Where things lie on a machine. */
import { currentReleaseDirectory } from "../platform.ts";

/** Number of the user `hastack`, the same on every machine: shared files know owners by number. */
export const userId = 880;

export const folders = {
  releases: "/opt/hastack/releases",
  current: currentReleaseDirectory,
  programs: "/opt/hastack/programs",
  files: "/etc/hastack",
} as const;

/** A workload's folder on its machine. */
export function workloadFolder(member: string): string {
  return `${folders.files}/${member}`;
}
