/** What is asked of a machine's programs about a workload. */
import type { Workload } from "../platform.ts";
import {
  filesRequest,
  type PlaceRequest,
  processesRequest,
  type RemovalRequest,
} from "../request.ts";
import { workloadFolder } from "./layout.ts";
import { systemd } from "./systemd.ts";

/** @param timeoutSeconds how long the workload may take to get healthy */
export function placeRequest(workload: Workload, timeoutSeconds: number): PlaceRequest {
  const { host, processes, release, files, sysctls } = workload;
  const { command, meaning } = workload.health ?? systemd.steady(processes);
  const root = workloadFolder(host.name);
  return {
    member: host.name,
    root,
    processes: processesRequest(processes),
    ...(release && { release: `../releases/${release.hash}` }),
    ...(sysctls && { sysctls }),
    health: { command, meaning, timeoutSeconds },
    files: filesRequest([...files, ...systemd.files(workload, root)]),
  };
}

/** @param keepData whether data that is to outlive the stack stays */
export function removalRequest(workload: Workload, keepData: boolean): RemovalRequest {
  const { host, processes, data = [] } = workload;
  return {
    member: host.name,
    root: workloadFolder(host.name),
    processes: [...processes].reverse().map(({ name, stopGraceSeconds, childrenOutlive }) => ({
      name,
      stopGraceSeconds,
      ...(childrenOutlive && { childrenOutlive }),
    })),
    data: data.filter(({ keep }) => !(keep && keepData)).map(({ path, own }) => ({ path, own })),
    directories: processes
      .flatMap(({ directories = [] }) => directories)
      .map(({ path }) => path)
      .filter((path) => path.startsWith("/run/hastack-")),
  };
}
