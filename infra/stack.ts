import * as pulumi from "@pulumi/pulumi";
import type { Application } from "./application/application.ts";
import { usesCache } from "./application/environment.ts";
import { AppServers } from "./components/app-servers.ts";
import { Authority } from "./components/authority.ts";
import { Backup } from "./components/backup.ts";
import { Cache } from "./components/cache.ts";
import { Credentials } from "./components/credentials.ts";
import { DatabasePair } from "./components/database-pair.ts";
import { DatabaseSettings } from "./components/database-settings.ts";
import { EtcdOnlyTls } from "./components/etcd-only-tls.ts";
import { Firewall, FirewallClosed, flowsOf } from "./components/firewall.ts";
import { FormerRoles } from "./components/former-roles.ts";
import { LoadBalancer } from "./components/load-balancer.ts";
import { Migrations } from "./components/migrations.ts";
import { DatabaseBridge, PlaintextBridge, PlaintextEnd } from "./components/plaintext-bridge.ts";
import { Quorum } from "./components/quorum.ts";
import { RestoreDrill } from "./components/restore-drill.ts";
import { RotationEnd } from "./components/rotation-end.ts";
import { SharedStorage } from "./components/shared-storage.ts";
import { loginOf } from "./generations.ts";
import type { Platform, Release } from "./platform/platform.ts";
import type { Settings } from "./settings.ts";
import type { Topology } from "./topology.ts";

export interface WebStackArgs {
  readonly settings: Settings;
  readonly topology: Topology;
  /** Where it runs. */
  readonly platform: Platform;
  /** What it serves. */
  readonly application: Application;
  /** The release that all instances run. */
  readonly release: Release;
}

/** The whole stack. Each part waits for those it stands on; nothing else orders them. */
export class WebStack extends pulumi.ComponentResource {
  readonly credentials: Credentials;
  readonly loadBalancer: LoadBalancer;
  readonly backup: Backup;

  constructor(name: string, args: WebStackArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:WebStack", name, {}, options);
    const { settings, topology, platform, application, release } = args;
    const { database, backup } = settings;
    const roles = application.tiers.map(({ databaseRole }) => databaseRole);
    const after = (...dependsOn: pulumi.Resource[]) => ({ parent: this, dependsOn });

    const certificates = new Authority(
      "authority",
      {
        topology,
        usesCache: usesCache({ application, topology }),
        certificates: settings.certificates,
      },
      after(),
    );
    const on = { platform, topology, certificates };

    const passwords = new Credentials("credentials", credentialsOf(application), after());
    const flows = flowsOf(application);
    const firewall = new Firewall("firewall", { platform, flows }, after());
    const storage = new SharedStorage(
      "storage",
      { platform, names: application.shared },
      after(firewall),
    );
    const bridge = new PlaintextBridge("bridge", on, after(firewall));
    const quorum = new Quorum(
      "quorum",
      {
        ...on,
        rootPasswords: passwords.all("etcdRoot"),
        patroniPasswords: passwords.all("etcdPatroni"),
        generations: passwords.generations,
      },
      after(bridge),
    );
    const databaseBridge = new DatabaseBridge("database-bridge", on, after(quorum));
    const pair = new DatabasePair(
      "database",
      {
        ...on,
        database,
        backup,
        passwords: databasePasswords(application, passwords),
        wanted: {
          roles,
          extensions: application.database.extensions,
          jobs: jobsByRole(application),
        },
      },
      after(databaseBridge),
    );
    const databaseSettings = new DatabaseSettings(
      "settings",
      { platform, topology, database, backup, apiPassword: passwords.of("patroniApi") },
      after(pair),
    );
    const served = {
      ...on,
      application,
      settings,
      release,
      shared: storage.directories,
      secrets: {
        tier: (tier: string) => passwords.ofTier(tier),
        cache: passwords.of("cache"),
        generated: (secret: string, tier?: string) => passwords.allOfSecret(secret, tier),
      },
    };
    const migrations = new Migrations(
      "migrations",
      { ...served, migratorPassword: passwords.of("migrator") },
      after(storage, databaseSettings),
    );
    const cache = new Cache(
      "cache",
      { ...on, cache: settings.cache, passwords: passwords.all("cache") },
      // It has a password of others, and the quorum refuses a wrong step of a rotation
      after(quorum),
    );
    // An application may have no migrations, and then nothing waits behind their component
    const app = new AppServers("app", served, after(storage, databaseSettings, migrations, cache));
    this.loadBalancer = new LoadBalancer(
      "load-balancer",
      { ...on, settings, application, statisticsPassword: passwords.of("statistics") },
      after(app),
    );
    const end = new PlaintextEnd("plaintext-end", on, after(this.loadBalancer));
    const onlyTls = new EtcdOnlyTls(
      "etcd-only-tls",
      { platform, topology, rootPassword: passwords.of("etcdRoot") },
      after(end),
    );
    const former = new FormerRoles(
      "former-roles",
      {
        ...on,
        roles: loginsOf(application, passwords),
        former: application.database.formerRoles,
      },
      after(this.loadBalancer),
    );
    new RotationEnd(
      "rotation-end",
      { platform, topology, generations: passwords.generations },
      after(onlyTls, former),
    );
    new FirewallClosed("firewall-closed", { platform, flows }, after(onlyTls, former));
    // The last: whatever becomes of it, nothing else waits for it
    const [keeper] = topology.members.backup;
    const drill =
      keeper && backup.drillEveryDays > 0
        ? new RestoreDrill(
            "restore-drill",
            { everyDays: backup.drillEveryDays, member: keeper.name },
            after(),
          )
        : undefined;
    this.backup = new Backup(
      "backup",
      {
        ...on,
        settings,
        shared: storage.directories,
        filesOfRows: application.backup.files,
        ...(drill && { drill }),
      },
      after(storage, this.loadBalancer),
    );
    this.credentials = passwords;
    this.registerOutputs();
  }
}

function credentialsOf({ tiers, secrets, generations }: Application) {
  const generated = Object.entries(secrets).filter(([, { generated: made }]) => made);
  return {
    tiers: Object.fromEntries(tiers.map(({ name, formerly }) => [name, { formerly }])),
    secrets: Object.fromEntries(generated),
    generations,
  };
}

/** Whoever logs in as a tier, now or until another password is in use. */
function loginsOf({ tiers }: Application, passwords: Credentials): string[] {
  const logins = tiers.flatMap(({ name, databaseRole }) => [
    databaseRole,
    ...[...passwords.allOfTier(name).keys()].map((one) => loginOf(databaseRole, one)),
  ]);
  return [...new Set(logins)];
}

function jobsByRole({ tiers }: Application) {
  const withJobs = tiers.filter(({ jobs }) => jobs.length > 0);
  return Object.fromEntries(
    withJobs.map(({ databaseRole, jobs }) => [databaseRole, jobs.map(({ name }) => name)]),
  );
}

function databasePasswords({ tiers }: Application, passwords: Credentials) {
  return {
    postgres: passwords.of("postgres"),
    replicator: passwords.all("replicator"),
    rewinder: passwords.all("rewinder"),
    migrator: passwords.of("migrator"),
    patroniApi: passwords.all("patroniApi"),
    etcdPatroni: passwords.all("etcdPatroni"),
    application: Object.fromEntries(
      tiers.map(({ name, databaseRole }) => [databaseRole, passwords.allOfTier(name)]),
    ),
  };
}
