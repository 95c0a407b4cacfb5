import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/** Who has a password of their own in every stack. */
export const principals = [
  "postgres",
  "replicator",
  "rewinder",
  "migrator",
  "etcdRoot",
  "etcdPatroni",
  "patroniApi",
  "statistics",
  "cache",
] as const;
export type Principal = (typeof principals)[number];

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
}

/** One generated password for each principal of the stack, kept as secrets in Pulumi's state. */
export class Credentials extends pulumi.ComponentResource {
  readonly #passwords = new Map<string, pulumi.Output<string>>();

  constructor(name: string, args: CredentialsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Credentials", name, {}, options);
    for (const principal of principals) this.#generate(`password-${principal}`);
    for (const [tier, { formerly }] of Object.entries(args.tiers)) {
      this.#generate(`password-${tier}`, ...formerNames({ formerly }, "password-"));
    }
    for (const [secret, one] of Object.entries(args.secrets)) {
      if (one.perTier) this.#generatePerTier(secret, one, args.tiers);
      // The first releases called it a password
      else this.#generate(`secret-${secret}`, ...formerNames(one, "secret-", "password-"));
    }
    this.registerOutputs();
  }

  /** The principal's password: 32 letters and digits, safe in URLs, YAML and SQL. */
  of(principal: Principal): pulumi.Output<string> {
    return this.#get(`password-${principal}`);
  }

  /** The password of a tier's database role; the same kind. */
  ofTier(tier: string): pulumi.Output<string> {
    return this.#get(`password-${tier}`);
  }

  /**
   * One of the application's generated secrets; the same kind.
   * @param tier who asks, where each has its own @default the migrations
   */
  ofSecret(name: string, tier?: string): pulumi.Output<string> {
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
      this.#generate(name, ...new Set(former.filter((one) => one !== name)));
    }
  }

  #get(name: string): pulumi.Output<string> {
    const password = this.#passwords.get(name);
    if (password === undefined) throw new Error(`there is no ${name}`);
    return password;
  }

  #generate(name: string, ...formerNames: readonly string[]): void {
    const { result } = new random.RandomPassword(
      name,
      { length: 32, special: false },
      { parent: this, aliases: formerNames.map((former) => ({ name: former })) },
    );
    this.#passwords.set(name, pulumi.secret(result));
  }
}

function formerNames({ formerly }: Named, ...prefixes: readonly string[]): string[] {
  return formerly === undefined ? [] : prefixes.map((prefix) => `${prefix}${formerly}`);
}
