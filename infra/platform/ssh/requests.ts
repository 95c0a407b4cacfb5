/** What is asked of a machine's programs about a workload. */
import { deliveredFiles } from "../machine.ts";
import { currentReleaseDirectory, type Health, type Workload } from "../platform.ts";
import {
  filesRequest,
  ownUsers,
  type PlaceRequest,
  processesRequest,
  type RemovalRequest,
} from "../request.ts";
import { commandLine } from "../shell.ts";
import { workloadFolder } from "./layout.ts";
import { bindRelease, systemd } from "./systemd.ts";

/** @param timeoutSeconds how long the workload may take to get healthy */
export function placeRequest(workload: Workload, timeoutSeconds: number): PlaceRequest {
  const { host, processes, release, sysctls } = workload;
  const { command, meaning } = health(workload);
  const root = workloadFolder(host.name);
  return {
    member: host.name,
    root,
    processes: processesRequest(processes),
    ...(release && { release: `../releases/${release.hash}` }),
    ...usersOf(workload),
    ...(sysctls && { sysctls }),
    health: { command, meaning, timeoutSeconds },
    files: filesRequest(deliveredFiles(systemd, workload, root)),
  };
}

/** A command of the release's own finds it where the units do: outside of them its links lie there. */
function health({ health, processes, release }: Workload): Health {
  const { command, meaning } = health ?? systemd.steady(processes);
  if (!release || !command.includes(currentReleaseDirectory)) return { command, meaning };
  const bound = `${bindRelease(release.hash)}\n${command}`;
  return { command: commandLine(["unshare", "--mount", "sh", "-euc", bound]), meaning };
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
    ...usersOf(workload),
  };
}

function usersOf({ release, processes }: Workload): Pick<PlaceRequest, "users"> {
  return ownUsers(
    release,
    processes.map(({ user }) => user),
  );
}
