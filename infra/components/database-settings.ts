import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../platform/platform.ts";
import { dynamicConfiguration, settingsScript } from "../render/patroni.ts";
import type { Settings } from "../settings.ts";
import { present, type Topology } from "../topology.ts";

export interface DatabaseSettingsArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  /** Patroni's times and PostgreSQL's parameters. */
  readonly database: Settings["database"];
  /** How long its log may take into backups, where there are some. */
  readonly backup: Settings["backup"];
  /** Password of Patroni's REST API. */
  readonly apiPassword: pulumi.Output<string>;
}

/**
 * The part of Patroni's configuration that lives in etcd, applied whenever it changes: Patroni
 * reads `bootstrap.dcs` of its file only once, when the cluster is made.
 */
export class DatabaseSettings extends pulumi.ComponentResource {
  constructor(name: string, args: DatabaseSettingsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:DatabaseSettings", name, {}, options);
    const [host] = present(args.topology.members.database);
    if (!host) throw new Error("there is no database member");
    args.platform.runOnce(
      {
        name: "database-settings",
        component: "DatabaseSettings",
        host,
        onWorkload: "required",
        script: settingsScript(args.topology),
        files: [
          {
            path: "dynamic.json",
            content: `${JSON.stringify(dynamicConfiguration(args, args.topology), null, 2)}\n`,
          },
          { path: "credentials", content: 'user = "patroni:@{api_password}"\n', mode: "0600" },
        ],
        secrets: { api_password: args.apiPassword },
      },
      { parent: this, dependsOn: [] },
    );
    this.registerOutputs();
  }
}
