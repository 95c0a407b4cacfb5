/** The shell text that takes a workload away from a machine. */
import { dirname } from "node:path/posix";
import type { Process, Workload } from "../platform.ts";
import { commandLine, quote } from "../shell.ts";
import { folders, oneAtATime } from "./machine-script.ts";
import { sysctlFile, workloadFolder } from "./place-script.ts";
import { releaseLink, unitName } from "./systemd.ts";

/**
 * Takes a workload away, its processes in reverse order. A unit that is another member's by now, and
 * the data that it works on, stay.
 * @param keepData whether data that is to outlive the stack stays
 */
export function removeScript(workload: Workload, keepData: boolean): string {
  const { host, processes, data = [], sysctls = {} } = workload;
  const root = workloadFolder(host.name);
  const gone = data.filter(({ keep }) => !(keep && keepData));
  return [
    "set -eu",
    "trap '' PIPE",
    oneAtATime(host.name),
    "others=",
    functions,
    ...[...processes].reverse().map((process) => stop(root, process)),
    `rm -rf ${commandLine([root, `${root}.before`, `${root}.copy`, `${root}.gone`])}`,
    `rm -f ${releaseLink(host.name)}`,
    'if [ -z "$others" ]; then :',
    ...processes
      .flatMap(({ directories = [] }) => directories)
      .filter(({ path }) => path.startsWith("/run/hastack-"))
      .map(({ path }) => `rm -rf ${quote(path)}`),
    ...gone.map(({ path, own }) => {
      const above = dirname(own);
      const emptied = above === path ? "" : `\nrmdir ${quote(above)} 2> /dev/null || :`;
      return `rm -rf ${quote(own)}${emptied}`;
    }),
    "fi",
    ...(Object.keys(sysctls).length > 0
      ? [
          `rm -f ${sysctlFile(host.name)}`,
          `before=${folders.state}/${host.name}.sysctl`,
          '[ ! -e "$before" ] || { sysctl --quiet --load "$before"; rm -f "$before"; }',
        ]
      : []),
    "systemctl daemon-reload",
    "",
  ].join("\n");
}

function stop(root: string, { name, stopGraceSeconds, childrenOutlive }: Process): string {
  const unit = unitName(name);
  return `stop ${unit} ${root}/units/${unit}${childrenOutlive ? ` && end_children ${unit} ${stopGraceSeconds}` : " || :"}`;
}

const functions = `# UNIT FILE: fails where the unit is not this member's
stop() {
  there=$(readlink "/etc/systemd/system/$1" || :)
  if [ -n "$there" ] && [ "$there" != "$2" ]; then others=yes; return 1; fi
  [ -z "$there" ] || systemctl disable --quiet --now "$1"
  systemctl reset-failed "$1" 2> /dev/null || :
}
# UNIT SECONDS: ends what has outlived its process, in order where there is time
end_children() {
  for signal in INT KILL; do
    end=$(($(date +%s) + $2))
    while [ -s "/sys/fs/cgroup/system.slice/$1/cgroup.procs" ] && [ "$(date +%s)" -lt "$end" ]; do
      systemctl kill --kill-whom=all --signal=$signal "$1" 2> /dev/null || :
      sleep 1
    done
  done
}`;
