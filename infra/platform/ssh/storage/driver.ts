/** What a shared directory of machines is made with. */
import type { Role } from "../../../roles.ts";
import type { Member, Topology } from "../../../topology.ts";
import type { SharedDirectory } from "../../platform.ts";

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
  /** File of its shell functions, below the platform's folder. */
  readonly program: string;
  /** A file on a machine by which its storage is known to be the stack's own. */
  readonly mark: string;
  /** Programs that then listen there for the stack. */
  readonly listeners: RegExp;
  /** The members that keep a directory's data; the volume is made on the first one's machine. */
  members(topology: Topology): readonly Member[];
  /** On each of their machines, before there is a volume. */
  member(topology: Topology, directory: SharedDirectory, keepData: boolean): StorageStep;
  volume(topology: Topology, directory: SharedDirectory, keepData: boolean): StorageStep;
  mount(machine: string, topology: Topology, directory: SharedDirectory): StorageStep;
}
