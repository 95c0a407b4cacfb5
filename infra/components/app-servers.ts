import * as pulumi from "@pulumi/pulumi";
import { currentReleaseDirectory, type Workload } from "../platform/platform.ts";
import { renderApplication, sendsMail, type Tier } from "../render/application.ts";
import { type Member, ports } from "../topology.ts";
import type { ApplicationParts } from "./parts.ts";

/** The Express application: all instances of both tiers, of one release. */
export class AppServers extends pulumi.ComponentResource {
  constructor(name: string, args: ApplicationParts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:AppServers", name, {}, options);
    this.#placeInstances(args);
    this.registerOutputs();
  }

  /** One chain over both tiers: a release that does not get healthy stops at the very first. */
  #placeInstances(args: ApplicationParts): void {
    let last: pulumi.Resource[] = [];
    for (const tier of ["storefront", "admin"] as const) {
      for (const member of args.topology[tier]) {
        const workload = instance(args, member, tier);
        last = [args.platform.place(workload, { parent: this, dependsOn: last })];
      }
    }
  }
}

function instance(args: ApplicationParts, member: Member, tier: Tier): Workload {
  const { settings, topology, credentials, release, uploads } = args;
  return {
    host: member,
    component: "AppServers",
    packages: [],
    release,
    processes: [
      {
        name: tier,
        command: [
          `${currentReleaseDirectory}/bin/node`,
          `${currentReleaseDirectory}/app/src/server.ts`,
        ],
        user: uploads.owner,
        environment: {
          NODE_ENV: "production",
          HASTACK_APP_CONFIG: "app.json",
        },
        directories: [{ path: uploads.path, mode: "0755" }],
        stopGraceSeconds: settings.application.stopGraceSeconds + 2,
      },
    ],
    files: [
      {
        path: "app.json",
        content: renderApplication(settings, topology, member, tier),
        owner: uploads.owner,
        mode: "0400",
        reloads: tier,
      },
    ],
    secrets: {
      database_password: credentials.of(tier),
      cookie_secret: credentials.of("cookies"),
      ...(topology.cache.length > 0 && { cache_password: credentials.of("cache") }),
      ...(settings.smtpPassword &&
        sendsMail(tier) && { smtp_password: forJson(settings.smtpPassword) }),
    },
    shared: [uploads],
    health: {
      command: `curl -fsS --max-time 3 http://${member.backend}:${ports[tier]}/api/health | grep -F '"release":"${release.hash}"'`,
      meaning: `/api/health answers 200 as release ${release.hash}`,
    },
  };
}

/** A password that somebody chose may hold what JSON gives a meaning. */
function forJson(password: string): pulumi.Output<string> {
  return pulumi.secret(JSON.stringify(password).slice(1, -1));
}
