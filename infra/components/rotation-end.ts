import * as pulumi from "@pulumi/pulumi";
import { endedFile, type Generations, generationsFile, renderGenerations } from "../generations.ts";
import type { Platform } from "../platform/platform.ts";
import type { Topology } from "../topology.ts";

export interface RotationEndArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  /** Those of all that the stack has made, by name. */
  readonly generations: Readonly<Record<string, Generations>>;
}

/**
 * Notes on the member that has been told of a rotation's step first that the step has come to its end: it
 * comes behind all who have a password. Until then that member refuses the next one.
 */
export class RotationEnd extends pulumi.ComponentResource {
  constructor(name: string, args: RotationEndArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:RotationEnd", name, {}, options);
    const { platform, topology, generations } = args;
    const [first] = topology.members.quorum;
    if (first) {
      platform.runOnce(
        {
          name: "rotation-end",
          component: "RotationEnd",
          host: first,
          onWorkload: "required",
          script: `cp ${generationsFile} "$WORKLOAD/${endedFile}.new"
mv "$WORKLOAD/${endedFile}.new" "$WORKLOAD/${endedFile}"`,
          files: [{ path: generationsFile, content: renderGenerations(generations) }],
          secrets: {},
        },
        { parent: this, dependsOn: [] },
      );
    }
    this.registerOutputs();
  }
}
