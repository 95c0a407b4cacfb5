/** A login at the mail server is a user and a password, or neither. */
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

export function mailProblems({
  smtp,
  smtpPassword,
}: Pick<Settings, "smtp" | "smtpPassword">): Problem[] {
  if (smtp?.user !== undefined && smtpPassword === undefined) {
    return [
      {
        path: "smtp.user",
        value: smtp.user,
        why: "has no password",
        fix: "give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out",
      },
    ];
  }
  if (smtpPassword !== undefined && smtp?.user === undefined) {
    return [
      {
        path: "smtpPassword",
        why: "has no user to go with",
        fix: "set hastack:smtp.user, or leave the password out",
      },
    ];
  }
  return [];
}
