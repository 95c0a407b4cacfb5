/** The site's certificate, as the setting `hastack:certificate` holds it, and the site's address. */
import { createHash, X509Certificate } from "node:crypto";
import type { Settings } from "./settings.ts";

/** How visitors speak to the site. */
export function schemeOf({ certificate }: Pick<Settings, "certificate">): "http" | "https" {
  return certificate === undefined ? "http" : "https";
}

/** What links in mails begin with. */
export function publicUrlOf({
  publicUrl,
  certificate,
  network,
}: Pick<Settings, "publicUrl" | "certificate" | "network">): string {
  return publicUrl ?? `${schemeOf({ certificate })}://${network.frontend.vip}`;
}

/** A short hash of a chain that holds no secret: every other chain has another one. */
export function certificateVersion(pem: string): string {
  const hash = createHash("sha256");
  for (const block of blocks(pem, certificateLabel)) hash.update(new X509Certificate(block).raw);
  return hash.digest("hex").slice(0, 12);
}

/** What a reviewer sees of a chain: whom it is for and until when; no secret. */
export function certificateSummary(pem: string): Readonly<Record<string, string>> {
  const chain = blocks(pem, certificateLabel).map((block) => new X509Certificate(block));
  const ends = chain.map(({ validToDate }) => validToDate.toISOString()).sort();
  return {
    names: chain[0]?.subjectAltName ?? "none",
    ends: ends[0] ?? "never",
    version: certificateVersion(pem),
  };
}

/** What the blocks of certificates and private keys are called in PEM. */
export const certificateLabel = /^CERTIFICATE$/;
export const keyLabel = /^([A-Z]+ )?PRIVATE KEY$/;

/** The blocks of these kinds in a PEM text, in their order. */
export function blocks(pem: string, label: RegExp): string[] {
  const found = pem.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----\r?\n[\s\S]*?^-----END \1-----/gm);
  return [...found].filter(([, name = ""]) => label.test(name)).map(([block]) => block);
}
