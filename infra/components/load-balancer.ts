import * as pulumi from "@pulumi/pulumi";
import { readProjectFile } from "../../lib/paths.ts";
import { schemeOf } from "../certificate.ts";
import type { Certificates } from "../certificates/certificates.ts";
import type { ManagedFile, Platform, Workload } from "../platform/platform.ts";
import {
  certificateFile,
  type HaproxySettings,
  type Routed,
  renderHaproxy,
} from "../render/haproxy.ts";
import { errorTextsFile, renderErrorTexts } from "../render/haproxy-errors.ts";
import { openFilesOf, renderHaproxyStart } from "../render/haproxy-start.ts";
import {
  haproxyHasServers,
  keepalivedNotify,
  loadBalancerHealth,
  oneHolderProgram,
  renderHaproxyAnswers,
  renderKeepalived,
  renderKeepalivedEnd,
  renderKeepalivedStart,
} from "../render/keepalived.ts";
import { ports } from "../roles.ts";
import type { LoadBalancerMember, Topology } from "../topology.ts";
import { keepCertificate } from "./kept-certificate.ts";

export interface LoadBalancerArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  readonly settings: HaproxySettings;
  /** The application's tiers and their routes, and the hosts outside that it talks to. */
  readonly application: Routed;
  /** Password of the statistics page, for the user `operator`. */
  readonly statisticsPassword: pulumi.Output<string>;
}

/**
 * HAProxy in front of the application and of the database, on two machines that share a frontend
 * and a backend address by keepalived.
 */
export class LoadBalancer extends pulumi.ComponentResource {
  /** The site, by the address that moves between the load balancers. */
  readonly url: string;
  /** The site on the operator's own machine, one address for each load balancer; none on machines. */
  readonly localUrls: readonly string[];
  /** HAProxy's statistics page, one for each load balancer. */
  readonly statsUrls: readonly string[];

  constructor(name: string, args: LoadBalancerArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:LoadBalancer", name, {}, options);
    const { topology, settings } = args;
    const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;
    const scheme = schemeOf(settings);
    const local = (port: number) => `${scheme}://127.0.0.1:${port}/`;
    this.url = `${scheme}://${topology.network.frontend.vip}/`;
    this.localUrls = publishedPorts.map(local);
    this.statsUrls = publishedStatsPorts.length
      ? publishedStatsPorts.map(local)
      : topology.members.loadBalancer.map((one) => `${scheme}://${one.frontend}:${ports.stats}/`);
    const placed = this.#placePair(args);
    // Nobody catches its error: that ends the preview
    if (settings.certificate !== undefined) {
      void keepCertificate(settings.certificate, { parent: this, dependsOn: placed });
    }
    this.registerOutputs({ url: this.url, localUrls: this.localUrls, statsUrls: this.statsUrls });
  }

  /**
   * One at a time: the other one holds the virtual addresses meanwhile.
   * @returns the last one, which is there once all are
   */
  #placePair(args: LoadBalancerArgs): pulumi.Resource[] {
    let last: pulumi.Resource[] = [];
    for (const [index, member] of args.topology.members.loadBalancer.entries()) {
      const workload = pair(args, member, index);
      last = [args.platform.place(workload, { parent: this, dependsOn: last })];
    }
    return last;
  }
}

function pair(args: LoadBalancerArgs, self: LoadBalancerMember, index: number): Workload {
  const { settings, topology, application } = args;
  const { loadBalancer, certificate } = settings;
  const own = args.certificates.of(
    self.name,
    { leaves: ["load-balancer"], authorities: ["patroni-api"] },
    { reloads: "haproxy" },
  );
  const configuration = renderHaproxy(settings, topology, application, self, own.version);
  const rest = application.tiers.find((one) => one.port !== undefined && one.routes.length === 0);
  const publish = (local: number | undefined, target: number) =>
    local === undefined ? [] : [{ local, target }];
  return {
    host: self,
    component: "LoadBalancer",
    packages: ["haproxy", "keepalived", "socat", "nftables"],
    processes: [
      {
        name: "haproxy",
        command: ["bin/haproxy-start", "-W", "-db", "-f", "haproxy.cfg"],
        openFiles: openFilesOf(loadBalancer.maxConnections),
        directories: [{ path: "/run/haproxy", mode: "0755" }],
        reloadSignal: "SIGUSR2",
        stopSignal: "SIGUSR1",
        stopGraceSeconds: loadBalancer.drainSeconds,
      },
      {
        // Stopped first: the addresses go before HAProxy does
        name: "keepalived",
        pausesFor: "haproxy",
        command: ["bin/keepalived-start", "--dont-fork", "--log-console"],
        stopGraceSeconds: 5,
        reloadSignal: "SIGHUP",
        // Killed it leaves its addresses, and 0.7 s later the other load balancer has them as well
        afterwards: ["bin/keepalived-end"],
      },
    ],
    files: [...own.files, ...files(args, self, configuration)],
    secrets: {
      ...own.secrets,
      stats_password: args.statisticsPassword,
      ...(certificate !== undefined && { certificate: pulumi.secret(certificate) }),
    },
    health: {
      command: loadBalancerHealth(settings, topology, self, configuration, rest?.health.path),
      meaning:
        "HAProxy serves with its new configuration, keepalived runs, one load balancer holds each virtual address, and the site answers there",
    },
    published: [
      ...publish(loadBalancer.publishedPorts[index], certificate ? ports.https : ports.http),
      ...publish(loadBalancer.publishedStatsPorts[index], ports.stats),
    ],
    capabilities: ["NET_ADMIN", "NET_BROADCAST"],
    // HAProxy listens on the virtual addresses before keepalived brings them
    sysctls: { "net.ipv4.ip_nonlocal_bind": "1" },
  };
}

function files(
  { settings, topology }: LoadBalancerArgs,
  self: LoadBalancerMember,
  configuration: string,
): ManagedFile[] {
  return [
    {
      path: "haproxy.cfg",
      content: configuration,
      owner: "haproxy",
      mode: "0600",
      check: "bin/haproxy-start -c -f haproxy.cfg",
      reloads: "haproxy",
    },
    ...(settings.certificate === undefined
      ? []
      : [
          {
            path: certificateFile,
            content: "@{certificate}",
            mode: "0600",
            reloads: "haproxy",
          },
        ]),
    {
      path: errorTextsFile,
      content: renderErrorTexts(readProjectFile("haproxy/errors/page.html")),
      reloads: "haproxy",
    },
    {
      path: "bin/haproxy-start",
      content: renderHaproxyStart(self),
      mode: "0755",
      restarts: "haproxy",
    },
    {
      path: "bin/keepalived-start",
      content: renderKeepalivedStart(self),
      mode: "0755",
      restarts: "keepalived",
    },
    { path: "bin/keepalived-end", content: renderKeepalivedEnd(topology), mode: "0755" },
    { path: "bin/keepalived-notify", content: keepalivedNotify, mode: "0755" },
    { path: "bin/haproxy-answers", content: renderHaproxyAnswers(self), mode: "0755" },
    { path: "bin/haproxy-has-servers", content: haproxyHasServers, mode: "0755" },
    { path: "bin/one-holder", content: oneHolderProgram, mode: "0755" },
    {
      path: "keepalived.conf",
      content: renderKeepalived(settings, topology, self),
      check: "bin/keepalived-start --config-test",
      reloads: "keepalived",
    },
  ];
}
