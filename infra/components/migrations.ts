import * as pulumi from "@pulumi/pulumi";
import { applicationPackages, givenFiles, migrationVariables } from "../application/environment.ts";
import { migrationScript } from "../application/migrate.ts";
import { migrationsUser } from "../application/names.ts";
import { present } from "../topology.ts";
import type { AppServersArgs } from "./app-servers.ts";
import { ownSecrets } from "./application-secrets.ts";

/** What the application's instances are made of, too. */
export interface MigrationsArgs extends AppServersArgs {
  /** Password of the role that owns the database. */
  readonly migratorPassword: pulumi.Output<string>;
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
    const [host] = present(topology.tiers[application.tiers[0]?.name ?? ""] ?? []);
    if (!host) throw new Error("there is no instance to run the migrations beside");
    const given = { application, settings, topology, release: release.hash };
    const authorities = args.certificates.of(host.name, {
      authorities: ["database", "patroni-api"],
    });
    platform.runOnce(
      {
        name: "migrations",
        component: "Migrations",
        host,
        packages: applicationPackages(application),
        release,
        user: migrationsUser,
        script: migrationScript(topology, command),
        files: [...authorities.files, ...givenFiles(application, migrationVariables(given))],
        secrets: {
          ...authorities.secrets,
          database_password: args.migratorPassword,
          ...ownSecrets(application, args.secrets),
        },
        shared,
      },
      { parent: this, dependsOn: [] },
    );
  }
}
