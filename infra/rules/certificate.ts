/**
 * The site's certificate, and the address that it is for: what must be right before anything is
 * touched. The text holds a private key, so that no message shows any of it.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { blocks, certificateLabel, keyLabel } from "../certificate.ts";
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

type SiteSettings = Pick<Settings, "certificate" | "plainHttp" | "publicUrl" | "network" | "stack">;

type Refuse = (why: string, fix: string) => void;

/** Days before the end of a certificate from which on it is warned of. */
const spareDays = 30;

/**
 * What is wrong whether or not the site is served with it already; one that has ended is not.
 * @param now what counts as the present @default the present
 */
export function certificateProblems(settings: SiteSettings, now = new Date()): Problem[] {
  const { certificate, plainHttp, stack } = settings;
  if (certificate === undefined) {
    const fix = `give chain and key by cat CHAIN.pem KEY.pem | npx pulumi config set --stack ${stack} --secret hastack:certificate, or serve plain HTTP by hastack:plainHttp: true`;
    return plainHttp ? [] : [{ path: "certificate", why: "is missing", fix }];
  }
  const problems: Problem[] = [];
  const refuse: Refuse = (why, fix) => problems.push({ path: "certificate", why, fix });
  const chain = readChain(certificate, refuse);
  const key = readKey(certificate, refuse);
  const [own] = chain;
  if (own && key && !own.checkPrivateKey(key)) {
    refuse(
      "its private key does not belong to its first certificate",
      "put the site's own certificate first and use its key",
    );
  }
  for (const [index, one] of chain.entries()) {
    const found = beginProblem(one, now) ?? orderProblem(one, chain[index + 1], index);
    if (found) refuse(`its certificate ${index + 1} ${found.why}`, found.fix);
  }
  return own ? [...problems, ...publicUrlProblems(settings, own)] : problems;
}

/** The certificates, or none at all where one cannot be read. */
function readChain(pem: string, refuse: Refuse): X509Certificate[] {
  const found = blocks(pem, certificateLabel);
  if (found.length === 0) {
    refuse(
      "holds no certificate in PEM",
      "use the site's certificate, its chain and its private key in one text",
    );
  }
  const chain: X509Certificate[] = [];
  for (const [index, block] of found.entries()) {
    try {
      chain.push(new X509Certificate(block));
    } catch {
      refuse(`its certificate ${index + 1} cannot be read`, "use it as its issuer gave it");
      return [];
    }
  }
  return chain;
}

function readKey(pem: string, refuse: Refuse): KeyObject | undefined {
  const found = blocks(pem, keyLabel);
  const [block] = found;
  if (block === undefined || found.length > 1) {
    const many = block === undefined ? "no private key" : `${found.length} private keys`;
    refuse(`holds ${many}`, "use the one of its first certificate");
    return undefined;
  }
  if (/ENCRYPTED/.test(block)) {
    refuse(
      "its private key is encrypted",
      "use it without a passphrase (openssl pkey -in KEY.pem)",
    );
    return undefined;
  }
  try {
    return createPrivateKey(block);
  } catch {
    refuse("its private key cannot be read", "use one as openssl writes it");
    return undefined;
  }
}

type Found = Pick<Problem, "why" | "fix"> | undefined;

function beginProblem({ validFromDate }: X509Certificate, now: Date): Found {
  if (validFromDate <= now) return undefined;
  const why = `is not valid before ${minute(validFromDate)}`;
  return { why, fix: "use one that is valid now" };
}

/** Those of a readable chain that have ended: no reason to refuse anything but the chain itself. */
export function endedProblems(certificate: string, now = new Date()): Problem[] {
  return endings(certificate)
    .filter(({ ends }) => ends <= now)
    .map(({ label, ends }) => ({
      path: "certificate",
      why: `${label} expired on ${minute(ends)}`,
      fix: "use a renewed one",
    }));
}

/** What ends soon, or has ended: the site is served with it all the same. */
export function certificateWarnings(
  { certificate = "" }: Pick<Settings, "certificate">,
  now = new Date(),
): Problem[] {
  const soon = new Date(now.getTime() + spareDays * 24 * 60 * 60 * 1000);
  const near = endings(certificate)
    .filter(({ ends }) => ends > now && ends <= soon)
    .map(({ label, ends }) => ({
      path: "certificate",
      why: `${label} expires on ${minute(ends)}`,
      fix: "use a renewed one before that",
    }));
  return [...endedProblems(certificate, now), ...near];
}

/** The end of each certificate of a chain, and what a message calls it. */
function endings(certificate: string): { label: string; ends: Date }[] {
  return readChain(certificate, () => {}).map((one, index) => ({
    label: `its certificate ${index + 1} (${one.subjectAltName ?? one.subject.replaceAll("\n", ", ")})`,
    ends: one.validToDate,
  }));
}

function minute(date: Date): string {
  return date.toISOString().replace(/:\d\d\.\d+Z$/, "Z");
}

/** Browsers know the roots alone: each certificate is followed by its issuer's. */
function orderProblem(
  one: X509Certificate,
  next: X509Certificate | undefined,
  index: number,
): Found {
  if (!next || (one.checkIssued(next) && one.verify(next.publicKey))) return undefined;
  return {
    why: `is not issued by certificate ${index + 2}`,
    fix: "put the site's own first, and behind each one its issuer's",
  };
}

/** The address that links lead to must be one that the certificate is for. */
function publicUrlProblems({ publicUrl, network }: SiteSettings, own: X509Certificate): Problem[] {
  const path = "publicUrl";
  const names = `the certificate's names (${own.subjectAltName ?? "it has none"})`;
  if (publicUrl === undefined) {
    const { vip } = network.frontend;
    const why = `is missing, and ${vip} is none of ${names}`;
    return covers(own, vip) ? [] : [{ path, why, fix: "use https:// and one of them" }];
  }
  const found = { path, value: publicUrl };
  if (publicUrl.startsWith("http:")) {
    const fix = `use ${publicUrl.replace(":", "s:")}`;
    return [{ ...found, why: "is plain HTTP, and the site has a certificate", fix }];
  }
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, "");
  if (covers(own, host)) return [];
  return [{ ...found, why: `is none of ${names}`, fix: "use one of them or another certificate" }];
}

/** Browsers look at the alternative names alone. */
function covers(own: X509Certificate, host: string): boolean {
  const found = isIP(host) ? own.checkIP(host) : own.checkHost(host, { subject: "never" });
  return found !== undefined;
}
