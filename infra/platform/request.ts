/** Requests to the programs on a machine: typed values, and the text that carries them there. */
import type { ManagedFile, Process, Release, Task, Workload } from "./platform.ts";

/** Things by their names, so that a preview shows which one of them changes. */
type Named<T> = Readonly<Record<string, T>>;

export interface FileRequest {
  readonly owner: string;
  readonly mode: string;
  readonly content: string;
  readonly check?: string;
  /** What follows a change: `reload:PROCESS` or `restart:PROCESS`, several with spaces between. */
  readonly notice?: string;
}

/** Files for a folder, by their paths in it. */
export interface Delivery {
  readonly root: string;
  readonly files: Named<FileRequest>;
}

export interface GateRequest {
  readonly root: string;
  readonly member: string;
  readonly health: {
    readonly command: string;
    readonly meaning: string;
    readonly timeoutSeconds: number;
  };
}

export interface PlaceRequest extends Delivery, GateRequest {
  readonly processes: readonly Pick<
    Process,
    "name" | "reloadSignal" | "outlivesRelease" | "pausesFor"
  >[];
  /** Path of the release, from the folder of the links. */
  readonly release?: string;
  /** Unix users that are made, and taken away with the workload. */
  readonly users?: readonly string[];
  readonly sysctls?: Named<string>;
}

export interface TaskRequest extends Delivery {
  readonly name: string;
  readonly user?: string;
  /** Folder of the workload that it works on. */
  readonly workload?: string;
  /** Whether there is nothing to do where that is not there. */
  readonly workloadIsOptional?: true;
  readonly script: string;
  /** With the unit that must have mounted it, if one does. */
  readonly shared: readonly { readonly path: string; group: string; unit?: string }[];
  readonly release?: string;
  /** Unix users that are made. */
  readonly users?: readonly string[];
}

export interface RemovalRequest {
  readonly root: string;
  readonly member: string;
  /** In the order in which they are stopped. */
  readonly processes: readonly Pick<Process, "name" | "stopGraceSeconds" | "childrenOutlive">[];
  /** Paths, each with what of it is the stack's. */
  readonly data: readonly { readonly path: string; readonly own: string }[];
  readonly directories: readonly string[];
  readonly users?: readonly string[];
}

/** The files as they are asked for, in the order given. */
export function filesRequest(files: readonly ManagedFile[]): Named<FileRequest> {
  return Object.fromEntries(
    files.map((file) => {
      const { path, owner = "root", mode = "0644", content, check, reloads, restarts } = file;
      const { credentialOf = restarts === undefined ? [] : [restarts].flat() } = file;
      const notices = credentialOf.map((process) => `restart:${process}`);
      if (notices.length === 0 && reloads) notices.push(`reload:${reloads}`);
      const notice = notices.join(" ");
      const request: FileRequest = {
        owner,
        mode,
        ...(check !== undefined && { check }),
        ...(notice && { notice }),
        content,
      };
      return [path, request];
    }),
  );
}

/** The users among these that are a release's own: a machine has them for it alone. */
export function ownUsers(
  release: Release | undefined,
  users: readonly (string | undefined)[],
): { users?: readonly string[] } {
  const own = release?.users.filter((user) => users.includes(user)) ?? [];
  return own.length > 0 ? { users: own } : {};
}

export function processesRequest(processes: Workload["processes"]): PlaceRequest["processes"] {
  return processes.map(({ name, reloadSignal, outlivesRelease, pausesFor }) => ({
    name,
    ...(reloadSignal && { reloadSignal }),
    ...(outlivesRelease && { outlivesRelease }),
    ...(pausesFor && { pausesFor }),
  }));
}

/**
 * @param workload folder of the machine's workload
 * @param unitOf the unit that mounts a shared directory @default none does
 */
export function taskRequest(
  task: Task,
  workload: string,
  unitOf?: (directory: string) => string,
): TaskRequest {
  const { name, user, script, files, shared = [], onWorkload } = task;
  return {
    root: `/run/hastack/${name}`,
    name,
    ...(user !== undefined && { user }),
    ...(onWorkload && { workload }),
    ...(onWorkload === "optional" && { workloadIsOptional: true }),
    shared: shared.map(({ name, path, group }) => ({
      path,
      group,
      ...(unitOf && { unit: unitOf(name) }),
    })),
    files: filesRequest(files),
    script,
  };
}

/** The text that carries secrets: one line `NAME HEX` each. */
export function secretsInput(secrets: Readonly<Record<string, string>>): string {
  return Object.entries(secrets)
    .map(([name, value]) => `${name} ${hex(value)}\n`)
    .join("");
}

/**
 * The text that carries a request: a line `PATH HEX` for each value, and `end`. `programs/request`
 * reads it.
 * @param secrets as `secretsInput` writes them
 */
export function encode(request: object, secrets = ""): string {
  const secretLines = secrets.split("\n").filter(Boolean);
  return [...lines(request, ""), ...secretLines.map((line) => `secrets/${line}`), "end", ""].join(
    "\n",
  );
}

function lines(value: unknown, path: string): string[] {
  if (value === undefined || value === false) return [];
  if (typeof value !== "object" || value === null) return [`${path} ${hex(String(value))}`];
  return (Array.isArray(value) ? listed(value) : Object.entries(value)).flatMap(([key, inner]) =>
    lines(byName.has(key) ? withNames(inner) : inner, path === "" ? key : `${path}/${key}`),
  );
}

/** Files are read in the order of their names. */
function listed(values: readonly unknown[]): [string, unknown][] {
  return values.map((value, index) => [String(index).padStart(4, "0"), value]);
}

/** A name may hold anything, so it becomes a value. */
const byName = new Set(["files", "programs", "sysctls"]);

function withNames(values: Named<unknown>): object[] {
  return Object.entries(values).map(([name, value]) => ({
    name,
    ...(typeof value === "object" ? value : { value }),
  }));
}

function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}
