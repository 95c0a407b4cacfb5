/** The certificates that members show to whoever connects. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Leaf } from "../../../infra/certificates/domains.ts";
import { ports } from "../../../infra/roles.ts";
import type { TestStack } from "../test-stack.ts";
import type { Held } from "./state.ts";

/** What PostgreSQL wants to hear before TLS. */
const databaseRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const limitMilliseconds = 5000;

/** Port of each certificate that is shown to clients. */
const shownAt: Partial<Record<Leaf, (member: string) => number>> = {
  "etcd-server": () => ports.etcdClient,
  "etcd-peer": () => ports.etcdPeer,
  "patroni-api": () => ports.patroni,
  postgres: () => ports.postgres,
  "cache-server": () => ports.cache,
  instance: (member) => (member.startsWith("admin-") ? 3001 : 3000),
};

/** What each of these is shown as, where it is: `MEMBER LEAF: FINGERPRINT`, those for clients left out. */
export async function shownNow(
  { place }: TestStack,
  certificates: readonly Held[],
): Promise<string[]> {
  const lines = certificates.map(async ({ member, leaf }) => {
    const port = shownAt[leaf]?.(member);
    if (port === undefined) return [];
    return [`${member} ${leaf}: ${await shownBy(place.address(member), port)}`];
  });
  return (await Promise.all(lines)).flat().sort();
}

/** The same, as they should be shown. */
export function toBeShown(certificates: readonly Held[]): string[] {
  return certificates
    .filter(({ leaf }) => shownAt[leaf] !== undefined)
    .map(({ member, leaf, pem }) => `${member} ${leaf}: ${fingerprint(pem)}`)
    .sort();
}

const fingerprint = (pem: string | Buffer) => new X509Certificate(pem).fingerprint256.slice(0, 23);

/** @throws when no TLS is spoken there */
async function shownBy(host: string, port: number): Promise<string> {
  const socket = connectPlain({ host, port });
  socket.setTimeout(limitMilliseconds, () =>
    socket.destroy(new Error(`${host}:${port} does not answer`)),
  );
  try {
    await once(socket, "connect");
    if (port === ports.postgres) {
      socket.write(databaseRequest);
      await once(socket, "data");
    }
    const secured = connectTls({ socket, rejectUnauthorized: false });
    // Whatever is said of our own certificate comes later
    secured.on("error", () => {});
    await once(secured, "secureConnect");
    const { raw } = secured.getPeerCertificate();
    return fingerprint(raw);
  } finally {
    socket.destroy();
  }
}
