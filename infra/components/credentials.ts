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

export interface CredentialsArgs {
  /** The application's tiers, with their former names; each has a password for its database role. */
  readonly tiers: Readonly<Record<string, { readonly formerly?: string | undefined }>>;
  /** The application's generated secrets, with the names that they were generated under before. */
  readonly secrets: Readonly<Record<string, { readonly formerly?: string | undefined }>>;
}

/** One generated password for each principal of the stack, kept as secrets in Pulumi's state. */
export class Credentials extends pulumi.ComponentResource {
  readonly #passwords = new Map<string, pulumi.Output<string>>();

  constructor(name: string, args: CredentialsArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Credentials", name, {}, options);
    for (const principal of principals) this.#generate(`password-${principal}`);
    for (const [tier, { formerly }] of Object.entries(args.tiers)) {
      this.#generate(`password-${tier}`, formerly && `password-${formerly}`);
    }
    for (const [secret, { formerly }] of Object.entries(args.secrets)) {
      this.#generate(`secret-${secret}`, formerly && `password-${formerly}`);
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

  /** One of the application's generated secrets; the same kind. */
  ofSecret(name: string): pulumi.Output<string> {
    return this.#get(`secret-${name}`);
  }

  #get(name: string): pulumi.Output<string> {
    const password = this.#passwords.get(name);
    if (password === undefined) throw new Error(`there is no ${name}`);
    return password;
  }

  #generate(name: string, formerName?: string): void {
    const { result } = new random.RandomPassword(
      name,
      { length: 32, special: false },
      { parent: this, ...(formerName && { aliases: [{ name: formerName }] }) },
    );
    this.#passwords.set(name, pulumi.secret(result));
  }
}
