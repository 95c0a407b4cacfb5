import * as pulumi from "@pulumi/pulumi";
import type { Application } from "../application/application.ts";
import type { Flow, Platform } from "../platform/platform.ts";
import { ports } from "../roles.ts";

export interface FirewallArgs {
  readonly platform: Platform;
  /** Every way that the stack's parts talk to each other; nothing else is allowed. */
  readonly flows: readonly Flow[];
}

/**
 * Who may talk to whom: the networks of the stack and, on machines, their firewalls. They let in what
 * this release needs, and what the one before needed besides.
 */
export class Firewall extends pulumi.ComponentResource {
  constructor(name: string, args: FirewallArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Firewall", name, {}, options);
    args.platform.allow(args.flows, { parent: this, dependsOn: [] });
    this.registerOutputs();
  }
}

/** Ends what the release before was allowed and this one has no use for. */
export class FirewallClosed extends pulumi.ComponentResource {
  constructor(name: string, args: FirewallArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:FirewallClosed", name, {}, options);
    args.platform.allowOnly(args.flows, { parent: this, dependsOn: [] });
    this.registerOutputs();
  }
}

/** The flows of a stack with this application; SSH and a storage driver's own are the platform's. */
export function flowsOf(application: Application): Flow[] {
  return [...stackFlows, ...tierFlows(application)];
}

const stackFlows: readonly Flow[] = [
  { from: "visitor", to: "loadBalancer", network: "frontend", port: ports.http },
  { from: "visitor", to: "loadBalancer", network: "frontend", port: ports.https },
  { from: "operator", to: "loadBalancer", network: "frontend", port: ports.stats },
  // A load balancer's gate asks for the site at the virtual address, wherever that is
  { from: "loadBalancer", to: "loadBalancer", network: "frontend", port: ports.http },
  { from: "loadBalancer", to: "loadBalancer", network: "frontend", port: ports.https },
  { from: "loadBalancer", to: "database", network: "backend", port: ports.postgres },
  { from: "loadBalancer", to: "database", network: "backend", port: ports.patroni },
  { from: "database", to: "database", network: "backend", port: ports.postgres },
  { from: "database", to: "database", network: "backend", port: ports.patroni },
  { from: "database", to: "quorum", network: "backend", port: ports.etcdClient },
  { from: "quorum", to: "quorum", network: "backend", port: ports.etcdPeer },
  // Where keepalived's adverts go
  { from: "loadBalancer", to: "loadBalancer", network: "backend", port: "vrrp" },
  // Backups are fetched: nobody reaches their machine, but for a database that is restored
  { from: "backup", to: "loadBalancer", network: "backend", port: ports.primary },
  { from: "backup", to: "loadBalancer", network: "backend", port: ports.replicas },
  { from: "database", to: "backup", network: "backend", port: ports.restored },
  // The task that makes etcd's users waits until every member answers
  { from: "quorum", to: "quorum", network: "backend", port: ports.etcdClient },
];

function tierFlows({ tiers, cache, migrations, outside }: Application): Flow[] {
  const outsidePorts = Object.keys(outside).map((_name, index) => ports.firstOutside + index);
  const first = tiers[0]?.name ?? "";
  const backend = (from: string, to: string, port: number): Flow => ({
    from,
    to,
    network: "backend",
    port,
  });
  return [
    ...tiers.flatMap(({ name, port, mail }) => [
      ...(port === undefined ? [] : [backend("loadBalancer", name, port)]),
      backend(name, "loadBalancer", ports.primary),
      backend(name, "loadBalancer", ports.replicas),
      ...(cache ? [backend(name, "cache", ports.cache)] : []),
      // The backend has no way out: what is outside is reached by way of the load balancers
      ...(mail ? [backend(name, "loadBalancer", ports.mail)] : []),
      ...outsidePorts.map((outsidePort) => backend(name, "loadBalancer", outsidePort)),
    ]),
    // The migrations run on a machine of the first tier, and ask Patroni for the primary
    ...(migrations
      ? [backend(first, "database", ports.postgres), backend(first, "database", ports.patroni)]
      : []),
  ];
}
