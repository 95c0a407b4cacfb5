/**
 * systemd units: one for each process of a workload, restarted whenever it ends, and shut off from
 * all of the machine that it does not need.
 */
import { basename, dirname } from "node:path";
import { type Supervisor, steadyMeaning, steadySeconds } from "../machine.ts";
import type { Health, ManagedFile, Process, Release, ReloadSignal, Workload } from "../platform.ts";
import { currentReleaseDirectory } from "../platform.ts";
import { commandLine } from "../shell.ts";
import { folders } from "./layout.ts";

/** Name of the unit that runs a process; a shared directory's unit is named the same way. */
export function unitName(process: string): string {
  return `hastack-${process}.service`;
}

/** Shell text that shows a release where its programs are looked for. */
export function bindRelease(hash: string): string {
  return `mount --bind ${folders.releases}/${hash} ${folders.current}`;
}

/** Where a member's link to its release lies; in its units it is mounted at `currentReleaseDirectory`. */
function releaseLink(member: string): string {
  return `${currentReleaseDirectory}/${member}`;
}

export const systemd: Supervisor = {
  files: unitFiles,
  credentials: ({ name }) => ({ folder: `/run/credentials/${unitName(name)}`, owner: "root" }),
  steady,
};

export function unitFiles(workload: Workload, folder: string): ManagedFile[] {
  return workload.processes.map((process) => {
    const path = `units/${unitName(process.name)}`;
    return {
      path,
      content: unit(workload, process, folder),
      check: verify(`${folder}/${path}`, folder, workload.release),
      restarts: process.name,
    };
  });
}

export function steady(processes: readonly Process[]): Health {
  const checks = processes.flatMap(({ name }) => {
    const unit = unitName(name);
    const since = `$(systemctl show --property=ActiveEnterTimestampMonotonic --value ${unit})`;
    return [
      `systemctl is-active ${unit}`,
      `awk -v since="${since}" '{ exit $1 - since / 1000000 < ${steadySeconds} }' /proc/uptime`,
    ];
  });
  return { command: checks.join(" && "), meaning: steadyMeaning };
}

/** A unit's program may be among the new files, or in the new release: both lie where they will be. */
function verify(path: string, folder: string, release?: Release): string {
  const script = [
    ...(release ? [bindRelease(release.hash)] : []),
    'mount --bind "$PWD" "$0"',
    'systemd-analyze verify --man=no --recursive-errors=no "$1"',
  ].join(" && ");
  return commandLine(["unshare", "--mount", "sh", "-euc", script, folder, path]);
}

function unit(workload: Workload, process: Process, folder: string): string {
  const { host, processes } = workload;
  const shared = sharedOf(workload, process);
  // The mount itself is a unit of systemd's own: what is not behind that would still drain without it
  const sharedUnits = shared.flatMap(({ name, path }) => [unitName(name), mountUnitName(path)]);
  // What is started after another one is stopped before it
  const before = processes.slice(0, processes.indexOf(process)).map(({ name }) => unitName(name));
  return [
    "[Unit]",
    `Description=hastack ${host.name}: ${process.name}`,
    `Wants=${["network-online.target", ...shared.map(({ name }) => unitName(name))].join(" ")}`,
    `After=${["network-online.target", ...sharedUnits, ...before].join(" ")}`,
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    ...service(workload, process, folder),
    ...sandbox(workload, process),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}

/** The shared directories that a process needs. */
function sharedOf({ shared = [] }: Workload, { sharesNothing }: Process) {
  return sharesNothing ? [] : shared;
}

/** What systemd calls whatever is mounted at a path. */
function mountUnitName(path: string): string {
  return `${path.slice(1).replaceAll("-", "\\x2d").replaceAll("/", "-")}.mount`;
}

function service(workload: Workload, process: Process, folder: string): string[] {
  const { files } = workload;
  const { name, user = "root", directories = [], environment = {}, memoryMegabytes } = process;
  const { environmentFile, workingDirectory = folder, umask = "0077" } = process;
  const credentials = files.filter(({ credentialOf }) => credentialOf?.includes(name));
  const started = ([program = "", ...words]: readonly string[]) =>
    [absolute(program, workingDirectory), ...words].map(word).join(" ");
  const variables = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    ...environment,
  };
  return [
    "Type=exec",
    // Even where it says root systemd takes a part of root's capabilities away
    ...(user === "root" ? [] : [`User=${user}`]),
    `WorkingDirectory=${quote(workingDirectory)}`,
    ...Object.entries(variables).map(([key, value]) => `Environment=${quote(`${key}=${value}`)}`),
    ...(environmentFile ? [`EnvironmentFile=${quote(`${folder}/${environmentFile}`)}`] : []),
    ...credentials.map(({ path }) => `LoadCredential=${basename(path)}:${folder}/${path}`),
    ...sharedOf(workload, process).map(
      ({ path }) => `ExecStartPre=+/usr/bin/mountpoint -q ${word(path)}`,
    ),
    ...directories.map(
      ({ path, mode }) =>
        `ExecStartPre=+/usr/bin/install -d -o ${user} -g ${user} -m ${mode} ${word(path)}`,
    ),
    `ExecStart=${started(process.command)}`,
    ...(process.afterwards ? [`ExecStopPost=${started(process.afterwards)}`] : []),
    ...(process.reloadSignal
      ? [`ExecReload=/bin/kill -s ${short(process.reloadSignal)} $MAINPID`]
      : []),
    `KillSignal=${process.stopSignal ?? "SIGTERM"}`,
    `KillMode=${process.childrenOutlive ? "process" : "mixed"}`,
    `TimeoutStopSec=${process.stopGraceSeconds}`,
    "Restart=always",
    "RestartSec=1",
    `SyslogIdentifier=hastack-${name}`,
    `LimitNOFILE=${Math.max(process.openFiles ?? 0, 65_536)}`,
    ...(memoryMegabytes === undefined ? [] : [`MemoryMax=${memoryMegabytes}M`]),
    `UMask=${umask}`,
  ];
}

/** What root may still do: a process that changes its user, binds low ports and owns sockets. */
const rootCapabilities = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "KILL",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SETGID",
  "SETUID",
];

function sandbox(workload: Workload, process: Process): string[] {
  const root = (process.user ?? "root") === "root";
  const { release, host, capabilities = [] } = workload;
  const allowed = root
    ? [...rootCapabilities, ...capabilities].map((one) => `CAP_${one}`).sort()
    : [];
  return [
    ...(release && !process.outlivesRelease
      ? [`BindReadOnlyPaths=${releaseLink(host.name)}:${currentReleaseDirectory}`]
      : []),
    `CapabilityBoundingSet=${allowed.join(" ")}`,
    "ProtectSystem=strict",
    ...writable(workload, process).map((path) => `ReadWritePaths=-${path}`),
    `RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK${root ? " AF_PACKET" : ""}`,
    ...(root ? [] : ["ProtectProc=invisible"]),
    ...everywhere,
  ];
}

/**
 * A path below another one would be a mount of its own there, which its owner could not remove. For
 * the same reason it is the directory above a shared one: what is mounted there later is seen, too.
 */
function writable(workload: Workload, process: Process): string[] {
  const { data = [] } = workload;
  const root = (process.user ?? "root") === "root";
  const all = [
    ...(root ? ["/run"] : []),
    ...[...(process.directories ?? []), ...data].map(({ path }) => path),
    ...sharedOf(workload, process).map(({ path }) => dirname(path)),
  ];
  return [...new Set(all)].filter((path) => !all.some((other) => path.startsWith(`${other}/`)));
}

const everywhere = [
  "NoNewPrivileges=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectHome=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "LockPersonality=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallErrorNumber=EPERM",
];

function absolute(program: string, folder: string): string {
  return program.includes("/") && !program.startsWith("/") ? `${folder}/${program}` : program;
}

function short(signal: ReloadSignal): string {
  return signal.slice("SIG".length);
}

/** The text as one word of a command; systemd would put variables in. */
function word(text: string): string {
  return quote(text.replaceAll("$", () => "$$"));
}

/** The text as one word of a setting; systemd would expand specifiers and escapes. */
function quote(text: string): string {
  const plain = text.replaceAll("%", "%%");
  if (/^[\w@%+=:,./$-]+$/.test(plain)) return plain;
  const escaped = plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `"${escaped}"`;
}
