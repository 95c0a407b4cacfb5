import * as pulumi from "@pulumi/pulumi";
import type { Workload } from "../platform/platform.ts";
import { etcdDataDirectory, etcdHealth, etcdUsersScript, renderEtcd } from "../render/etcd.ts";
import type { Member, Topology } from "../topology.ts";
import type { Parts } from "./parts.ts";

/** The etcd members that outvote a lost one; Patroni keeps there who is primary. */
export class Quorum extends pulumi.ComponentResource {
  constructor(name: string, args: Parts, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Quorum", name, {}, options);
    const gates = this.#placeMembers(args);
    this.#giveUsers(args, gates);
    this.registerOutputs();
  }

  /** One after the other: with three, two of them are always left. */
  #placeMembers({ topology, platform }: Parts): pulumi.Resource[] {
    const gates: pulumi.Resource[] = [];
    for (const member of topology.members.quorum) {
      const dependsOn = gates.slice(-1);
      gates.push(platform.place(etcd(topology, member), { parent: this, dependsOn }));
    }
    return gates;
  }

  #giveUsers({ topology, platform, credentials }: Parts, gates: pulumi.Resource[]): void {
    const [first] = topology.members.quorum;
    if (!first) return;
    platform.runOnce(
      {
        name: "etcd-users",
        component: "Quorum",
        host: first,
        script: etcdUsersScript(topology, first),
        files: [
          { path: "root", content: "@{root_password}", mode: "0600" },
          { path: "patroni", content: "@{patroni_password}", mode: "0600" },
        ],
        secrets: {
          root_password: credentials.of("etcdRoot"),
          patroni_password: credentials.of("etcdPatroni"),
        },
      },
      { parent: this, dependsOn: gates },
    );
  }
}

function etcd(topology: Topology, member: Member): Workload {
  return {
    host: member,
    component: "Quorum",
    packages: ["etcd-server", "etcd-client"],
    processes: [
      {
        name: "etcd",
        command: ["etcd", "--config-file=etcd.yml"],
        user: "etcd",
        directories: [{ path: "/var/lib/etcd", mode: "0700" }],
        stopGraceSeconds: 10,
      },
    ],
    files: [{ path: "etcd.yml", content: renderEtcd(topology, member), reloads: "etcd" }],
    secrets: {},
    data: [{ name: "data", path: "/var/lib/etcd", own: etcdDataDirectory, keep: false }],
    health: { command: etcdHealth(topology, member), meaning: "etcd answers with a quorum" },
  };
}
