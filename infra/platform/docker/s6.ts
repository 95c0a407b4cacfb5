/**
 * Service folders for s6, the supervisor inside a container: it restarts a process that ends,
 * signals one that must read its files again, and stops them in reverse order of start.
 */

import { readProgram, type Supervisor, steadyMeaning, steadySeconds } from "../machine.ts";
import {
  credentialsFolder,
  type Health,
  type ManagedFile,
  type Process,
  type SharedDirectory,
} from "../platform.ts";
import { commandLine, quote } from "../shell.ts";

/** Where a container's workload has its files: in a volume of their own. */
export const configurationDirectory = "/etc/hastack";

const servicesDirectory = `${configurationDirectory}/services`;

/** The command of a container. Notes of an earlier delivery end here: what starts now is new. */
export function superviseCommand(shared: readonly SharedDirectory[]): string[] {
  const share = shared.map(({ path, group }) => commandLine(["share", path, group]));
  const steps = [
    `rm -rf ${configurationDirectory}/.notices/*`,
    ...share,
    `exec s6-svscan ${servicesDirectory}`,
  ].join(" && ");
  return ["sh", "-c", share.length > 0 ? `${readProgram("share")}${steps}` : steps];
}

export const s6: Supervisor = {
  files: ({ processes }) => serviceFiles(processes),
  credentials: ({ user = "root" }, folder) => ({
    folder: `${folder}/${credentialsFolder}`,
    owner: user,
  }),
  steady,
};

export function serviceFiles(processes: readonly Process[]): ManagedFile[] {
  return [
    ...processes.flatMap((process) => [
      {
        path: `services/${process.name}/run`,
        mode: "0755",
        content: runScript(process),
        restarts: process.name,
      },
      ...finishFiles(process),
      {
        path: `services/${process.name}/down-signal`,
        content: `${(process.stopSignal ?? "SIGTERM").slice("SIG".length)}\n`,
      },
      {
        path: `services/${process.name}/timeout-kill`,
        content: `${process.stopGraceSeconds * 1000}\n`,
      },
    ]),
    { path: "services/.s6-svscan/SIGTERM", mode: "0755", content: stopScript(processes) },
  ];
}

export function steady(processes: readonly Process[]): Health {
  const since = `true ([${steadySeconds}-9]|[0-9]{2,})`;
  const checks = processes.flatMap(({ name }) => {
    const service = `${servicesDirectory}/${name}`;
    return [
      `s6-svstat ${service}`,
      `s6-svstat -o up,updownfor ${service} | grep -Eqx ${quote(since)}`,
    ];
  });
  return { command: checks.join(" && "), meaning: steadyMeaning };
}

function runScript({
  user = "root",
  directories = [],
  environment = {},
  environmentFile,
  workingDirectory = configurationDirectory,
  umask,
  command,
}: Process): string {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const started = [...(user === "root" ? [] : ["s6-setuidgid", user]), ...command];
  return [
    "#!/bin/sh -eu",
    "exec 2>&1",
    ...directories.map(
      ({ path, mode }) => `install -d -o ${user} -g ${user} -m ${mode} ${quote(path)}`,
    ),
    ...(umask === undefined ? [] : [`umask ${umask}`]),
    `cd ${quote(workingDirectory)}`,
    `exec ${commandLine([
      "env",
      "-i",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "LANG=C.UTF-8",
      ...variables,
      ...(environmentFile ? withVariablesOf(environmentFile, started) : started),
    ])}`,
    "",
  ].join("\n");
}

/** What s6 runs when the process has ended, with its process group; it does not start it again within a second. */
function finishFiles({ name, afterwards, childrenOutlive }: Process): ManagedFile[] {
  const steps = [
    // A worker that hangs would go on beside the one that comes
    ...(childrenOutlive ? [] : ['kill -s KILL -- "-$4" 2> /dev/null || :']),
    ...(afterwards ? [`cd ${configurationDirectory}`, `exec ${commandLine(afterwards)}`] : []),
  ];
  if (steps.length === 0) return [];
  const content = ["#!/bin/sh -eu", "exec 2>&1", ...steps, ""].join("\n");
  return [{ path: `services/${name}/finish`, mode: "0755", content }];
}

/** Root's shell reads the file, so that no value of it is ever on a command line. */
function withVariablesOf(file: string, command: readonly string[]): string[] {
  const script = 'set -a; . "$0"; exec "$@"';
  return ["sh", "-euc", script, `${configurationDirectory}/${file}`, ...command];
}

/** Each process goes down with its own signal before the next one is touched. */
function stopScript(processes: readonly Process[]): string {
  return [
    "#!/bin/sh",
    ...[...processes]
      .reverse()
      .map(
        ({ name, stopGraceSeconds }) =>
          `s6-svc -wD -T ${(stopGraceSeconds + 2) * 1000} -d ${servicesDirectory}/${name}`,
      ),
    `exec s6-svscanctl -t ${servicesDirectory}`,
    "",
  ].join("\n");
}
