import * as pulumi from "@pulumi/pulumi";
import { readProjectFile } from "../../lib/paths.ts";
import type { ManagedFile, Workload } from "../platform/platform.ts";
import { certificateFile, renderHaproxy } from "../render/haproxy.ts";
import {
  keepalivedNotify,
  loadBalancerHealth,
  renderKeepalived,
  renderKeepalivedStart,
} from "../render/keepalived.ts";
import { ports } from "../roles.ts";
import type { LoadBalancerMember } from "../topology.ts";
import type { Parts } from "./parts.ts";

/**
 * HAProxy in front of the application and of the database, on two machines that share a frontend
 * and a backend address by keepalived.
 */
export class LoadBalancer extends pulumi.ComponentResource {
  constructor(name: string, args: Parts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:LoadBalancer", name, {}, options);
    let last: pulumi.Resource[] = [];
    for (const [index, member] of args.topology.members.loadBalancer.entries()) {
      const workload = pair(args, member, index);
      last = [args.platform.place(workload, { parent: this, dependsOn: last })];
    }
    this.registerOutputs();
  }
}

function pair(args: Parts, self: LoadBalancerMember, index: number): Workload {
  const { settings, topology } = args;
  const { loadBalancer, certificate } = settings;
  const publish = (local: number | undefined, target: number) =>
    local === undefined ? [] : [{ local, target }];
  return {
    host: self,
    component: "LoadBalancer",
    packages: ["haproxy", "keepalived", "socat"],
    processes: [
      {
        name: "haproxy",
        command: ["haproxy", "-W", "-db", "-f", "haproxy.cfg"],
        directories: [{ path: "/run/haproxy", mode: "0755" }],
        reloadSignal: "SIGUSR2",
        stopSignal: "SIGUSR1",
        stopGraceSeconds: loadBalancer.drainSeconds,
      },
      {
        // Stopped first: the addresses go before HAProxy does
        name: "keepalived",
        command: ["bin/keepalived-start", "--dont-fork", "--log-console"],
        stopGraceSeconds: 5,
        reloadSignal: "SIGHUP",
      },
    ],
    files: files(args, self),
    secrets: {
      stats_password: args.credentials.of("statistics"),
      ...(certificate !== undefined && { certificate: pulumi.secret(certificate) }),
    },
    health: {
      command: loadBalancerHealth(
        settings,
        topology,
        self,
        renderHaproxy(settings, topology, self),
      ),
      meaning:
        "HAProxy serves with its new configuration, keepalived runs, and the site answers at the virtual address",
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

function files({ settings, topology }: Parts, self: LoadBalancerMember): ManagedFile[] {
  return [
    {
      path: "haproxy.cfg",
      content: renderHaproxy(settings, topology, self),
      owner: "haproxy",
      mode: "0600",
      check: "haproxy -c -f haproxy.cfg",
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
    ...[408, 502, 503, 504].map((code) => ({
      path: `errors/${code}.http`,
      content: readProjectFile(`haproxy/errors/${code}.http`),
      reloads: "haproxy",
    })),
    {
      path: "bin/keepalived-start",
      content: renderKeepalivedStart(self),
      mode: "0755",
      restarts: "keepalived",
    },
    { path: "bin/keepalived-notify", content: keepalivedNotify, mode: "0755" },
    {
      path: "keepalived.conf",
      content: renderKeepalived(settings, topology, self),
      check: "bin/keepalived-start --config-test",
      reloads: "keepalived",
    },
  ];
}
