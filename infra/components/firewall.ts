import * as pulumi from "@pulumi/pulumi";
import type { Flow, Platform } from "../platform/platform.ts";
import { ports } from "../roles.ts";

/** Every way that the stack's parts talk to each other; nothing else is allowed. */
export const flows: readonly Flow[] = [
  { from: "visitor", to: "loadBalancer", network: "frontend", port: ports.http },
  { from: "visitor", to: "loadBalancer", network: "frontend", port: ports.https },
  { from: "operator", to: "loadBalancer", network: "frontend", port: ports.stats },
  // A load balancer's gate asks for the site at the virtual address, wherever that is
  { from: "loadBalancer", to: "loadBalancer", network: "frontend", port: ports.http },
  { from: "loadBalancer", to: "loadBalancer", network: "frontend", port: ports.https },
  { from: "loadBalancer", to: "storefront", network: "backend", port: 3000 },
  { from: "loadBalancer", to: "admin", network: "backend", port: 3001 },
  { from: "loadBalancer", to: "database", network: "backend", port: ports.postgres },
  { from: "loadBalancer", to: "database", network: "backend", port: ports.patroni },
  { from: "storefront", to: "loadBalancer", network: "backend", port: ports.primary },
  { from: "storefront", to: "loadBalancer", network: "backend", port: ports.replicas },
  { from: "admin", to: "loadBalancer", network: "backend", port: ports.primary },
  { from: "admin", to: "loadBalancer", network: "backend", port: ports.replicas },
  { from: "storefront", to: "cache", network: "backend", port: ports.cache },
  { from: "admin", to: "cache", network: "backend", port: ports.cache },
  // The backend has no way out: mails go by way of the load balancers
  { from: "storefront", to: "loadBalancer", network: "backend", port: ports.mail },
  // The migrations run on a storefront's machine
  { from: "storefront", to: "database", network: "backend", port: ports.postgres },
  { from: "database", to: "database", network: "backend", port: ports.postgres },
  { from: "database", to: "database", network: "backend", port: ports.patroni },
  { from: "database", to: "quorum", network: "backend", port: ports.etcdClient },
  { from: "quorum", to: "quorum", network: "backend", port: ports.etcdPeer },
  { from: "loadBalancer", to: "loadBalancer", network: "frontend", port: "vrrp" },
  { from: "loadBalancer", to: "loadBalancer", network: "backend", port: "vrrp" },
  // The task that makes etcd's users waits until every member answers
  { from: "quorum", to: "quorum", network: "backend", port: ports.etcdClient },
];

/** Who may talk to whom: the networks of the stack and, on machines, their firewalls. */
export class Firewall extends pulumi.ComponentResource {
  constructor(
    name: string,
    args: { platform: Platform },
    options?: pulumi.ComponentResourceOptions,
  ) {
    super("hastack:index:Firewall", name, {}, options);
    args.platform.allow(flows, { parent: this, dependsOn: [] });
    this.registerOutputs();
  }
}
