/** What an application adds to the stack's outputs. */
import * as pulumi from "@pulumi/pulumi";
import type { Application } from "./application.ts";
import { secretNames } from "./environment.ts";

/**
 * A secret that the operator may leave out, and does, is no output.
 * @param url of the site, with a slash at its end
 * @param secrets gives the generated ones
 */
export function outputsOf(
  application: Application,
  url: string,
  secrets: { ofSecret(name: string): pulumi.Output<string> },
): Record<string, string | pulumi.Output<string>> {
  const { outputs, givenSecrets } = application;
  const there = secretNames(application);
  const secretOf = (name: string) => {
    const given = givenSecrets[name];
    return given === undefined ? secrets.ofSecret(name) : pulumi.secret(given);
  };
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([, { secret }]) => secret === undefined || there.includes(secret))
      .map(([name, { path, secret }]) => [
        name,
        secret === undefined ? new URL(path ?? "/", url).href : secretOf(secret),
      ]),
  );
}
