/**
 * The site's certificate, as the setting `hastack:certificate` holds it: what must be right with it
 * before anything is touched. The text holds a private key, so that no message shows any of it.
 */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Settings } from "./settings.ts";

type SiteSettings = Pick<Settings, "certificate" | "plainHttp" | "publicUrl" | "network" | "stack">;

/** How visitors speak to the site. */
export function schemeOf({ certificate }: Pick<Settings, "certificate">): "http" | "https" {
  return certificate === undefined ? "http" : "https";
}

/** What links in mails begin with. */
export function publicUrlOf({ publicUrl, certificate, network }: SiteSettings): string {
  return publicUrl ?? `${schemeOf({ certificate })}://${network.frontend.vip}`;
}

/** A short hash of a chain that holds no secret: every other chain has another one. */
export function certificateVersion(pem: string): string {
  const hash = createHash("sha256");
  for (const block of blocks(pem, certificateLabel)) hash.update(new X509Certificate(block).raw);
  return hash.digest("hex").slice(0, 12);
}

/**
 * Rules on the certificate, and on the address that it is for.
 * @param now what counts as the present @default the present
 */
export function certificateProblems(settings: SiteSettings, now = new Date()): string[] {
  const { certificate, plainHttp, stack } = settings;
  if (certificate === undefined) {
    return plainHttp
      ? []
      : [
          `hastack:certificate: is missing; give chain and key by cat CHAIN.pem KEY.pem | npx pulumi config set --stack ${stack} --secret hastack:certificate, or serve plain HTTP by hastack:plainHttp: true`,
        ];
  }
  const problems: string[] = [];
  const refuse = (why: string) => problems.push(`hastack:certificate: ${why}`);
  const chain = readChain(certificate, refuse);
  const key = readKey(certificate, refuse);
  const [own] = chain;
  if (own && key && !own.checkPrivateKey(key)) {
    refuse(
      "its private key does not belong to its first certificate, put the site's own certificate first and use its key",
    );
  }
  for (const [index, one] of chain.entries()) {
    const why = timeProblem(one, now) ?? orderProblem(one, chain[index + 1], index);
    if (why) refuse(`its certificate ${index + 1} ${why}`);
  }
  return own ? [...problems, ...addressProblems(settings, own)] : problems;
}

const certificateLabel = /^CERTIFICATE$/;
const keyLabel = /^([A-Z]+ )?PRIVATE KEY$/;

/** The blocks of these kinds in a PEM text, in their order. */
function blocks(pem: string, label: RegExp): string[] {
  const found = pem.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----\r?\n[\s\S]*?^-----END \1-----/gm);
  return [...found].filter(([, name = ""]) => label.test(name)).map(([block]) => block);
}

/** The certificates, or none at all where one cannot be read. */
function readChain(pem: string, refuse: (why: string) => void): X509Certificate[] {
  const found = blocks(pem, certificateLabel);
  if (found.length === 0) {
    refuse(
      "holds no certificate in PEM, use the site's certificate, its chain and its private key in one text",
    );
  }
  const chain: X509Certificate[] = [];
  for (const [index, block] of found.entries()) {
    try {
      chain.push(new X509Certificate(block));
    } catch {
      refuse(`its certificate ${index + 1} cannot be read, use it as its issuer gave it`);
      return [];
    }
  }
  return chain;
}

function readKey(pem: string, refuse: (why: string) => void): KeyObject | undefined {
  const found = blocks(pem, keyLabel);
  const [block] = found;
  if (block === undefined || found.length > 1) {
    refuse(`holds ${found.length || "no"} private keys, use the one of its first certificate`);
    return undefined;
  }
  if (/ENCRYPTED/.test(block)) {
    refuse("its private key is encrypted, use it without a passphrase (openssl pkey -in KEY.pem)");
    return undefined;
  }
  try {
    return createPrivateKey(block);
  } catch {
    refuse("its private key cannot be read, use one as openssl writes it");
    return undefined;
  }
}

function timeProblem({ validFromDate, validToDate }: X509Certificate, now: Date) {
  if (validToDate <= now) return `ended on ${minute(validToDate)}, use a renewed one`;
  if (validFromDate > now) return `begins on ${minute(validFromDate)}, use one that holds now`;
  return undefined;
}

function minute(date: Date): string {
  return date.toISOString().replace(/:\d\d\.\d+Z$/, "Z");
}

/** Browsers know the roots alone: each certificate is followed by the one that vouches for it. */
function orderProblem(one: X509Certificate, next: X509Certificate | undefined, index: number) {
  if (!next || (one.checkIssued(next) && one.verify(next.publicKey))) return undefined;
  return `is not issued by certificate ${index + 2}, put the site's own first, and behind each one its issuer's`;
}

/** The address that links lead to must be one that the certificate is for. */
function addressProblems({ publicUrl, network }: SiteSettings, own: X509Certificate): string[] {
  const refuse = (why: string) => [`hastack:publicUrl: ${why}`];
  if (publicUrl?.startsWith("http:")) {
    return refuse(`${publicUrl} leads past the certificate, use ${publicUrl.replace(":", "s:")}`);
  }
  const { vip } = network.frontend;
  const host = publicUrl === undefined ? vip : new URL(publicUrl).hostname.replace(/^\[|\]$/g, "");
  if (covers(own, host)) return [];
  const names = `the certificate's names (${own.subjectAltName ?? "it has none"})`;
  return publicUrl === undefined
    ? refuse(`is missing, and ${vip} is none of ${names}; use https:// and one of them`)
    : refuse(`${host} is none of ${names}, use one of them or another certificate`);
}

/** Browsers look at the alternative names alone. */
function covers(own: X509Certificate, host: string): boolean {
  const found = isIP(host) ? own.checkIP(host) : own.checkHost(host, { subject: "never" });
  return found !== undefined;
}
