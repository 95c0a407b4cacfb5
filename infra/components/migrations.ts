import * as pulumi from "@pulumi/pulumi";
import { currentReleaseDirectory } from "../platform/platform.ts";
import { renderMigrations } from "../render/application.ts";
import type { ApplicationParts } from "./parts.ts";

/** Runs `sql/` against the primary, before any instance of the release starts. */
export class Migrations extends pulumi.ComponentResource {
  constructor(name: string, args: ApplicationParts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Migrations", name, {}, options);
    const [host] = args.topology.tiers.storefront ?? [];
    if (!host) throw new Error("there is no storefront to run the migrations on");
    args.platform.runOnce(
      {
        name: "migrations",
        component: "Migrations",
        host,
        release: args.release,
        user: "hastack",
        script: `HASTACK_APP_CONFIG="$PWD/app.json" ${currentReleaseDirectory}/bin/node ${currentReleaseDirectory}/app/src/migrate.ts`,
        files: [
          {
            path: "app.json",
            content: renderMigrations(args.settings, args.topology),
            owner: "hastack",
            mode: "0400",
          },
        ],
        secrets: {
          database_password: args.credentials.of("migrator"),
          admin_password: args.credentials.of("administrator"),
        },
        shared: [args.uploads],
      },
      { parent: this, dependsOn: [] },
    );
    this.registerOutputs();
  }
}
