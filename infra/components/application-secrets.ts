import * as pulumi from "@pulumi/pulumi";
import type { Application, Tier } from "../application/application.ts";
import { hasOther, otherSecretKey, secretKey, secretNames } from "../application/environment.ts";
import type { Generated } from "./credentials.ts";

/** The passwords that an application gets to see. */
export interface ApplicationSecrets {
  /** That of a tier's database role. */
  readonly tier: (name: string) => pulumi.Output<string>;
  /** That of the cache. */
  readonly cache: pulumi.Output<string>;
  /** One of the application's own that the stack generates, as a tier or the migrations see it. */
  readonly generated: (name: string, tier?: string) => Generated;
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
  const entries = secretNames(application, tier).flatMap((name) => {
    const given = application.givenSecrets[name];
    if (given !== undefined) return [[secretKey(name), pulumi.secret(given)] as const];
    const [first, other] = generated(name, tier?.name).values();
    return [
      ...(first ? [[secretKey(name), first] as const] : []),
      ...(other && tier && hasOther(application, name)
        ? [[otherSecretKey(name), other] as const]
        : []),
    ];
  });
  return Object.fromEntries(entries);
}
