import * as pulumi from "@pulumi/pulumi";
import type { Application, Tier } from "../application/application.ts";
import {
  applicationPackages,
  environmentFile,
  type Given,
  givenFiles,
  instanceVariables,
  mailFiles,
  usesCache,
} from "../application/environment.ts";
import { jobFiles, jobProcess } from "../application/job.ts";
import { sharingUmask, userOf } from "../application/names.ts";
import type { Certificates } from "../certificates/certificates.ts";
import type { Leaf } from "../certificates/domains.ts";
import {
  currentReleaseDirectory,
  type ManagedFile,
  type Platform,
  type Process,
  type Release,
  type SharedDirectory,
  type Workload,
} from "../platform/platform.ts";
import { commandLine } from "../platform/shell.ts";
import { haproxyHasRead } from "../render/haproxy.ts";
import { openFilesOf } from "../render/haproxy-start.ts";
import {
  loopback,
  neverReachedAnswer,
  neverReachedFile,
  proxyDirectory,
  proxyOf,
  proxyPlaces,
  proxySocket,
  renderInstanceProxy,
} from "../render/instance-proxy.ts";
import type { Member, Topology } from "../topology.ts";
import { type ApplicationSecrets, ownSecrets } from "./application-secrets.ts";

export interface AppServersArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  readonly application: Application;
  /** What instances are told of the stack. */
  readonly settings: Given["settings"];
  readonly secrets: ApplicationSecrets;
  /** The release that all instances run. */
  readonly release: Release;
  /** The directories that all instances mount. */
  readonly shared: readonly SharedDirectory[];
}

/** The application: all instances of all its tiers, of one release. */
export class AppServers extends pulumi.ComponentResource {
  /** Hash of the release that every instance runs. */
  readonly release: pulumi.Output<string>;

  constructor(name: string, args: AppServersArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:AppServers", name, {}, options);
    this.release = pulumi.output(args.release.hash);
    this.#placeInstances(args);
    this.registerOutputs({ release: this.release });
  }

  /** One chain over all tiers: a release that does not get healthy stops at the very first. */
  #placeInstances(args: AppServersArgs): void {
    let last: pulumi.Resource[] = [];
    for (const tier of args.application.tiers) {
      for (const member of args.topology.tiers[tier.name] ?? []) {
        const workload = instance(args, tier, member);
        last = [args.platform.place(workload, { parent: this, dependsOn: last })];
      }
    }
  }
}

function instance(args: AppServersArgs, tier: Tier, member: Member): Workload {
  const { application, settings, topology, release, shared } = args;
  const given = { application, settings, topology, release: release.hash };
  const variables = instanceVariables(given, tier, member);
  const authority = args.certificates.of(
    member.name,
    { authorities: ["database"] },
    { restarts: tier.name },
  );
  const beside = proxy(args, tier, member);
  return {
    host: member,
    component: "AppServers",
    packages: applicationPackages(application),
    release,
    processes: [
      ...beside.processes,
      program(tier),
      ...tier.jobs.map((job) => jobProcess(job, tier)),
    ],
    files: [
      ...beside.files,
      ...authority.files,
      ...givenFiles(application, variables, tier),
      ...mailFiles(settings, tier),
      ...tier.jobs.flatMap((job) => jobFiles(job, variables)),
    ],
    secrets: { ...beside.secrets, ...authority.secrets, ...secrets(args, tier) },
    shared,
    health: health(tier, release, beside.health),
  };
}

/** The HAProxy between an instance and the others: it starts first and ends last. */
type Proxy = Pick<Workload, "processes" | "files" | "secrets"> & {
  /** Command that succeeds once it serves as it is described. */
  readonly health?: string;
};

function proxy(args: AppServersArgs, tier: Tier, member: Member): Proxy {
  const cache = usesCache(args);
  const leaves: Leaf[] = [
    ...(tier.port === undefined ? [] : (["instance"] as const)),
    ...(cache ? (["cache-client"] as const) : []),
  ];
  if (leaves.length === 0) return { processes: [], files: [], secrets: {} };
  const name = proxyOf(tier.name);
  const own = args.certificates.of(member.name, { leaves }, { owner: proxyUser, reloads: name });
  const configuration = renderInstanceProxy(args.settings, args.topology, tier, member, {
    cache,
    certificates: own.version,
  });
  return {
    processes: [
      {
        name,
        command: ["haproxy", "-W", "-db", "-f", proxyFile],
        user: proxyUser,
        directories: [{ path: proxyDirectory(tier.name), mode: "0755" }],
        reloadSignal: "SIGUSR2",
        stopSignal: "SIGUSR1",
        stopGraceSeconds: 10,
        openFiles: openFilesOf(
          proxyPlaces(args.settings.loadBalancer, args.topology.members.loadBalancer.length),
        ),
        outlivesRelease: true,
        // Docker has one limit for the container, which ends where one of its processes has none
        ...(tier.memoryMegabytes !== undefined && {
          memoryMegabytes: proxyMegabytes(args.settings.loadBalancer),
        }),
      },
    ],
    files: [...own.files, ...proxyFiles(configuration, name)],
    secrets: own.secrets,
    health: haproxyHasRead(configuration, proxySocket(tier.name)),
  };
}

/** Debian's user of HAProxy. */
const proxyUser = "haproxy";
const proxyFile = "proxy.cfg";
/** Enough for all requests that two backends let through, and for a reload meanwhile: 128 at 200 places. */
const proxyMegabytes = (limits: Given["settings"]["loadBalancer"]): number =>
  Math.ceil(64 + limits.maxConnectionsPerInstance * 0.32);

function proxyFiles(configuration: string, name: string): ManagedFile[] {
  const check = `haproxy -c -f ${proxyFile}`;
  return [
    { path: proxyFile, content: configuration, check, reloads: name },
    { path: neverReachedFile, content: neverReachedAnswer, reloads: name },
  ];
}

function program(tier: Tier): Process {
  return {
    name: tier.name,
    command: tier.command,
    workingDirectory: currentReleaseDirectory,
    user: userOf(tier.name),
    environmentFile,
    umask: sharingUmask,
    // The program ends itself within its grace; a bit more before it is killed
    stopGraceSeconds: tier.stopGraceSeconds + 2,
    ...(tier.memoryMegabytes !== undefined && { memoryMegabytes: tier.memoryMegabytes }),
  };
}

function secrets(args: AppServersArgs, tier: Tier): Workload["secrets"] {
  const { application, settings, topology, secrets: known } = args;
  return {
    database_password: known.tier(tier.name),
    ...(usesCache({ application, topology }) && { cache_password: known.cache }),
    ...(tier.mail &&
      settings.smtpPassword !== undefined && {
        smtp_password: pulumi.secret(encodeURIComponent(settings.smtpPassword)),
      }),
    ...ownSecrets(application, known, tier),
  };
}

/**
 * A worker's own program runs as its tier and with its variables, not as root.
 * @param proxy command that succeeds once the instance's proxy serves as it is described
 * @returns nothing for a worker that does not say how to ask: it is healthy while its processes run
 */
function health(
  { name, port, health: { path, showsRelease, command } }: Tier,
  release: Release,
  proxy?: string,
): Workload["health"] {
  const behind = proxy === undefined ? "" : `${proxy} > /dev/null && `;
  if (port === undefined) {
    return (
      command && {
        command: [
          ...(proxy === undefined ? [] : [`${proxy} > /dev/null || exit`]),
          `set -a; . ./${environmentFile}; set +a`,
          `cd ${currentReleaseDirectory} || exit`,
          `exec runuser -u ${userOf(name)} -- ${commandLine(command)}`,
        ].join("\n"),
        meaning: "its own check ends well",
      }
    );
  }
  const ask = `${behind}curl -fsS --max-time 3 http://${loopback}:${port}${path}`;
  return showsRelease
    ? {
        command: `${ask} | grep -F '${release.hash}'`,
        meaning: `its proxy serves with its new configuration, and ${path} answers 200 as release ${release.hash}`,
      }
    : {
        command: `${ask} > /dev/null`,
        meaning: `its proxy serves with its new configuration, and ${path} answers 200`,
      };
}
