import * as pulumi from "@pulumi/pulumi";

export interface RestoreDrillArgs {
  /** Days between two drills, 1 or more. */
  readonly everyDays: number;
  /** Name of the member that restores, and whose backups it tries. */
  readonly member: string;
}

/**
 * Tries the backups by restoring them: the newest backup and a moment of its range, into a place of its
 * own, checked and taken away again. The member has the schedule among its files.
 */
export class RestoreDrill extends pulumi.ComponentResource {
  /** Days between two drills. */
  readonly everyDays: number;

  constructor(name: string, args: RestoreDrillArgs, options?: pulumi.ComponentResourceOptions) {
    // As inputs, so that a preview shows a change of them
    super("hastack:index:RestoreDrill", name, { ...args }, options);
    this.everyDays = args.everyDays;
    this.registerOutputs({ everyDays: this.everyDays });
  }
}
