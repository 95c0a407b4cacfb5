import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/** Who has a password of their own. */
export const principals = [
  "postgres",
  "replicator",
  "rewinder",
  "migrator",
  "storefront",
  "admin",
  "etcdRoot",
  "etcdPatroni",
  "patroniApi",
  "statistics",
  "cookies",
  "cache",
  "administrator",
] as const;
export type Principal = (typeof principals)[number];

/** One generated password for each principal of the stack, kept as secrets in Pulumi's state. */
export class Credentials extends pulumi.ComponentResource {
  readonly #passwords: ReadonlyMap<Principal, pulumi.Output<string>>;

  constructor(name: string, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Credentials", name, {}, options);
    this.#passwords = new Map(
      principals.map((principal) => [principal, this.#generate(principal)] as const),
    );
    this.registerOutputs();
  }

  /** The principal's password: 32 letters and digits, safe in URLs, YAML and SQL. */
  of(principal: Principal): pulumi.Output<string> {
    const password = this.#passwords.get(principal);
    if (password === undefined) throw new Error(`${principal} has no password`);
    return password;
  }

  #generate(principal: Principal): pulumi.Output<string> {
    const { result } = new random.RandomPassword(
      `password-${principal}`,
      { length: 32, special: false },
      { parent: this },
    );
    return pulumi.secret(result);
  }
}
