/** What lies in a stack's state, as whoever has the state and its passphrase sees it. */
import type { Domain, Leaf } from "../../../infra/certificates/domains.ts";
import type { Pair } from "../../../infra/certificates/issue.ts";
import type { LeafPlan } from "../../../infra/certificates/plan.ts";
import type { TestStack } from "../test-stack.ts";

/** A certificate of a member. */
export interface Held {
  readonly member: string;
  readonly leaf: Leaf;
  /** PEM of certificate and key. */
  readonly pem: string;
  /** What was to be issued. */
  readonly plan: LeafPlan;
}

export interface StackSecrets {
  /** All that the members have. */
  readonly certificates: readonly Held[];
  /** The authorities of each domain, by their numbers. */
  readonly authorities: ReadonlyMap<Domain, ReadonlyMap<number, Pair>>;
  /** Password of a principal or a tier. @throws where there is none */
  password(of: string): string;
  /** All passwords and generated secrets, by the names of their resources. */
  readonly passwords: ReadonlyMap<string, string>;
}

interface Resource {
  readonly urn: string;
  readonly type: string;
  readonly inputs?: { readonly environment?: Readonly<Record<string, string>> };
  readonly outputs?: Readonly<Record<string, unknown>>;
}

export async function secretsOf(stack: TestStack): Promise<StackSecrets> {
  const { deployment } = JSON.parse(await stack.must(["stack", "export", "--show-secrets"]));
  const resources: readonly Resource[] = deployment.resources ?? [];
  const authorities = new Map<Domain, Map<number, Pair>>();
  const certificates: Held[] = [];
  const passwords = new Map<string, string>();
  for (const resource of resources) {
    // The stack's own may be called as it likes
    if (resource.type === "pulumi:pulumi:Stack") continue;
    const name = resource.urn.split("::").at(-1) ?? "";
    const [, domain, number] = /^authority-(.*)-(\d+)$/.exec(name) ?? [];
    const [, member] = /^(.*)-certificates$/.exec(name) ?? [];
    const { outputs = {} } = resource;
    if (domain !== undefined) {
      const known = authorities.get(domain as Domain) ?? new Map<number, Pair>();
      authorities.set(
        domain as Domain,
        known.set(Number(number), JSON.parse(shown(outputs.stdout))),
      );
    } else if (member !== undefined) {
      certificates.push(...heldBy(member, resource, JSON.parse(shown(outputs.stdout))));
    } else if (resource.type === "random:index/randomPassword:RandomPassword") {
      passwords.set(name, shown(outputs.result));
    }
  }
  return {
    certificates,
    authorities,
    password(of) {
      const found = passwords.get(`password-${of}`);
      if (found === undefined) throw new Error(`the state has no password of ${of}`);
      return found;
    },
    passwords,
  };
}

function heldBy(
  member: string,
  { inputs }: Resource,
  issued: Readonly<Record<string, string>>,
): Held[] {
  const plans: readonly LeafPlan[] = JSON.parse(inputs?.environment?.CERTIFICATES ?? "[]");
  return plans.map((plan) => ({ member, leaf: plan.leaf, plan, pem: issued[plan.leaf] ?? "" }));
}

/** A secret as `--show-secrets` tells it. */
function shown(value: unknown): string {
  const { plaintext } = (value ?? {}) as { readonly plaintext?: string };
  return plaintext === undefined ? String(value) : JSON.parse(plaintext);
}
