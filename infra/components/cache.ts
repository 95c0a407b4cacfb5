import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../certificates/certificates.ts";
import type { Platform, Workload } from "../platform/platform.ts";
import { cacheCheck, cacheHealth, renderCache } from "../render/cache.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";
import { current, type Generated } from "./credentials.ts";

export interface CacheArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** How much it may keep. */
  readonly cache: Settings["cache"];
  /** All that are taken. */
  readonly passwords: Generated;
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
  const byKey = passwordsByKey(args.passwords);
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
        content: renderCache(args, self, Object.keys(byKey)),
        owner: "valkey",
        mode: "0400",
        check: cacheCheck,
        reloads: "valkey",
      },
      { path: "password", content: "@{cache_password}", mode: "0400" },
    ],
    secrets: { ...own.secrets, cache_password: current(args.passwords), ...byKey },
    health: {
      command: cacheHealth(self),
      meaning: "it shows its certificate, and answers a login with PONG",
    },
  };
}

/** In an order that stays when another one of them comes into use: nothing starts anew for that. */
function passwordsByKey(passwords: Generated): Record<string, pulumi.Output<string>> {
  if (passwords.size === 1) return {};
  const sorted = [...passwords].sort(([one], [other]) => one - other);
  return Object.fromEntries(sorted.map(([number, one]) => [`cache_password_${number}`, one]));
}
