import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../certificates/certificates.ts";
import type { Platform, Workload } from "../platform/platform.ts";
import { cacheCheck, cacheHealth, renderCache } from "../render/cache.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";

export interface CacheArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** How much it may keep. */
  readonly cache: Settings["cache"];
  readonly password: pulumi.Output<string>;
}

/** A Redis-protocol server for what is read again and again; the application can lose it at any time. */
export class Cache extends pulumi.ComponentResource {
  /** `host:port` of each member: one, or none. */
  readonly addresses: readonly string[];

  constructor(name: string, args: CacheArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Cache", name, {}, options);
    const members = args.topology.members.cache;
    this.addresses = members.map(({ backend }) => `${backend}:${ports.cache}`);
    for (const member of members) {
      args.platform.place(valkey(args, member), { parent: this, dependsOn: [] });
    }
    this.registerOutputs({ addresses: this.addresses });
  }
}

/** It starts anew with other certificates, and is empty then: what it holds may be lost at any time. */
function valkey(args: CacheArgs, self: Member): Workload {
  const own = args.certificates.of(
    self.name,
    // By the second one its own health is asked for
    { leaves: ["cache-server", "cache-client"] },
    { owner: "valkey", restarts: "valkey" },
  );
  return {
    host: self,
    component: "Cache",
    packages: ["valkey-server"],
    processes: [
      {
        name: "valkey",
        command: ["valkey-server", "valkey.conf"],
        user: "valkey",
        stopGraceSeconds: 5,
      },
    ],
    files: [
      ...own.files,
      {
        path: "valkey.conf",
        content: renderCache(args, self),
        owner: "valkey",
        mode: "0400",
        check: cacheCheck,
        reloads: "valkey",
      },
      { path: "password", content: "@{cache_password}", mode: "0400" },
    ],
    secrets: { ...own.secrets, cache_password: args.password },
    health: {
      command: cacheHealth(self),
      meaning: "it shows its certificate, and answers a login with PONG",
    },
  };
}
