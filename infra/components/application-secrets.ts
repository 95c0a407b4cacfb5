import * as pulumi from "@pulumi/pulumi";
import type { Application, Tier } from "../application/application.ts";
import { secretKey, secretNames } from "../application/environment.ts";

/** The passwords that an application gets to see. */
export interface ApplicationSecrets {
  /** That of a tier's database role. */
  readonly tier: (name: string) => pulumi.Output<string>;
  /** That of the cache. */
  readonly cache: pulumi.Output<string>;
  /** One of the application's own that the stack generates, as a tier or the migrations see it. */
  readonly generated: (name: string, tier?: string) => pulumi.Output<string>;
}

/**
 * The application's own secrets, by their keys in a workload or a task.
 * @param tier whose they are @default the migrations
 */
export function ownSecrets(
  application: Application,
  { generated }: ApplicationSecrets,
  tier?: Tier,
): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(
    secretNames(application, tier).map((name) => {
      const given = application.givenSecrets[name];
      return [
        secretKey(name),
        given === undefined ? generated(name, tier?.name) : pulumi.secret(given),
      ];
    }),
  );
}
