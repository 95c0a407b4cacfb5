import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../certificates/certificates.ts";
import type { Platform, Workload } from "../platform/platform.ts";
import {
  clientUrl,
  etcdDataDirectory,
  etcdHealth,
  etcdUsersScript,
  renderEtcd,
} from "../render/etcd.ts";
import { etcdStart, renderEtcdBridge } from "../render/etcd-bridge.ts";
import { type Member, present, type Topology } from "../topology.ts";

export interface QuorumArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** Password of etcd's administrator. */
  readonly rootPassword: pulumi.Output<string>;
  /** Password by which Patroni logs in. */
  readonly patroniPassword: pulumi.Output<string>;
}

/** The etcd members: they keep a majority when one is lost. Patroni stores there who is primary. */
export class Quorum extends pulumi.ComponentResource {
  /** Where clients reach the members. */
  readonly endpoints: readonly string[];

  constructor(name: string, args: QuorumArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Quorum", name, {}, options);
    this.endpoints = args.topology.members.quorum.map(clientUrl);
    const gates = this.#placeMembers(args);
    this.#giveUsers(args, gates);
    this.registerOutputs({ endpoints: this.endpoints });
  }

  /** One after the other: with three, two of them are always left. */
  #placeMembers(args: QuorumArgs): pulumi.Resource[] {
    const gates: pulumi.Resource[] = [];
    for (const member of args.topology.members.quorum) {
      const dependsOn = gates.slice(-1);
      gates.push(args.platform.place(etcd(args, member), { parent: this, dependsOn }));
    }
    return gates;
  }

  #giveUsers(args: QuorumArgs, gates: pulumi.Resource[]): void {
    const { topology, platform } = args;
    const [first] = present(topology.members.quorum);
    if (!first) return;
    platform.runOnce(
      {
        name: "etcd-users",
        component: "Quorum",
        host: first,
        onWorkload: "required",
        script: etcdUsersScript(topology, first),
        files: [
          { path: "root", content: "@{root_password}", mode: "0600" },
          { path: "patroni", content: "@{patroni_password}", mode: "0600" },
        ],
        secrets: { root_password: args.rootPassword, patroni_password: args.patroniPassword },
      },
      { parent: this, dependsOn: gates },
    );
  }
}

function etcd({ topology, certificates }: QuorumArgs, member: Member): Workload {
  // A certificate is read whenever someone connects, an authority once
  const { files, secrets } = certificates.of(
    member.name,
    { leaves: ["etcd-peer", "etcd-server"] },
    { owner: "etcd", authorityRestarts: "etcd" },
  );
  return {
    host: member,
    component: "Quorum",
    packages: ["etcd-server", "etcd-client"],
    processes: [
      {
        name: "etcd",
        command: ["bin/etcd-start"],
        user: "etcd",
        directories: [{ path: "/var/lib/etcd", mode: "0700" }],
        stopGraceSeconds: 10,
      },
    ],
    files: [
      { path: "etcd.yml", content: renderEtcd(topology, member), reloads: "etcd" },
      { path: "etcd-bridge.yml", content: renderEtcdBridge(topology, member) },
      { path: "bin/etcd-start", content: etcdStart, mode: "0755" },
      ...files,
    ],
    secrets,
    data: [{ name: "data", path: "/var/lib/etcd", own: etcdDataDirectory, keep: false }],
    health: { command: etcdHealth(topology, member), meaning: "etcd answers with a quorum" },
  };
}
