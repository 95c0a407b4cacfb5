/** A login at the mail server is a user and a password, or neither; and who vouches for it is readable. */
import { X509Certificate } from "node:crypto";
import { blocks, certificateLabel, keyLabel } from "../certificate.ts";
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

export function mailProblems({
  smtp,
  smtpPassword,
}: Pick<Settings, "smtp" | "smtpPassword">): Problem[] {
  const authority = authorityProblem(smtp?.certificateAuthority);
  const found: Problem[] = authority ? [{ path: "smtp.certificateAuthority", ...authority }] : [];
  if (smtp?.user !== undefined && smtpPassword === undefined) {
    const fix =
      "give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out";
    found.push({ path: "smtp.user", value: smtp.user, why: "has no password", fix });
  }
  if (smtpPassword !== undefined && smtp?.user === undefined) {
    const fix = "set hastack:smtp.user, or leave the password out";
    found.push({ path: "smtpPassword", why: "has no user to go with", fix });
  }
  return found;
}

/** No message shows the text: it may hold a key by mistake. */
function authorityProblem(pem: string | undefined): Pick<Problem, "why" | "fix"> | undefined {
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
