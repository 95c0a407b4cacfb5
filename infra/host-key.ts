/** SSH host keys as text: `ssh-ed25519 AAAAC3…`, as in a machine's /etc/ssh/ssh_host_*_key.pub. */
import { createHash } from "node:crypto";

/** The types that are accepted, best first. */
export const hostKeyTypes = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
] as const;

export interface HostKey {
  readonly type: string;
  /** The key itself, base64. */
  readonly key: string;
}

/**
 * Reads a host key; a comment after it is ignored.
 * @returns nothing when the text is none of an accepted type
 */
export function parseHostKey(text: string): HostKey | undefined {
  const [, type = "", key = ""] =
    /^(\S+) ([A-Za-z0-9+/]+={0,2})(?: [^\r\n]*)?\n?$/.exec(text) ?? [];
  if (!hostKeyTypes.some((one) => one === type)) return undefined;
  const bytes = Buffer.from(key, "base64");
  const fields = fieldsOf(bytes);
  return bytes.toString("base64") === key && fields.length > 1 && fields[0]?.toString() === type
    ? { type, key }
    : undefined;
}

/** The parts of a key: its type again, then numbers, each after its length; none if malformed. */
function fieldsOf(bytes: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const end = at + 4 + bytes.readUInt32BE(at);
    fields.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return at === bytes.length && fields.every(({ length }) => length > 0) ? fields : [];
}

/** The key as one line, without a comment. */
export function hostKeyText({ type, key }: HostKey): string {
  return `${type} ${key}`;
}

/** What `ssh-keygen -l` shows of a key: `SHA256:…`. */
export function fingerprint({ key }: HostKey): string {
  const digest = createHash("sha256").update(Buffer.from(key, "base64")).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}
