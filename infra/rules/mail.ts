/** A login at the mail server is a user and a password, or neither; and who vouches for it is readable. */
import type { Settings } from "../settings.ts";
import { authorityProblem } from "./authority.ts";
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
