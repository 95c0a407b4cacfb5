import * as pulumi from "@pulumi/pulumi";
import { sharedPath } from "../application/environment.ts";
import { sharingGroup } from "../application/names.ts";
import type { Platform, SharedDirectory } from "../platform/platform.ts";

export interface SharedStorageArgs {
  readonly platform: Platform;
  /** Names of the directories that the application's instances share. */
  readonly names: readonly string[];
}

/** The directories that every instance of the application mounts. */
export class SharedStorage extends pulumi.ComponentResource {
  /** Each with its name, its path on every machine, and its group. */
  readonly directories: readonly SharedDirectory[];

  constructor(name: string, args: SharedStorageArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:SharedStorage", name, {}, options);
    this.directories = args.names.map((one) => ({
      name: one,
      path: sharedPath(one),
      group: sharingGroup,
    }));
    for (const directory of this.directories) {
      args.platform.sharedDirectory(directory, { parent: this, dependsOn: [] });
    }
    this.registerOutputs({
      paths: Object.fromEntries(this.directories.map((one) => [one.name, one.path])),
    });
  }
}
