import * as pulumi from "@pulumi/pulumi";
import type { Workload } from "../platform/platform.ts";
import {
  binDirectory,
  dataDirectory,
  patroniHealth,
  patroniStart,
  principalsScript,
  renderParameters,
  renderPatroni,
  renderPrincipals,
  socketDirectory,
} from "../render/patroni.ts";
import type { Member } from "../topology.ts";
import type { Parts } from "./parts.ts";

/** Debian's packages of a member. */
export const databasePackages = ["patroni", "python3-etcd", "postgresql-17"] as const;

/** PostgreSQL 17 on two machines under Patroni: a primary and its synchronous standby. */
export class DatabasePair extends pulumi.ComponentResource {
  constructor(name: string, args: Parts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:DatabasePair", name, {}, options);
    this.#placeMembers(args);
    this.registerOutputs();
  }

  /**
   * Each member is followed by the principals' passwords: with data kept from an earlier stack, the
   * standby can only come in once the primary knows them.
   */
  #placeMembers(args: Parts): void {
    let last: pulumi.Resource[] = [];
    for (const member of args.topology.members.database) {
      const gate = args.platform.place(postgres(args, member), { parent: this, dependsOn: last });
      last = [this.#givePrincipals(args, member, gate)];
    }
  }

  #givePrincipals(
    { platform, credentials }: Parts,
    member: Member,
    gate: pulumi.Resource,
  ): pulumi.Resource {
    return platform.runOnce(
      {
        name: `${member.name}-principals`,
        component: "DatabasePair",
        host: member,
        user: "postgres",
        script: principalsScript(),
        files: [
          { path: "principals.sql", content: renderPrincipals(), owner: "postgres", mode: "0600" },
        ],
        secrets: Object.fromEntries(
          (["postgres", "replicator", "rewinder", "migrator", "storefront", "admin"] as const).map(
            (principal) => [`${principal}_password`, credentials.of(principal)],
          ),
        ),
      },
      { parent: this, dependsOn: [gate] },
    );
  }
}

/** PostgreSQL's own check of the parameters, before Patroni sees them. */
const parametersCheck =
  "install -d -o postgres -m 0700 .data && cp parameters.conf .data/postgresql.conf && " +
  "chown postgres: .data/postgresql.conf && chmod 0755 . && " +
  `runuser -u postgres -- ${binDirectory}/postgres -D "$PWD/.data" -C max_connections; ` +
  "code=$?; rm -rf .data; exit $code";

function postgres({ settings, topology, credentials }: Parts, self: Member): Workload {
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
    ],
    files: [
      {
        path: "patroni.yml",
        content: renderPatroni(settings, topology, self),
        owner: "postgres",
        mode: "0600",
        reloads: "patroni",
      },
      { path: "bin/patroni-start", content: patroniStart, mode: "0755" },
      { path: "parameters.conf", content: renderParameters(settings), check: parametersCheck },
    ],
    secrets: {
      postgres_password: credentials.of("postgres"),
      replicator_password: credentials.of("replicator"),
      rewinder_password: credentials.of("rewinder"),
      patroni_api_password: credentials.of("patroniApi"),
      etcd_patroni_password: credentials.of("etcdPatroni"),
    },
    data: [{ name: "data", path: "/var/lib/postgresql", own: dataDirectory, keep: true }],
    health: {
      command: patroniHealth(self),
      meaning: "it is the primary, or the standby that the primary waits for",
    },
  };
}
