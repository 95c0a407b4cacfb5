/** Issues certificates: keys on the curve P-256, as all programs of the stack take them. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { LeafPlan } from "./plan.ts";

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Clocks of machines differ: what is issued is valid from an hour before. */
const earlierMilliseconds = 3_600_000;
const authorityDays = 3650;

const { subtle } = webcrypto;

/** Makes an authority, for ten years. */
export async function issueAuthority(name: string, now = new Date()): Promise<Pair> {
  const keys = await subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const end = new Date(now);
  end.setUTCDate(end.getUTCDate() + authorityDays);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: ["hastack"] }, { CN: [name] }],
    notBefore: new Date(now.getTime() - earlierMilliseconds),
    notAfter: end,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      // It vouches for members, and for no further authority
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pair(certificate, keys.privateKey);
}

/** Issues a certificate that ends at a given time. */
export async function issueLeaf(
  plan: LeafPlan,
  authority: Pair,
  notAfter: Date,
  now = new Date(),
): Promise<Pair> {
  const issuer = new X509Certificate(authority.certificate);
  const signingKey = await subtle.importKey(
    "pkcs8",
    PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ["sign"],
  );
  const keys = await subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const { unit, commonName } = plan;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [
      { O: ["hastack"] },
      ...(unit === undefined ? [] : [{ OU: [unit] }]),
      ...(commonName === undefined ? [] : [{ CN: [commonName] }]),
    ],
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - earlierMilliseconds),
    notAfter,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      ...(await identifiers(keys.publicKey, issuer)),
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      ...purposes(plan),
    ],
  });
  return pair(certificate, keys.privateKey);
}

async function identifiers(
  key: webcrypto.CryptoKey,
  issuer: X509Certificate,
): Promise<Extension[]> {
  return [
    await SubjectKeyIdentifierExtension.create(key),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
}

function purposes({ use, names, addresses }: LeafPlan): Extension[] {
  const uses = {
    server: [ExtendedKeyUsage.serverAuth],
    client: [ExtendedKeyUsage.clientAuth],
    both: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
  };
  const alternatives = [
    ...names.map((value) => ({ type: "dns" as const, value })),
    ...addresses.map((value) => ({ type: "ip" as const, value })),
  ];
  return [
    new ExtendedKeyUsageExtension(uses[use]),
    ...(alternatives.length > 0 ? [new SubjectAlternativeNameExtension(alternatives)] : []),
  ];
}

/** Positive, and no two alike. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  const hex = Buffer.from(bytes).toString("hex");
  return `4${hex.slice(1)}`;
}

async function pair(certificate: X509Certificate, key: webcrypto.CryptoKey): Promise<Pair> {
  const pkcs8 = await subtle.exportKey("pkcs8", key);
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `${PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
  };
}
