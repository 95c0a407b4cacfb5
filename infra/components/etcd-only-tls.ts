import * as pulumi from "@pulumi/pulumi";
import type { Platform } from "../platform/platform.ts";
import { etcdOnlyTlsScript } from "../render/etcd-bridge.ts";
import type { Topology } from "../topology.ts";

export interface EtcdOnlyTlsArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  /** Password of etcd's administrator. */
  readonly rootPassword: pulumi.Output<string>;
}

/**
 * Closes etcd's plain ports, member by member, once no client uses them any more. Only a stack that was
 * made without certificates has such ports.
 */
export class EtcdOnlyTls extends pulumi.ComponentResource {
  constructor(name: string, args: EtcdOnlyTlsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:EtcdOnlyTls", name, {}, options);
    const { platform, topology, rootPassword } = args;
    let last: pulumi.Resource[] = [];
    for (const member of topology.members.quorum) {
      last = [
        platform.runOnce(
          {
            name: `${member.name}-only-tls`,
            component: "EtcdOnlyTls",
            host: member,
            onWorkload: "required",
            user: "etcd",
            script: etcdOnlyTlsScript(topology, member),
            files: [{ path: "root", content: "@{root_password}", owner: "etcd", mode: "0600" }],
            secrets: { root_password: rootPassword },
          },
          { parent: this, dependsOn: last },
        ),
      ];
    }
    this.registerOutputs();
  }
}
