import * as pulumi from "@pulumi/pulumi";
import type { Certificates, Wanted } from "../certificates/certificates.ts";
import type { ManagedFile, Platform } from "../platform/platform.ts";
import {
  balanceBothScript,
  offerTlsScript,
  plaintextEnd,
  refusePlaintextScript,
  renderMemberTls,
} from "../render/plaintext-bridge.ts";
import type { Member, Topology } from "../topology.ts";

export interface PlaintextBridgeArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
}

/**
 * Prepares the load balancers of a running stack without certificates: they find database members and
 * instances with and without TLS. Comes before anything is placed; elsewhere it finds nothing to do.
 */
export class PlaintextBridge extends pulumi.ComponentResource {
  constructor(name: string, args: PlaintextBridgeArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:PlaintextBridge", name, {}, options);
    let last: pulumi.Resource[] = [];
    for (const member of args.topology.members.loadBalancer) {
      last = [prepare(this, args, member, balanceBothScript, balancerFiles, [], last)];
    }
    this.registerOutputs();
  }
}

/**
 * Prepares the database members of such a stack, whichever of them is placed first. Comes behind the
 * load balancers, which must know where Patroni starts anew, and behind etcd, which it then asks by TLS.
 */
export class DatabaseBridge extends pulumi.ComponentResource {
  constructor(name: string, args: PlaintextBridgeArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:DatabaseBridge", name, {}, options);
    const overlay = [{ path: "tls.yml", content: renderMemberTls() }];
    let last: pulumi.Resource[] = [];
    for (const member of args.topology.members.database) {
      last = [prepare(this, args, member, offerTlsScript(member), databaseFiles, overlay, last)];
    }
    this.registerOutputs();
  }
}

function prepare(
  parent: pulumi.ComponentResource,
  { platform, certificates }: PlaintextBridgeArgs,
  host: Member,
  script: string,
  wanted: Wanted,
  more: readonly ManagedFile[],
  dependsOn: pulumi.Resource[],
): pulumi.Resource {
  const { files, secrets } = certificates.of(host.name, wanted);
  return platform.runOnce(
    {
      name: `${host.name}-bridge`,
      component: "PlaintextBridge",
      host,
      onWorkload: "optional",
      script,
      files: [...files, ...more],
      secrets,
    },
    { parent, dependsOn },
  );
}

const balancerFiles: Wanted = { leaves: ["load-balancer"], authorities: ["patroni-api"] };
const databaseFiles: Wanted = { leaves: ["patroni-api", "etcd-client", "postgres"] };

/** Ends what the bridge kept open, once no client comes without TLS any more. */
export class PlaintextEnd extends pulumi.ComponentResource {
  constructor(
    name: string,
    { platform, topology }: Omit<PlaintextBridgeArgs, "certificates">,
    options?: pulumi.ComponentResourceOptions,
  ) {
    super("hastack:index:PlaintextEnd", name, {}, options);
    let last: pulumi.Resource[] = [];
    for (const host of topology.members.database) {
      last = [
        platform.runOnce(
          {
            name: `${host.name}-plaintext-end`,
            component: "PlaintextEnd",
            host,
            onWorkload: "required",
            script: refusePlaintextScript,
            files: [{ path: "plaintext-end.sql", content: plaintextEnd, owner: "postgres" }],
            secrets: {},
          },
          { parent: this, dependsOn: last },
        ),
      ];
    }
    this.registerOutputs();
  }
}
