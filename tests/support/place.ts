/**
 * Where the members of a test's stack run, and how a test gets at them there. What differs between
 * containers and machines is behind this, and nowhere else; members have the same names in both.
 */

export type Configuration = Record<string, unknown>;

/** Which application a test's stack serves. */
export interface Served {
  /** Its folder in the checkout. */
  readonly path: string;
  readonly tiers: readonly string[];
}

/** What is shipped. */
export const travelAgency: Served = { path: "app", tiers: ["storefront", "admin"] };

/** The stack's setting of another application than the one that is shipped. */
export function settingsOf({ path }: Served): Configuration {
  return path === travelAgency.path ? {} : { "hastack:application": { path } };
}

/** Names of all instances, two of each tier, in the order of their names. */
export function instancesOf({ tiers }: Served): string[] {
  return tiers.flatMap((tier) => [`${tier}-1`, `${tier}-2`]).sort();
}

export interface Place {
  /** File of the checkout that the test's stack takes its configuration from. */
  readonly base: string;
  /** Settings in which it differs. */
  readonly settings: Configuration;
  /** Settings that only the present release knows, where the stack is first of an earlier one. */
  readonly laterSettings: Configuration;
  /** The frontend's virtual address. */
  readonly vip: string;
  /** Host and port of the site at each load balancer. */
  readonly localHosts: readonly string[];
  /** Host and port of the statistics page at each load balancer. */
  readonly statsHosts: readonly string[];
  /** Instances that serve when a release did not get healthy. */
  readonly servingAfterBadRelease: readonly string[];
  /** Whether `up` refuses what there is not the memory for before it changes anything. */
  readonly checksMemory: boolean;
  /** How many releases there are at most. */
  readonly keptReleases: number;
  /** As whom this machine comes to the load balancers. */
  readonly ownAddress: string;

  /** Makes what must be there before the first `up`. */
  prepare(): Promise<void>;
  /** Removes everything of the stack, kept data too. @param destroy destroys it, if it is there */
  wipe(destroy: () => Promise<void>): Promise<void>;
  /** Everything of the stack that is still there, each with its kind and where it is. */
  leftovers(): Promise<string[]>;

  /** The container that is the member, or that stands in for its machine. */
  container(member: string): string;
  /** The members that are lost with this one, itself among them. */
  sharing(member: string): readonly string[];
  /** The member's address in the backend network. */
  address(member: string): string;
  /** Folder of the member's files. */
  files(member: string): string;
  /** Folder of the release that an instance runs. */
  release(member: string): string;
  /** Hashes of the releases that are there. */
  releases(): Promise<string[]>;
  /** Hash of the release that an instance is to run: what it finds when it is started anew. */
  releaseOf(instance: string): Promise<string>;
  /** Shell command that tells the process id of one of a member's processes. */
  processId(process: string): string;
  /** How many megabytes a member's first process may use. @returns nothing where there is no limit */
  memoryLimit(member: string): Promise<number | undefined>;
  /** Something else whenever the member was replaced. @returns nothing while there is none */
  identity(member: string): Promise<string>;
  /** Something else whenever the member or one of its processes was started anew. */
  started(member: string): Promise<string>;
  /** What the member's processes wrote. @param lines how many of the last ones; `Infinity` is all */
  log(member: string, lines: number): Promise<string>;
  /** Takes the member and what shares its machine away, as suddenly as can be. */
  lose(member: string): Promise<void>;
  /** Stops the member's processes in their tracks, and lets them go on. */
  hang(member: string): Promise<void>;
  goOn(member: string): Promise<void>;
  /** All that others than root can see of the running stack. */
  plainSight(): Promise<string[]>;
}
