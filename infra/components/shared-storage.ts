import * as pulumi from "@pulumi/pulumi";
import type { Platform, SharedDirectory } from "../platform/platform.ts";
import { uploadsDirectory } from "../render/application.ts";

/** The directory of uploads, which every instance of the application mounts. */
export class SharedStorage extends pulumi.ComponentResource {
  readonly uploads: SharedDirectory = {
    name: "uploads",
    path: uploadsDirectory,
    owner: "hastack",
  };

  constructor(
    name: string,
    args: { platform: Platform },
    options?: pulumi.ComponentResourceOptions,
  ) {
    super("hastack:index:SharedStorage", name, {}, options);
    args.platform.sharedDirectory(this.uploads, { parent: this, dependsOn: [] });
    this.registerOutputs();
  }
}
