import * as pulumi from "@pulumi/pulumi";
import {
  type Platform,
  type Release,
  releaseDirectory,
  type SharedDirectory,
} from "../platform/platform.ts";
import { renderMigrations } from "../render/application.ts";
import type { Settings } from "../settings.ts";
import type { Topology } from "../topology.ts";
import type { Credentials } from "./credentials.ts";

export interface MigrationsArgs {
  readonly settings: Settings;
  readonly topology: Topology;
  readonly platform: Platform;
  readonly credentials: Credentials;
  readonly release: Release;
  /** Where sample pictures go. */
  readonly uploads: SharedDirectory;
}

/** Runs `sql/` against the primary, before any instance of the release starts. */
export class Migrations extends pulumi.ComponentResource {
  constructor(name: string, args: MigrationsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Migrations", name, {}, options);
    const [host] = args.topology.storefront;
    if (!host) throw new Error("there is no storefront to run the migrations on");
    args.platform.runOnce(
      {
        name: "migrations",
        component: "Migrations",
        host,
        release: args.release,
        user: "hastack",
        script: `HASTACK_APP_CONFIG="$PWD/app.json" ${releaseDirectory}/bin/node ${releaseDirectory}/app/src/migrate.ts`,
        files: [
          {
            path: "app.json",
            content: renderMigrations(args.settings, args.topology),
            owner: "hastack",
            mode: "0400",
          },
        ],
        secrets: { database_password: args.credentials.of("migrator") },
        shared: [args.uploads],
      },
      { parent: this, dependsOn: [] },
    );
    this.registerOutputs();
  }
}
