import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { firstGeneration, type Generations, type Principal, principals } from "../generations.ts";

interface Named {
  /** The name that it had before. @default it had none */
  readonly formerly?: string | undefined;
}

interface GeneratedSecret extends Named {
  /** Whether each of its tiers has another one. @default all share one */
  readonly perTier?: boolean;
  /** Tiers that see it. @default all */
  readonly tiers?: readonly string[] | undefined;
}

export interface CredentialsArgs {
  /** The application's tiers; each has a password for its database role. */
  readonly tiers: Readonly<Record<string, Named>>;
  /** The application's generated secrets. */
  readonly secrets: Readonly<Record<string, GeneratedSecret>>;
  /** Those of each, by the name of the principal, tier or secret. @default all are of the first */
  readonly generations?: Readonly<Record<string, Generations>>;
}

/** Generated texts by their generation; the one in use comes first. */
export type Generated = ReadonlyMap<number, pulumi.Output<string>>;

/** The one in use. */
export function current(generated: Generated): pulumi.Output<string> {
  const [first] = generated.values();
  if (first === undefined) throw new Error("nothing was generated");
  return first;
}

/**
 * One generated password for each principal of the stack, kept as secrets in Pulumi's state; two while one
 * takes the place of another.
 */
export class Credentials extends pulumi.ComponentResource {
  /** Those of all that is generated here, by the name of the principal, tier or secret. */
  readonly generations: Readonly<Record<string, Generations>>;
  readonly #passwords = new Map<string, Generated>();

  constructor(name: string, args: CredentialsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Credentials", name, {}, options);
    const names = [...principals, ...Object.keys(args.tiers), ...Object.keys(args.secrets)];
    this.generations = Object.fromEntries(
      names.map((one) => [one, args.generations?.[one] ?? firstGeneration]),
    );
    for (const principal of principals) this.#generate(principal, `password-${principal}`);
    for (const [tier, { formerly }] of Object.entries(args.tiers)) {
      this.#generate(tier, `password-${tier}`, ...formerNames({ formerly }, "password-"));
    }
    for (const [secret, one] of Object.entries(args.secrets)) {
      if (one.perTier) this.#generatePerTier(secret, one, args.tiers);
      // The first releases called it a password
      else this.#generate(secret, `secret-${secret}`, ...formerNames(one, "secret-", "password-"));
    }
    this.registerOutputs();
  }

  /** The principal's password: 32 letters and digits, safe in URLs, YAML and SQL. */
  of(principal: Principal): pulumi.Output<string> {
    return current(this.all(principal));
  }

  /** All of the principal's that are taken. */
  all(principal: Principal): Generated {
    return this.#get(`password-${principal}`);
  }

  /** The password of a tier's database role; the same kind. */
  ofTier(tier: string): pulumi.Output<string> {
    return current(this.allOfTier(tier));
  }

  allOfTier(tier: string): Generated {
    return this.#get(`password-${tier}`);
  }

  /**
   * One of the application's generated secrets; the same kind.
   * @param tier who asks, where each has its own @default the migrations
   */
  ofSecret(name: string, tier?: string): pulumi.Output<string> {
    return current(this.allOfSecret(name, tier));
  }

  allOfSecret(name: string, tier?: string): Generated {
    return this.#passwords.get(`secret-${name}-${tier}`) ?? this.#get(`secret-${name}`);
  }

  /** A tier that is renamed keeps its own, and so does a secret that is. */
  #generatePerTier(
    secret: string,
    { formerly: formerSecret = secret, tiers: those }: GeneratedSecret,
    tiers: CredentialsArgs["tiers"],
  ): void {
    for (const [tier, { formerly: formerTier = tier }] of Object.entries(tiers)) {
      if (those?.includes(tier) === false) continue;
      const name = `secret-${secret}-${tier}`;
      const former = [secret, formerSecret].flatMap((one) =>
        [tier, formerTier].map((at) => `secret-${one}-${at}`),
      );
      this.#generate(secret, name, ...new Set(former.filter((one) => one !== name)));
    }
  }

  #get(name: string): Generated {
    const password = this.#passwords.get(name);
    if (password === undefined) throw new Error(`there is no ${name}`);
    return password;
  }

  /** @param of whose generations it has */
  #generate(of: string, name: string, ...formerNames: readonly string[]): void {
    const generations = this.generations[of] ?? firstGeneration;
    const made = generations.map((number) => {
      // That of a stack's first days has the name alone
      const own = (one: string) => (number === 1 ? one : `${one}.${number}`);
      const { result } = new random.RandomPassword(
        own(name),
        { length: 32, special: false },
        { parent: this, aliases: formerNames.map((former) => ({ name: own(former) })) },
      );
      return [number, pulumi.secret(result)] as const;
    });
    this.#passwords.set(name, new Map(made));
  }
}

function formerNames({ formerly }: Named, ...prefixes: readonly string[]): string[] {
  return formerly === undefined ? [] : prefixes.map((prefix) => `${prefix}${formerly}`);
}
