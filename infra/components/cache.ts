import * as pulumi from "@pulumi/pulumi";
import type { Workload } from "../platform/platform.ts";
import { cacheCheck, cacheHealth, renderCache } from "../render/cache.ts";
import type { Member } from "../topology.ts";
import type { Parts } from "./parts.ts";

/** A Redis-protocol server for what is read again and again; the application can lose it at any time. */
export class Cache extends pulumi.ComponentResource {
  constructor(name: string, args: Parts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Cache", name, {}, options);
    for (const member of args.topology.members.cache) {
      args.platform.place(valkey(args, member), { parent: this, dependsOn: [] });
    }
    this.registerOutputs();
  }
}

function valkey({ settings, credentials }: Parts, self: Member): Workload {
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
      {
        path: "valkey.conf",
        content: renderCache(settings, self),
        owner: "valkey",
        mode: "0400",
        check: cacheCheck,
        reloads: "valkey",
      },
      { path: "password", content: "@{cache_password}", mode: "0400" },
    ],
    secrets: { cache_password: credentials.of("cache") },
    health: { command: cacheHealth(self), meaning: "it answers a login with PONG" },
  };
}
