import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../platform/platform.ts";
import { formerRolesScript, renderFormerRoles } from "../render/principals.ts";
import { isAlone, type Topology } from "../topology.ts";

export interface FormerRolesArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  /** The database roles of the application's tiers, and their other logins. */
  readonly roles: readonly string[];
  /** Roles of earlier releases that had other names. */
  readonly former: readonly string[];
}

/**
 * Ends the logins of tiers that were renamed or removed. It comes behind the instances and the load
 * balancers: as long as requests still go to instances of the old release, their login works.
 */
export class FormerRoles extends pulumi.ComponentResource {
  constructor(name: string, args: FormerRolesArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:FormerRoles", name, {}, options);
    // Either member may be the primary
    let last: pulumi.Resource[] = [];
    for (const member of args.topology.members.database) {
      last = [
        args.platform.runOnce(
          {
            name: `${member.name}-former-roles`,
            component: "FormerRoles",
            host: member,
            user: "postgres",
            script: formerRolesScript(isAlone(args.topology.members.database)),
            files: [
              { path: "former-roles.sql", content: renderFormerRoles(args.roles, args.former) },
            ],
            secrets: {},
          },
          { parent: this, dependsOn: last },
        ),
      ];
    }
    this.registerOutputs();
  }
}
