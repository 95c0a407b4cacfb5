/** What a shared directory of machines is made with. */
import type { Role } from "../../../roles.ts";
import type { Member, Topology } from "../../../topology.ts";
import type { Flow, SharedDirectory } from "../../platform.ts";
import type { Listener } from "../facts.ts";

/** A call of one of the driver's shell functions. */
export interface StorageCall {
  readonly call: string;
  readonly request: object;
}

/** How something is made and taken away again. */
export interface StorageStep {
  readonly apply: StorageCall;
  readonly remove: StorageCall;
}

export interface StorageDriver {
  readonly name: string;
  /** Roles that it needs; their members keep the data. */
  readonly roles: readonly Role[];
  /** Debian packages of those members, and of machines that mount the directory. */
  readonly packages: { readonly members: readonly string[]; readonly clients: readonly string[] };
  /** A file on a machine by which its storage is known to be the stack's own. */
  readonly mark: string;
  /**
   * Whether a program that listens on a port of the roles may go on.
   * @param ownStorage whether that machine has the mark
   */
  tolerates(listener: Listener, ownStorage: boolean): boolean;
  /** Where a directory is mounted from, as the unit that mounts it says. */
  source(directory: string): string;
  /** Who connects to whom for shared directories. */
  flows(topology: Topology): readonly Flow[];
  /** The members that keep a directory's data; the volume is made on the first one's machine. */
  members(topology: Topology): readonly Member[];
  /** On each of their machines, before there is a volume. */
  member(topology: Topology, directory: SharedDirectory, keepData: boolean): StorageStep;
  /**
   * What is made of all members together.
   * @param reservePercent how much of each member's file system stays free
   * @default nothing: each is enough by itself
   */
  volume?(
    topology: Topology,
    directory: SharedDirectory,
    keepData: boolean,
    reservePercent: number,
  ): StorageStep;
  mount(machine: string, topology: Topology, directory: SharedDirectory): StorageStep;
}
