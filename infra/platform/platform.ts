/**
 * The seam between what the stack is and where it runs: five verbs. Components speak only these;
 * each platform carries them out in its own way.
 */
import type * as pulumi from "@pulumi/pulumi";
import type { Flow } from "../flows.ts";
import type { Member } from "../topology.ts";

export type { Flow, Network } from "../flows.ts";

/** Where an instance finds the release that it runs, on every machine. */
export const currentReleaseDirectory = "/opt/hastack/current";

export type ReloadSignal = "SIGHUP" | "SIGUSR2";
export type StopSignal = "SIGTERM" | "SIGUSR1";

/** Who a machine is, to the platform. */
export interface Host extends Member {
  /** Address in the frontend network, for members that are in it. */
  readonly frontend?: string;
}

/**
 * Has a resource of a member take over the one of the name that the member had before. It is then
 * replaced in its turn, and not made beside the old one.
 */
export function takesOver(
  { formerName }: Pick<Host, "formerName">,
  suffix = "",
): { aliases?: pulumi.Alias[] } {
  return formerName === undefined ? {} : { aliases: [{ name: formerName + suffix }] };
}

/** A text file on a machine, delivered together with the others of its workload. */
export interface ManagedFile {
  /** Path below the workload's own folder; where that is, only the platform knows. */
  readonly path: string;
  /**
   * The text; `@{name}` stands for the secret of that name, `@{folder}` for the absolute path of the
   * workload's own folder.
   */
  readonly content: string;
  /** @default root */
  readonly owner?: string;
  /** Octal file mode. @default 0644 */
  readonly mode?: string;
  /**
   * Command that refuses a bad file, run in the folder of the new files before any is moved into
   * place. @default the file is not checked
   */
  readonly check?: string;
  /** Process that reads its files again when this one changes. @default none */
  readonly reloads?: string;
  /** Process that is started anew when this one changes, or several. @default none */
  readonly restarts?: string | readonly string[];
  /**
   * Processes of one user that get it as a credential: a file that they alone can read, by the name of
   * this one, in a folder that `@{credentials}` stands for in their environment files. They are started
   * anew when it changes. Its path is below `credentialsFolder`. @default it is none
   */
  readonly credentialOf?: readonly string[];
}

/** Where a workload's credentials lie in its own folder. */
export const credentialsFolder = "secrets";

/**
 * One program of a workload, run in the folder of the workload's files. Processes stop in the
 * reverse of the order given.
 */
export interface Process {
  readonly name: string;
  readonly command: readonly string[];
  /** @default root */
  readonly user?: string;
  /** Where it runs. @default the folder of the workload's files */
  readonly workingDirectory?: string;
  /** Plain settings only; secrets belong into a file. @default none */
  readonly environment?: Readonly<Record<string, string>>;
  /**
   * Managed file with more variables, one line `NAME="value"` each; in a value a backslash stands
   * before `"`, `\`, `$` and a backquote. It is read by root, so its mode may be 0400. @default none
   */
  readonly environmentFile?: string;
  /** Memory that it may use. @default as much as there is */
  readonly memoryMegabytes?: number;
  /** Files and connections that it may have open. @default 65536 on machines, as many as Docker gives in containers */
  readonly openFiles?: number;
  /** What others get of files that it makes, as octal umask. @default nothing on machines, 0022 in containers */
  readonly umask?: string;
  /** Directories that the process owns, made before it starts. @default none */
  readonly directories?: readonly { readonly path: string; readonly mode: string }[];
  /** Makes the program read its files again. @default it is restarted */
  readonly reloadSignal?: ReloadSignal;
  /** @default SIGTERM */
  readonly stopSignal?: StopSignal;
  /** After this the process is killed; 0 where it ends at once by itself, and never is. */
  readonly stopGraceSeconds: number;
  /**
   * Run whenever the process has ended, however it did, and before it is started again. It gets 5 s.
   * @default nothing is
   */
  readonly afterwards?: readonly string[];
  /** Whether a new release of the workload leaves it running; it sees no release. @default false */
  readonly outlivesRelease?: boolean;
  /**
   * Whether it does without the shared directories of its workload, and runs also where they are not
   * mounted. @default false
   */
  readonly sharesNothing?: boolean;
  /** Process that is restarted only while this one is down. @default none */
  readonly pausesFor?: string;
  /** Whether its children live on when it dies, for its next start to take over. @default false */
  readonly childrenOutlive?: boolean;
}

/** A directory that outlives the workload. */
export interface DataDirectory {
  readonly name: string;
  readonly path: string;
  /**
   * What of it is the stack's alone, together with what lies beside it under the same name, a dot
   * and more; on a machine others may have theirs beside.
   */
  readonly own: string;
  /** Whether it holds what `keepData` keeps. */
  readonly keep: boolean;
}

/** The health of a workload, as a command that succeeds, run in the folder of its files. */
export interface Health {
  readonly command: string;
  /** What it means to be healthy, for the error. */
  readonly meaning: string;
}

/** An application release, known by the hash of its sources. */
export interface Release {
  readonly hash: string;
  /** The application's folder, as the setting gives it. */
  readonly application: string;
  /** Unix users that its programs run as; each is in the group `hastack` besides its own. */
  readonly users: readonly string[];
}

/** A port of the workload that the operator's own machine offers on 127.0.0.1, where it can. */
export interface PublishedPort {
  readonly local: number;
  readonly target: number;
}

/** A long-running thing on a machine. */
export interface Workload {
  readonly host: Host;
  /** The component's name, for labels. */
  readonly component: string;
  readonly packages: readonly string[];
  /** @default no application release is installed */
  readonly release?: Release;
  readonly processes: readonly Process[];
  readonly files: readonly ManagedFile[];
  /** Values for the placeholders in files. */
  readonly secrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** @default none */
  readonly data?: readonly DataDirectory[];
  /** @default none */
  readonly shared?: readonly SharedDirectory[];
  /** @default healthy are processes that have run for some seconds without dying */
  readonly health?: Health;
  /** @default none */
  readonly published?: readonly PublishedPort[];
  /** Linux capabilities beyond the usual ones, without `CAP_`. @default none */
  readonly capabilities?: readonly string[];
  /** Kernel settings of the machine's network. @default none */
  readonly sysctls?: Readonly<Record<string, string>>;
}

/** Something that runs to its end on a machine, again whenever anything of it changes. */
export interface Task {
  readonly name: string;
  readonly component: string;
  /** The machine it runs on. */
  readonly host: Host;
  /** A release that the task brings along. @default what the machine's workload has */
  readonly release?: Release;
  /** Debian packages that the release needs. @default none */
  readonly packages?: readonly string[];
  /** @default root */
  readonly user?: string;
  /**
   * Whether it works on the files of the machine's workload, in the folder `$WORKLOAD`. Where that is not
   * there one that is `required` fails, and `optional` skips the task, which then counts as done: for one
   * that comes before the workload. @default it does not
   */
  readonly onWorkload?: "required" | "optional";
  /** Shell text, run in the folder of the task's files. It must be safe to run again. */
  readonly script: string;
  readonly files: readonly ManagedFile[];
  readonly secrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** @default none */
  readonly shared?: readonly SharedDirectory[];
}

/** A directory that several machines mount. */
export interface SharedDirectory {
  readonly name: string;
  readonly path: string;
  /** Group whose users may all change what is in it, whoever made it. A user of its name owns it. */
  readonly group: string;
}

/** What a component puts around its resources; the same options as everywhere in Pulumi. */
export interface PlacementOptions {
  readonly parent: pulumi.Resource;
  readonly dependsOn: readonly pulumi.Resource[];
}

/** The five verbs. */
export interface Platform {
  /** Places a workload. @returns the gate that passes once it is healthy */
  place(workload: Workload, options: PlacementOptions): pulumi.Resource;
  /** Runs a task. @returns the resource that is there once it has ended well */
  runOnce(task: Task, options: PlacementOptions): pulumi.Resource;
  /** @returns the resource that is there once machines can mount the directory */
  sharedDirectory(directory: SharedDirectory, options: PlacementOptions): pulumi.Resource;
  /**
   * Comes before all that is placed. What the release before was allowed is not refused yet.
   * @returns the resources that are there once these flows are allowed
   */
  allow(flows: readonly Flow[], options: PlacementOptions): readonly pulumi.Resource[];
  /**
   * Comes behind all that is placed.
   * @returns the resources that are there once only these flows are allowed
   */
  allowOnly(flows: readonly Flow[], options: PlacementOptions): readonly pulumi.Resource[];
}
