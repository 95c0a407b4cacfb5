import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../certificates/certificates.ts";
import {
  type Generations,
  generationsCheck,
  generationsFile,
  loginOf,
  renderGenerations,
} from "../generations.ts";
import type { ManagedFile, Platform, Workload } from "../platform/platform.ts";
import {
  clientUrl,
  etcdDataDirectory,
  etcdHealth,
  etcdUsersScript,
  renderEtcd,
} from "../render/etcd.ts";
import { etcdStart, renderEtcdBridge } from "../render/etcd-bridge.ts";
import { type Member, present, type Topology } from "../topology.ts";
import type { Generated } from "./credentials.ts";

export interface QuorumArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** Passwords of etcd's root: the one in use, and the one before or after. */
  readonly rootPasswords: Generated;
  /** Passwords by which Patroni logs in, each with a user of its own. */
  readonly patroniPasswords: Generated;
  /** Those of all that the stack has made, by name. @default there are none to be told */
  readonly generations?: Readonly<Record<string, Generations>>;
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
    for (const [index, member] of args.topology.members.quorum.entries()) {
      const dependsOn = gates.slice(-1);
      const workload = etcd(args, member);
      // It comes before all that has a password of the others'
      const files = [...workload.files, ...(index === 0 ? toldGenerations(args) : [])];
      gates.push(args.platform.place({ ...workload, files }, { parent: this, dependsOn }));
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
        script: etcdUsersScript(topology, first, [...args.patroniPasswords.keys()]),
        ...usersOf(args),
      },
      { parent: this, dependsOn: gates },
    );
  }
}

/** Files of the task that makes the users, with their passwords. */
function usersOf({ rootPasswords, patroniPasswords }: QuorumArgs) {
  const [root, other] = rootPasswords.values();
  const passwords: Record<string, pulumi.Output<string> | undefined> = {
    root,
    // Whichever of them etcd has: the step before may have been cut off
    "root-other": other,
    ...Object.fromEntries(
      [...patroniPasswords].map(([number, one]) => [loginOf("patroni", number), one]),
    ),
  };
  const there = Object.entries(passwords).filter(([, password]) => password !== undefined);
  const key = (path: string) => `${path.replace("-", "_")}_password`;
  return {
    files: there.map(([path]) => ({ path, content: `@{${key(path)}}`, mode: "0600" })),
    secrets: Object.fromEntries(
      there.map(([path, password]) => [key(path), password as pulumi.Output<string>]),
    ),
  };
}

function toldGenerations({ generations = {} }: QuorumArgs): ManagedFile[] {
  if (Object.keys(generations).length === 0) return [];
  const content = renderGenerations(generations);
  return [{ path: generationsFile, content, check: generationsCheck }];
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
