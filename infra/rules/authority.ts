/** Whoever vouches for the certificate of a server outside: its certificates, as PEM. */
import { X509Certificate } from "node:crypto";
import { blocks, certificateLabel, keyLabel } from "../certificate.ts";
import type { Problem } from "./problem.ts";

/** No message shows the text: it may hold a key by mistake. */
export function authorityProblem(
  pem: string | undefined,
): Pick<Problem, "why" | "fix"> | undefined {
  if (pem === undefined) return undefined;
  const fix = "use the authority's certificate, or several, as PEM";
  if (blocks(pem, keyLabel).length > 0) {
    return { why: "holds a private key, which nobody needs to check a certificate", fix };
  }
  const certificates = blocks(pem, certificateLabel);
  if (certificates.length === 0) return { why: "holds no certificate in PEM", fix };
  try {
    for (const one of certificates) new X509Certificate(one);
    return undefined;
  } catch {
    return { why: "holds a certificate that cannot be read", fix };
  }
}
