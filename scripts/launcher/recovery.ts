import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root } from "../../lib/paths.ts";
import { type Process, processes, withDescendants } from "../../lib/processes.ts";
import { lastWords, mustRun, run } from "../../lib/run.ts";
import { cliFolder, fileBackend } from "./environment.ts";
import { projectName, stateFile, stateText } from "./stack.ts";

// An `up` that was killed leaves five things: its lock, plugins that go on without it, things that
// they made and that are not in the state, things that may be half done, and a list of pending
// operations in the state. The next command clears them, so that it simply works.

/** A lock of Pulumi's file backend, as its file says. */
export interface Lock {
  readonly pid?: number;
  readonly hostname?: string;
  readonly username?: string;
  readonly timestamp?: string;
}

/** An operation that Pulumi had begun and whose end it did not see. */
export interface Pending {
  readonly type: string;
  readonly resource: {
    readonly urn: string;
    readonly type: string;
    readonly id?: string;
    readonly inputs?: Readonly<Record<string, unknown>>;
  };
}

/** Something that Docker has and no state mentions. */
export interface Leftover {
  readonly kind: "container" | "network";
  readonly name: string;
}

const say = (text: string) => process.stderr.write(`hastack: ${text}\n`);

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * True when the lock's owner is gone for certain: on this machine, and its process has ended, or
 * another program has its number.
 */
export function isStale(
  lock: Lock,
  all: readonly Process[],
  here = hostname(),
  lives: (pid: number) => boolean = exists,
): boolean {
  if (lock.pid === undefined) return true; // no whole record: killed while writing it
  if (lock.hostname !== here) return false;
  if (!lives(lock.pid)) return true;
  const owner = all.find(({ pid }) => pid === lock.pid);
  return owner !== undefined && !owner.command.includes("pulumi");
}

/**
 * The plugins and language hosts of a PULUMI_HOME whose CLI is gone.
 * @param home the folder under which those programs lie; none lie under an empty one or `/`
 */
export function orphans(all: readonly Process[], home: string): number[] {
  const folder = home.replace(/\/+$/, "");
  if (folder === "") return [];
  const clis = all.filter(({ program }) => basename(program) === "pulumi").map(({ pid }) => pid);
  const attended = new Set(withDescendants(all, clis));
  // whatever else lies there (a PULUMI_HOME may be anybody's home folder) is not Pulumi's
  const isPart = ({ program }: Process) =>
    program.startsWith(`${folder}/`) && basename(program).startsWith("pulumi-");
  return all.filter((one) => isPart(one) && !attended.has(one.pid)).map(({ pid }) => pid);
}

/**
 * What an interrupted creation may have made all the same, and the next one would stumble over.
 * Volumes are never among them: they hold data, and creating one again takes it over.
 */
export function leftovers(pending: readonly Pending[]): Leftover[] {
  const kinds: Readonly<Record<string, Leftover["kind"]>> = {
    "docker:index/container:Container": "container",
    "docker:index/network:Network": "network",
  };
  return pending.flatMap(({ type, resource }) => {
    const kind = kinds[resource.type];
    const name = resource.inputs?.name;
    return type === "creating" && kind !== undefined && typeof name === "string"
      ? [{ kind, name }]
      : [];
  });
}

/** What of a state must be looked at again, by URN. */
export interface Doubts {
  /** May be gone or changed: Docker is asked, and the state says what it answers. */
  readonly refresh: readonly string[];
  /** Containers that were being stopped and still seem to run: made anew, their data is in volumes. */
  readonly taint: readonly string[];
  /**
   * Commands that may have run in part: they run once more. They are not made anew, as what takes a member
   * away from a machine would run before, and take its data along.
   */
  readonly again: readonly string[];
}

/**
 * What an interrupted change or removal left in doubt.
 * @param known the URNs that the state holds; others cannot be looked at
 */
export function doubts(pending: readonly Pending[], known: readonly string[]): Doubts {
  const urnsOf = (isMeant: (one: Pending) => boolean) => [
    ...new Set(pending.filter(isMeant).map(({ resource }) => resource.urn)),
  ];
  const inState = ({ resource }: Pending) => known.includes(resource.urn);
  const isDocker = ({ resource }: Pending) => resource.type.startsWith("docker:index/");
  const isStopping = ({ type, resource }: Pending) =>
    type === "deleting" && resource.type === "docker:index/container:Container";
  const isHalfRun = ({ type, resource }: Pending) =>
    type === "updating" && /^command:(local|remote):Command$/.test(resource.type);
  return {
    refresh: urnsOf(
      (one) => ["deleting", "updating"].includes(one.type) && isDocker(one) && inState(one),
    ),
    taint: urnsOf((one) => isStopping(one) && inState(one)),
    again: urnsOf((one) => isHalfRun(one) && inState(one)),
  };
}

/** Variable of a command's environment in the state; no command of the program has it. */
export const interruptedVariable = "INTERRUPTED";

/**
 * An exported state in which these commands differ from the program, so that the next `up` runs them.
 * @param again their URNs
 */
export function withInterrupted(text: string, again: readonly string[], now = new Date()): string {
  const state = JSON.parse(text) as {
    deployment: { resources?: { urn: string; inputs?: { environment?: object } }[] };
  };
  for (const { urn, inputs } of state.deployment.resources ?? [])
    if (inputs && again.includes(urn))
      inputs.environment = { ...inputs.environment, [interruptedVariable]: now.toISOString() };
  return JSON.stringify(state);
}

/** The lock files of a stack whose owners are certainly gone, and whether others remain. */
function sortLocks(folder: string, all: readonly Process[]) {
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith(".json"))
    : [];
  const stale = files.filter((name) => isStale(readLock(join(folder, name)), all));
  return { stale, held: files.length > stale.length };
}

function readLock(path: string): Lock {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Lock;
  } catch {
    return {};
  }
}

function removeLock(folder: string, name: string): void {
  const { pid, timestamp } = readLock(join(folder, name));
  say(`removing the lock of an interrupted run (process ${pid ?? "unknown"}, ${timestamp ?? ""})`);
  rmSync(join(folder, name), { force: true });
  rmSync(join(folder, `${name}.attrs`), { force: true });
}

function readState(file: string): { pending: Pending[]; known: string[] } {
  const state = JSON.parse(stateText(file)) as {
    checkpoint?: { latest?: { pending_operations?: Pending[]; resources?: { urn: string }[] } };
  };
  const { pending_operations = [], resources = [] } = state.checkpoint?.latest ?? {};
  return { pending: pending_operations, known: resources.map(({ urn }) => urn) };
}

/** Ends what works on without its CLI; its own children first lose their parent, so take all. */
function endOrphans(all: readonly Process[], home: string): void {
  for (const pid of withDescendants(all, orphans(all, home))) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended by itself
    }
  }
}

/** Removes a leftover, if it is there and carries this stack's label. */
async function removeLeftover({ kind, name }: Leftover, stack: string): Promise<void> {
  const labels = kind === "container" ? ".Config.Labels" : ".Labels";
  const format = `{{index ${labels} "hastack.stack"}}`;
  const owner = await run(["docker", kind, "inspect", "--format", format, name]);
  if (owner.code !== 0 || owner.stdout.trim() !== stack) return;
  say(`removing ${kind} ${name}, which an interrupted run had begun`);
  await mustRun(["docker", kind, "rm", ...(kind === "container" ? ["--force"] : []), name]);
}

/** Runs the CLI about a stack; what it says is shown only when it fails. */
async function mend(args: readonly string[], stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  const command = [join(cliFolder(), "pulumi"), ...args, "--stack", stack, "--non-interactive"];
  const outcome = await run(command, { env, cwd: root });
  if (outcome.code === 0) return;
  throw new Error(`the state of an interrupted run cannot be repaired:\n${lastWords(outcome)}`);
}

/** Pulumi's own way to drop the notes of interrupted operations: importing what it exported. */
async function clearPending(
  stack: string,
  again: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hastack-state-"));
  try {
    const file = join(folder, "state.json");
    await mend(["stack", "export", "--file", file], stack, env);
    writeFileSync(file, withInterrupted(readFileSync(file, "utf8"), again));
    await mend(["stack", "import", "--file", file], stack, env);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Brings a state with interrupted operations and what there really is together again. */
async function settlePending(file: string, stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { pending, known } = readState(file);
  if (pending.length === 0) return;
  // A refresh that fails drops the notes, and with them what is left to do: ask before
  if (pending.some(({ resource }) => resource.type.startsWith("docker:"))) {
    await mustRun(["docker", "version", "--format", "{{.Server.Version}}"]);
  }
  for (const leftover of leftovers(pending)) await removeLeftover(leftover, stack);
  const { refresh, taint, again } = doubts(pending, known);
  if (taint.length > 0) await mend(["state", "taint", "--yes", ...taint], stack, env);
  if (refresh.length > 0) {
    const targets = refresh.flatMap((urn) => ["--target", urn]);
    await mend(["refresh", "--yes", "--skip-preview", ...targets], stack, env);
  }
  await clearPending(stack, again, env);
  const names = pending.map(({ type, resource }) => `${type} ${resource.urn.split("::").at(-1)}`);
  say(`cleaned up after an interrupted run (${names.join(", ")})`);
}

/** The lock of a command that works on a stack now, in a `file://` backend. */
export async function heldBy(stack: string, env: NodeJS.ProcessEnv): Promise<Lock | undefined> {
  const backend = fileBackend(env);
  if (backend === undefined) return undefined;
  const folder = lockFolder(backend, stack);
  if (!existsSync(folder)) return undefined;
  const all = await processes();
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => readLock(join(folder, name)))
    .find((lock) => !isStale(lock, all));
}

const lockFolder = (backend: string, stack: string): string =>
  join(backend, ".pulumi/locks/organization", projectName(), stack);

/**
 * Clears what a killed command left behind, in a `file://` backend; elsewhere, and while another
 * command works on the stack, it does nothing.
 */
export async function recover(stack: string, env: NodeJS.ProcessEnv): Promise<void> {
  const backend = fileBackend(env);
  const file = backend === undefined ? undefined : stateFile(backend, stack);
  if (backend === undefined || file === undefined) return;
  const folder = lockFolder(backend, stack);
  const all = await processes();
  const { stale, held } = sortLocks(folder, all);
  if (held) return;
  if (stale.length > 0) endOrphans(all, env.PULUMI_HOME ?? "");
  for (const name of stale) removeLock(folder, name);
  await settlePending(file, stack, env);
}
