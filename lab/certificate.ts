import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { inMachine } from "./machines.ts";

/** The longest that browsers accept. */
const days = 825;
/** One that expires sooner is replaced. */
const sparedDays = 7;

export interface CertificateOptions {
  /** The addresses that it is for, the site's first. */
  readonly addresses: readonly string[];
  /** Certificate and key in one, kept from run to run. */
  readonly file: string;
  /** A machine with openssl, where it is made. */
  readonly machine: { readonly set: string; readonly name: string };
  /** The one that the stack's configuration has, if any. */
  readonly inUse: string | undefined;
  /** Puts one into the stack's configuration. */
  readonly use: (pem: string) => Promise<unknown>;
}

/** Whether a PEM text is a certificate for these addresses that holds for some days yet. */
export function isCurrent(pem: string, addresses: readonly string[], now = new Date()): boolean {
  try {
    const certificate = new X509Certificate(pem);
    const end = certificate.validToDate.getTime() - sparedDays * 24 * 3600 * 1000;
    return addresses.every((one) => certificate.checkIP(one)) && now.getTime() < end;
  } catch {
    return false;
  }
}

/** Makes a self-signed certificate and its key. */
export function makeCertificate(
  addresses: readonly string[],
  set: string,
  machine: string,
): Promise<string> {
  const names = addresses.map((address) => `IP:${address}`).join(",");
  const script = `umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days ${days} \\
  -subj "/CN=${addresses[0]}" -addext subjectAltName=${names} -addext extendedKeyUsage=serverAuth \\
  -keyout "$folder/key" -out "$folder/certificate" 2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat "$folder/certificate" "$folder/key"`;
  return inMachine(set, machine, script);
}

/**
 * Sees to it that the stack has a certificate: the one that it has, or one that is made for it.
 * @returns how it is now, in a line
 */
export async function ensureCertificate(options: CertificateOptions): Promise<string> {
  const { addresses, file, machine } = options;
  const inUse = options.inUse?.trim();
  const kept = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  if (inUse !== undefined && inUse !== kept?.trim()) return "the configuration has one";
  const holds = kept !== undefined && isCurrent(kept, addresses);
  if (holds && inUse !== undefined) return `${addresses[0]}'s is set`;
  const pem = holds ? kept : await makeCertificate(addresses, machine.set, machine.name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, pem, { mode: 0o600 });
  await options.use(pem);
  return `${addresses[0]}'s ${holds ? "" : "made and "}set`;
}
