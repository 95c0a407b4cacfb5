import * as pulumi from "@pulumi/pulumi";
import type { Application } from "../application/application.ts";
import {
  applicationPackages,
  applicationUser,
  givenFiles,
  migrationVariables,
} from "../application/environment.ts";
import { migrationScript } from "../application/migrate.ts";
import type { Platform, Release, SharedDirectory } from "../platform/platform.ts";
import type { Topology } from "../topology.ts";
import type { AppServersArgs } from "./app-servers.ts";
import { type ApplicationSecrets, ownSecrets } from "./application-secrets.ts";

export interface MigrationsArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly application: Application;
  /** What the application is told of the stack. */
  readonly settings: AppServersArgs["settings"];
  readonly secrets: ApplicationSecrets;
  /** Password of the role that owns the database. */
  readonly migratorPassword: pulumi.Output<string>;
  /** The release whose migrations these are. */
  readonly release: Release;
  /** The directories that the application's instances share. */
  readonly shared: readonly SharedDirectory[];
}

/** The application's own migrations, run at the primary before any instance of the release starts. */
export class Migrations extends pulumi.ComponentResource {
  constructor(name: string, args: MigrationsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Migrations", name, {}, options);
    if (args.application.migrations) this.#run(args, args.application.migrations.command);
    this.registerOutputs();
  }

  #run(args: MigrationsArgs, command: readonly string[]): void {
    const { platform, topology, application, settings, release, shared } = args;
    const [host] = topology.tiers[application.tiers[0]?.name ?? ""] ?? [];
    if (!host) throw new Error("there is no instance to run the migrations beside");
    const given = { application, settings, topology, release: release.hash };
    platform.runOnce(
      {
        name: "migrations",
        component: "Migrations",
        host,
        packages: applicationPackages(application),
        release,
        user: applicationUser,
        script: migrationScript(topology, command),
        files: givenFiles(application, migrationVariables(given)),
        secrets: {
          database_password: args.migratorPassword,
          ...ownSecrets(application, args.secrets),
        },
        shared,
      },
      { parent: this, dependsOn: [] },
    );
  }
}
