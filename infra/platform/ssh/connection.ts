/**
 * Running shell text on a machine as root, by the OpenSSH client of the operator's machine: what it
 * knows of agents, keys and jump hosts holds here too. The machine's host key is always checked.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { root } from "../../../lib/paths.ts";
import { printable } from "../../../lib/printable.mjs";
import { type RunOptions as LocalOptions, type Outcome, run } from "../../../lib/run.ts";
import type { Target } from "../../inventory.ts";
import { formatProblem, type Problem } from "../../rules/problem.ts";
import type { Connection } from "../machine.ts";
import { commandLine, quote } from "../shell.ts";

export type { Target } from "../../inventory.ts";

/** A machine that could not be talked to. */
export class ConnectionError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(formatProblem(problem));
    this.problem = problem;
  }
}

/** What can be said of a program on a machine, as of one here; but it has a limit. */
interface ProgramOptions extends Pick<LocalOptions, "input" | "hear" | "limitCharacters"> {
  readonly limitSeconds: number;
}

export interface RunOptions extends ProgramOptions {
  /** Text for the script's standard input. @default nothing */
  readonly input?: string;
  /** Whether mounts that the script makes are its own, and end with it. @default false */
  readonly ownMounts?: boolean;
}

/** ssh's own exit code when it was not the command that failed. */
const sshFailed = 255;
const connectSeconds = 10;
/** A machine that says nothing for this long is lost. */
const silenceSeconds = 15;

/**
 * Runs shell text on a machine as root. The text goes by standard input, so that it is on no command
 * line, and is read to its end before any of it runs.
 * @returns its result, also when it failed
 * @throws ConnectionError when the machine was not reached, or lost
 */
export async function runOnMachine(
  target: Target,
  script: string,
  { input = "", ownMounts = false, ...options }: RunOptions,
): Promise<Outcome> {
  const shell = commandLine([...(ownMounts ? ["unshare", "--mount"] : []), "sh", "-s"]);
  // The script's own 255 must not pass for ssh's
  const command = ["sh", "-c", `${shell} || { code=$?; [ $code != 255 ] || code=1; exit $code; }`];
  return callMachine(target, command, { ...options, input: framed(script, input) });
}

/** Programs on this machine, whose output goes to our own. */
export function onMachine(target: Target, { ownMounts = false } = {}): Connection {
  return {
    run: (program, input, limitSeconds) =>
      runOnMachine(target, program, {
        input,
        limitSeconds,
        ownMounts,
        hear: (text, from) => from === "stdout" && process.stdout.write(printable(text)),
      }),
  };
}

/** A script with its input, as one text; cut off on the way, be it in the input, it does not run. */
function framed(script: string, input: string): string {
  return `{ {\n${script}\n} <<'END_OF_INPUT'\n${input}\nEND_OF_INPUT\n}\n`;
}

export interface CallOptions extends ProgramOptions {
  /** Whether the command runs as root, or as whoever logs in. @default true */
  readonly asRoot?: boolean;
  /** Whether Ctrl-C at the terminal is not for it. @default false */
  readonly apart?: boolean;
}

/**
 * Runs a command on a machine.
 * @throws ConnectionError when the machine was not reached, or lost
 */
export async function callMachine(
  target: Target,
  command: readonly string[],
  { asRoot = true, ...options }: CallOptions,
): Promise<Outcome> {
  const outcome = await withKnownHosts(target, (knownHosts) =>
    run(["ssh", ...sshArguments(target, knownHosts, command, { asRoot })], options),
  );
  if (outcome.notStarted !== undefined) {
    const why = `ssh cannot be run (${outcome.notStarted})`;
    throw new ConnectionError({ ...about(target), why, fix: "install the OpenSSH client here" });
  }
  if (outcome.code === sshFailed)
    throw new ConnectionError(connectionProblem(target, outcome.stderr));
  return outcome;
}

/**
 * ssh's arguments for a command on a machine.
 * @param asRoot or as whoever logs in @default true
 * @param terminal whether the command gets one there @default false
 */
export function sshArguments(
  target: Target,
  knownHosts: string,
  command: readonly string[],
  { asRoot = true, terminal = false } = {},
): string[] {
  const { name, address, port, user, hostKey, identityFile } = target;
  const options = {
    BatchMode: "yes",
    ConnectTimeout: connectSeconds,
    ServerAliveInterval: Math.ceil(silenceSeconds / 3),
    ServerAliveCountMax: 3,
    StrictHostKeyChecking: "yes",
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: "/dev/null",
    HostKeyAlias: hostAlias(name),
    HostKeyAlgorithms: algorithmsOf(hostKey),
    CheckHostIP: "no",
    UpdateHostKeys: "no",
    ...notForPeople,
    LogLevel: "ERROR",
  };
  const whole = terminal ? command : [...withoutProxies, ...command];
  const words = asRoot ? asRootWords(user, whole, terminal) : command;
  return [
    terminal ? "-t" : "-T",
    ...Object.entries(options).map(([key, value]) => `-o${key}=${value}`),
    ...(identityFile === undefined ? [] : ["-oIdentitiesOnly=yes", "-i", identityPath(target)]),
    // What is not given here is ~/.ssh/config's
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(user === undefined ? [] : ["-l", user]),
    "--",
    address,
    words.map(quote).join(" "),
  ];
}

/**
 * What people have in ~/.ssh/config for their own sessions and would break a call, or let in another
 * machine than the one whose key is known. Names, ports, users, keys and jump hosts stay theirs.
 */
const notForPeople = {
  ControlMaster: "no",
  ControlPath: "none",
  RemoteCommand: "none",
  SessionType: "default",
  StdinNull: "no",
  ForkAfterAuthentication: "no",
  PermitLocalCommand: "no",
  ClearAllForwardings: "yes",
  ForwardAgent: "no",
  ForwardX11: "no",
  Tunnel: "no",
  KnownHostsCommand: "none",
  VerifyHostKeyDNS: "no",
};

/** Members speak to each other themselves: a machine's proxy (/etc/environment) is for packages. */
const withoutProxies = [
  "env",
  ...["http", "https", "all"].flatMap((name) => [
    `-u${name}_proxy`,
    `-u${name.toUpperCase()}_PROXY`,
  ]),
];

/**
 * Who logs in may be known to ssh's configuration alone: then the machine tells. sudo may keep a log
 * of what it reads (`log_input`), and what comes by standard input has secrets in it: the command
 * itself opens that, and sudo reads nothing. At a terminal it is what somebody types.
 */
function asRootWords(
  user: string | undefined,
  command: readonly string[],
  terminal: boolean,
): readonly string[] {
  if (user === "root") return command;
  const root = 'exec "$@" < "/proc/$0/fd/3"';
  // The shell stays, and has it open until the command has ended; shells tell of every signal's end but this one's
  const keeper = `exec 3<&0 < /dev/null; sudo -n sh -c ${quote(root)} "$$" "$@"; code=$?; pkill -PIPE -P "$PPID" -x cat 2> /dev/null; exit "$code"`;
  // sshd may hand over a socket, which cannot be opened again; whoever gives it may keep it open
  const become = terminal ? 'exec sudo -n "$@"' : `cat | sh -c ${quote(keeper)} sh "$@"`;
  return ["sh", "-c", `[ "$(id -u)" != 0 ] || exec "$@"; ${become}`, "sh", ...command];
}

/** Hands over a passing known_hosts file with this machine's key alone. */
export async function withKnownHosts<T>(
  { name, hostKey }: Target,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-ssh-"));
  try {
    const path = join(folder, "known_hosts");
    writeFileSync(path, `${hostAlias(name)} ${hostKey}\n`);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const hostAlias = (name: string): string => `hastack-${name}`;

/** RSA keys sign by newer hashes than the one in their name. */
function algorithmsOf(hostKey: string): string {
  const [type = ""] = hostKey.split(" ");
  return type === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
}

/** ssh itself would go on without a key that is not there, and only tell that it was not let in. */
function identityPath({ name, identityFile = "" }: Target): string {
  const file = identityFile.startsWith("~/")
    ? join(homedir(), identityFile.slice(2))
    : resolve(root, identityFile);
  if (existsSync(file)) return file;
  throw new ConnectionError({
    source: `machine ${name}`,
    path: "",
    why: `there is no key ${file}`,
    fix: "name the right one by hastack:ssh.identityFile, or leave that out",
  });
}

/** A machine as errors name it. */
export function describeTarget({ name, address, port = 22, user }: Target): string {
  const who = user === undefined ? "" : `${user}@`;
  return `machine ${name} (${who}${address}${port === 22 ? "" : `, port ${port}`})`;
}

const about = (target: Target) => ({ source: describeTarget(target), path: "" });

/** What ssh said, as machine, problem and what to do. */
export function connectionProblem(target: Target, said: string): Problem {
  const { name, port, user } = target;
  const machine = about(target);
  const door = port === undefined ? "its SSH port" : `port ${port}`;
  const lines = said.trim().split("\n");
  const last = lines.at(-1) || `no answer for ${silenceSeconds} s`;
  if (/HOST IDENTIFICATION HAS CHANGED|Host key verification|no matching host key/.test(said)) {
    return {
      ...machine,
      why: "its host key is not the configured one",
      fix:
        "find out why: after a new installation take the new key by " +
        `npm run host-keys -- --replace ${name}, otherwise it may be a man-in-the-middle`,
    };
  }
  const unusable = lines.find((line) => /^Load key|UNPROTECTED PRIVATE KEY/.test(line));
  if (unusable !== undefined) {
    const why = unusable.replaceAll("@", "").trim();
    return { ...machine, why, fix: "name a usable key by hastack:ssh.identityFile" };
  }
  if (/Permission denied|Too many authentication failures/.test(said)) {
    return {
      ...machine,
      why: `it does not let us in (${last})`,
      fix:
        `put your public key into ~${user ?? ""}/.ssh/authorized_keys there, or name the right key by ` +
        "hastack:ssh.identityFile (one with a passphrase must be in your agent)",
    };
  }
  return {
    ...machine,
    why: `it cannot be reached, or the connection was lost (${last})`,
    fix:
      `check that it runs, that its address is right, and that ${door} is open to you, ` +
      `then run up again; while it is lost, name it: hastack:absent: [${name}]`,
  };
}
