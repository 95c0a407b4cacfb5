import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../certificates/certificates.ts";
import { inUse, loginOf } from "../generations.ts";
import type { Platform, Workload } from "../platform/platform.ts";
import {
  binDirectory,
  dataDirectory,
  type MemberLogins,
  patroniHealth,
  patroniStart,
  renderParameters,
  renderPatroni,
  socketDirectory,
} from "../render/patroni.ts";
import {
  passwordKey,
  principalsScript,
  renderDatabase,
  renderPrincipals,
  type WantedDatabase,
} from "../render/principals.ts";
import { careFiles, careProcess } from "../render/standby-care.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import { isAlone, type Member, type Topology } from "../topology.ts";
import { current, type Generated } from "./credentials.ts";

/** Debian's packages of a member. */
export const databasePackages = ["patroni", "python3-etcd", "postgresql-17"] as const;

/** Passwords of the database's principals. */
export interface DatabasePasswords {
  readonly postgres: pulumi.Output<string>;
  readonly replicator: Generated;
  readonly rewinder: Generated;
  readonly migrator: pulumi.Output<string>;
  /** Patroni's REST API. */
  readonly patroniApi: Generated;
  /** Patroni's login at etcd. */
  readonly etcdPatroni: Generated;
  /** Those of the application's roles, by role. */
  readonly application: Readonly<Record<string, Generated>>;
}

export interface DatabasePairArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** Patroni's times and PostgreSQL's parameters. */
  readonly database: Settings["database"];
  /** How long its log may take into backups, where there are some. */
  readonly backup: Settings["backup"];
  readonly passwords: DatabasePasswords;
  /** What the application wants of its database. */
  readonly wanted: WantedDatabase;
}

/** PostgreSQL 17 on two machines under Patroni: a primary and its synchronous standby. */
export class DatabasePair extends pulumi.ComponentResource {
  /** `host:port` that leads to the primary, by the load balancers. */
  readonly primary: string;
  /** `host:port` that leads to the standby, and without one to the primary. */
  readonly replicas: string;

  constructor(name: string, args: DatabasePairArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:DatabasePair", name, {}, options);
    const { vip } = args.topology.network.backend;
    this.primary = `${vip}:${ports.primary}`;
    this.replicas = `${vip}:${ports.replicas}`;
    this.#placeMembers(args);
    this.registerOutputs({ primary: this.primary, replicas: this.replicas });
  }

  /**
   * Each member is followed by the principals' passwords: with data kept from an earlier stack, the
   * standby can only come in once the primary knows them.
   */
  #placeMembers(args: DatabasePairArgs): void {
    let last: pulumi.Resource[] = [];
    for (const member of args.topology.members.database) {
      const gate = args.platform.place(postgres(args, member), { parent: this, dependsOn: last });
      last = [this.#givePrincipals(args, member, gate)];
    }
  }

  #givePrincipals(
    { platform, passwords, topology, wanted: wishes }: DatabasePairArgs,
    member: Member,
    gate: pulumi.Resource,
  ): pulumi.Resource {
    const { postgres, migrator, application } = passwords;
    const [replicator, rewinder] = [current(passwords.replicator), current(passwords.rewinder)];
    const isKept = topology.members.backup.length > 0;
    const wanted = { ...wishes, generations: generationsOf(application), isKept };
    const all = { postgres, replicator, rewinder, migrator, ...byLogin(application) };
    return platform.runOnce(
      {
        name: `${member.name}-principals`,
        component: "DatabasePair",
        host: member,
        user: "postgres",
        script: principalsScript(wanted, isAlone(topology.members.database)),
        files: [
          {
            path: "principals.sql",
            content: renderPrincipals(wanted),
            owner: "postgres",
            mode: "0600",
          },
          { path: "database.sql", content: renderDatabase(wanted), owner: "postgres" },
        ],
        secrets: Object.fromEntries(
          Object.entries(all).map(([login, password]) => [passwordKey(login), password]),
        ),
      },
      { parent: this, dependsOn: [gate] },
    );
  }
}

type ByRole = Readonly<Record<string, Generated>>;

const generationsOf = (passwords: ByRole) =>
  Object.fromEntries(Object.entries(passwords).map(([role, made]) => [role, [...made.keys()]]));

const byLogin = (passwords: ByRole) =>
  Object.fromEntries(
    Object.entries(passwords).flatMap(([role, made]) =>
      [...made].map(([generation, password]) => [loginOf(role, generation), password] as const),
    ),
  );

function loginsOf(passwords: DatabasePasswords): MemberLogins {
  const mutual = ["replicator", "rewinder", "patroniApi"] as const;
  return {
    etcdUser: loginOf("patroni", inUse([...passwords.etcdPatroni.keys()])),
    changing: mutual.filter((one) => passwords[one].size > 1),
  };
}

/** PostgreSQL's own check of the parameters, before Patroni sees them. */
const parametersCheck =
  "install -d -o postgres -m 0700 .data && cp parameters.conf .data/postgresql.conf && " +
  "chown postgres: .data/postgresql.conf && chmod 0755 . && " +
  `runuser -u postgres -- ${binDirectory}/postgres -D "$PWD/.data" -C max_connections; ` +
  "code=$?; rm -rf .data; exit $code";

function postgres(args: DatabasePairArgs, self: Member): Workload {
  const { topology, passwords, certificates } = args;
  const { files, secrets } = certificates.of(
    self.name,
    { leaves: ["patroni-api", "etcd-client", "postgres", "replicator", "rewinder"] },
    { owner: "postgres", reloads: "patroni" },
  );
  return {
    host: self,
    component: "DatabasePair",
    packages: databasePackages,
    processes: [
      {
        name: "patroni",
        command: ["bin/patroni-start"],
        user: "postgres",
        directories: [
          { path: socketDirectory, mode: "2775" },
          { path: "/run/hastack-database", mode: "0700" },
          { path: dataDirectory, mode: "0700" },
        ],
        reloadSignal: "SIGHUP",
        stopGraceSeconds: 60,
        // PostgreSQL serves on without Patroni
        childrenOutlive: true,
      },
      careProcess(dataDirectory),
    ],
    files: [
      ...files,
      {
        path: "patroni.yml",
        content: renderPatroni(args, topology, self, loginsOf(passwords)),
        owner: "postgres",
        mode: "0600",
        reloads: "patroni",
      },
      { path: "bin/patroni-start", content: patroniStart, mode: "0755" },
      ...careFiles,
      {
        path: "parameters.conf",
        content: renderParameters(args, topology),
        check: parametersCheck,
      },
    ],
    secrets: {
      ...secrets,
      postgres_password: passwords.postgres,
      replicator_password: current(passwords.replicator),
      rewinder_password: current(passwords.rewinder),
      patroni_api_password: current(passwords.patroniApi),
      etcd_patroni_password: current(passwords.etcdPatroni),
    },
    data: [{ name: "data", path: "/var/lib/postgresql", own: dataDirectory, keep: true }],
    health: {
      command: patroniHealth(self),
      meaning:
        "it serves its certificates, and is the primary, or the standby that the primary waits for",
    },
  };
}
