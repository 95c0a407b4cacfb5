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
 * Prepares a running stack of a release without certificates: whichever member gets its certificates
 * first, the others find it. Comes before anything is placed; elsewhere it finds nothing to do.
 */
export class PlaintextBridge extends pulumi.ComponentResource {
  constructor(name: string, args: PlaintextBridgeArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:PlaintextBridge", name, {}, options);
    const { loadBalancer, database } = args.topology.members;
    let last: pulumi.Resource[] = [];
    // The load balancers first: they must know where Patroni starts anew
    for (const member of loadBalancer) {
      last = [this.#prepare(args, member, balanceBothScript, balancerFiles, [], last)];
    }
    const overlay = [{ path: "tls.yml", content: renderMemberTls() }];
    for (const member of database) {
      last = [this.#prepare(args, member, offerTlsScript(member), databaseFiles, overlay, last)];
    }
    this.registerOutputs();
  }

  #prepare(
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
        onWorkload: true,
        script,
        files: [...files, ...more],
        secrets,
      },
      { parent: this, dependsOn },
    );
  }
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
            onWorkload: true,
            script: refusePlaintextScript(host),
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
