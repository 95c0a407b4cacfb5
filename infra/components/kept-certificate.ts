import * as pulumi from "@pulumi/pulumi";
import { certificateSummary } from "../certificate.ts";
import { isKnown } from "../known.ts";
import { endedProblems } from "../rules/certificate.ts";
import { SettingsError } from "../settings.ts";

/**
 * Keeps in the state which certificate the site is served with. So a preview shows whom a new one is for
 * and when it ends. A certificate that has ended is refused where it is a new one only: whoever changes
 * something else is not kept from it.
 * @param pem chain and key
 * @throws SettingsError in a preview; `up` begins with one
 */
export async function keepCertificate(
  pem: string,
  options: pulumi.CustomResourceOptions,
): Promise<void> {
  const input = certificateSummary(pem);
  const kept = new pulumi.Stash(
    "certificate",
    { input },
    { ...options, replaceOnChanges: ["input"] },
  );
  const problems = endedProblems(pem);
  if (problems.length === 0 || !pulumi.runtime.isDryRun()) return;
  if (!(await isKnown(kept))) throw new SettingsError(problems);
}
