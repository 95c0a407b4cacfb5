import * as pulumi from "@pulumi/pulumi";
import { dynamicConfiguration, settingsScript } from "../render/patroni.ts";
import type { Parts } from "./parts.ts";

/**
 * The part of Patroni's configuration that lives in etcd, applied whenever it changes: Patroni
 * reads `bootstrap.dcs` of its file only once, when the cluster is made.
 */
export class DatabaseSettings extends pulumi.ComponentResource {
  constructor(name: string, args: Parts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:DatabaseSettings", name, {}, options);
    const [host] = args.topology.members.database;
    if (!host) throw new Error("there is no database member");
    args.platform.runOnce(
      {
        name: "database-settings",
        component: "DatabaseSettings",
        host,
        script: settingsScript(args.topology),
        files: [
          {
            path: "dynamic.json",
            content: `${JSON.stringify(dynamicConfiguration(args.settings), null, 2)}\n`,
          },
          { path: "credentials", content: 'user = "patroni:@{api_password}"\n', mode: "0600" },
        ],
        secrets: { api_password: args.credentials.of("patroniApi") },
      },
      { parent: this, dependsOn: [] },
    );
    this.registerOutputs();
  }
}
