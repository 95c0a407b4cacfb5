/** What an application adds to the stack's outputs. */
import * as pulumi from "@pulumi/pulumi";
import type { Application } from "./application.ts";

/**
 * @param url of the site, with a slash at its end
 * @param secrets gives the generated ones
 */
export function outputsOf(
  { outputs, givenSecrets }: Application,
  url: string,
  secrets: { ofSecret(name: string): pulumi.Output<string> },
): Record<string, string | pulumi.Output<string>> {
  const secretOf = (name: string) => {
    const given = givenSecrets[name];
    return given === undefined ? secrets.ofSecret(name) : pulumi.secret(given);
  };
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { path, secret }]) => [
      name,
      secret === undefined ? new URL(path ?? "/", url).href : secretOf(secret),
    ]),
  );
}
