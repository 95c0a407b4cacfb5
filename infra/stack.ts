import * as pulumi from "@pulumi/pulumi";
import { AppServers } from "./components/app-servers.ts";
import { Cache } from "./components/cache.ts";
import { Credentials } from "./components/credentials.ts";
import { DatabasePair } from "./components/database-pair.ts";
import { DatabaseSettings } from "./components/database-settings.ts";
import { Firewall } from "./components/firewall.ts";
import { LoadBalancer } from "./components/load-balancer.ts";
import { Migrations } from "./components/migrations.ts";
import type { ApplicationParts } from "./components/parts.ts";
import { Quorum } from "./components/quorum.ts";
import { SharedStorage } from "./components/shared-storage.ts";

/** Passwords and storage are the stack's own; the rest is given. */
export type WebStackArgs = Omit<ApplicationParts, "credentials" | "uploads">;

/** The whole stack. Each part waits for those it stands on; nothing else orders them. */
export class WebStack extends pulumi.ComponentResource {
  readonly credentials: Credentials;

  constructor(name: string, args: WebStackArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:WebStack", name, {}, options);
    const after = (...dependsOn: pulumi.Resource[]) => ({ parent: this, dependsOn });

    this.credentials = new Credentials("credentials", after());
    const parts = { ...args, credentials: this.credentials };

    const firewall = new Firewall("firewall", args, after());
    const storage = new SharedStorage("storage", args, after(firewall));
    const quorum = new Quorum("quorum", parts, after(firewall));
    const database = new DatabasePair("database", parts, after(quorum));
    const databaseSettings = new DatabaseSettings("settings", parts, after(database));
    const shared = { ...parts, uploads: storage.uploads };
    const migrations = new Migrations("migrations", shared, after(storage, databaseSettings));
    const cache = new Cache("cache", parts, after(firewall));
    const app = new AppServers("app", shared, after(migrations, cache));
    new LoadBalancer("load-balancer", parts, after(app));
    this.registerOutputs();
  }
}
