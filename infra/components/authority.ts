import { X509Certificate } from "node:crypto";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { shortHash } from "../../lib/short-hash.ts";
import {
  authoritySecret,
  type Certificates,
  certificateFiles,
  domainsOf,
  type Given,
  type Handling,
  leafSecret,
  type Wanted,
} from "../certificates/certificates.ts";
import { type Domain, domains, type Leaf, leaves } from "../certificates/domains.ts";
import type { Pair } from "../certificates/issue.ts";
import { dayMilliseconds, dayOf, endOf } from "../certificates/period.ts";
import { type LeafPlan, type MemberPlan, planCertificates } from "../certificates/plan.ts";
import { takesOver } from "../platform/platform.ts";
import type { Settings } from "../settings.ts";
import type { Topology } from "../topology.ts";

export interface AuthorityArgs {
  readonly topology: Topology;
  /** Whether the application's instances use the cache. */
  readonly usesCache: boolean;
  /** Which authorities there are, and how often certificates were renewed out of turn. */
  readonly certificates: Settings["certificates"];
  /** @default the present */
  readonly now?: Date;
}

type Pem = pulumi.Output<string>;
/** Those of a member, by their names. */
type Issued = pulumi.Output<Readonly<Record<string, string>>>;

/** An authority that ends sooner is warned of: changing it takes four times `up`. */
const authoritySpareDays = 365;

/**
 * The stack's own authorities, one for each purpose, and the certificates of each member. Keys are
 * made here and kept as secrets in Pulumi's state. Every `up` renews what has less than four months.
 */
export class Authority extends pulumi.ComponentResource implements Certificates {
  /** Until when the members' certificates are valid. */
  readonly ends: string;
  readonly #args: AuthorityArgs;
  readonly #pairs = new Map<string, pulumi.Output<Pair>>();
  readonly #members = new Map<string, { readonly plan: MemberPlan; readonly issued: Issued }>();

  constructor(name: string, args: AuthorityArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Authority", name, {}, options);
    this.#args = args;
    this.ends = dayOf(endOf(args.now ?? new Date()));
    for (const number of args.certificates.authorities) {
      for (const domain of Object.keys(domains) as Domain[]) this.#make(domain, number);
    }
    for (const plan of planCertificates(args.topology, args.usesCache)) this.#issue(plan);
    this.registerOutputs({ ends: this.ends });
  }

  of(member: string, wanted: Wanted, handling: Handling = {}): Given {
    const { authorities, renewal } = this.#args.certificates;
    const own = (wanted.leaves ?? []).map((leaf) => this.#leaf(member, leaf));
    const plans = own.map(({ plan }) => plan);
    return {
      files: certificateFiles(wanted, handling),
      secrets: Object.fromEntries([
        ...own.map(({ plan, pem }) => [leafSecret(plan.leaf), pem]),
        ...domainsOf(wanted).map((domain) => [authoritySecret(domain), this.#trusted(domain)]),
      ]),
      version: shortHash(JSON.stringify([plans, authorities, renewal]), this.ends),
    };
  }

  #leaf(member: string, leaf: Leaf): { readonly plan: LeafPlan; readonly pem: Pem } {
    const known = this.#members.get(member);
    const plan = known?.plan.leaves.find((one) => one.leaf === leaf);
    if (!known || !plan) throw new Error(`${member} has no certificate ${leaf}`);
    return { plan, pem: pulumi.secret(known.issued.apply((issued) => issued[leaf] ?? "")) };
  }

  /** Made once: whatever changes in its description, the authority stays. */
  #make(domain: Domain, number: number): void {
    const name = `authority-${domain}-${number}`;
    const made = new command.local.Command(
      name,
      {
        create: "node certificates/make.ts authority",
        environment: {
          STACK: this.#args.topology.stack,
          DOMAIN: domain,
          NUMBER: String(number),
        },
        logging: command.local.Logging.None,
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        ignoreChanges: ["create", "environment"],
        additionalSecretOutputs: ["stdout"],
      },
    );
    const pair = made.stdout.apply((text): Pair => JSON.parse(text));
    pair.apply(({ certificate }) => this.#warnOfEnd(name, certificate));
    this.#pairs.set(`${domain}-${number}`, pulumi.secret(pair));
  }

  #warnOfEnd(name: string, certificate: string): void {
    const { validToDate } = new X509Certificate(certificate);
    const spare = validToDate.getTime() - (this.#args.now ?? new Date()).getTime();
    if (spare > authoritySpareDays * dayMilliseconds) return;
    pulumi.log.warn(
      `${name} ends on ${dayOf(validToDate)}, and with it every certificate that it has issued: replace it by hastack:certificates.authorities`,
      this,
    );
  }

  #pair(domain: Domain, number: number): pulumi.Output<Pair> {
    const pair = this.#pairs.get(`${domain}-${number}`);
    if (!pair) throw new Error(`there is no authority ${number} of ${domain}`);
    return pair;
  }

  /** The certificates of all authorities of a domain that count, in one text. */
  #trusted(domain: Domain): pulumi.Output<string> {
    // In an order of their own: that the other one issues from now on changes no file
    const numbers = [...this.#args.certificates.authorities].sort((a, b) => a - b);
    const pairs = numbers.map((one) => this.#pair(domain, one));
    return pulumi.all(pairs).apply((all) => all.map(({ certificate }) => certificate).join(""));
  }

  #issue(plan: MemberPlan): void {
    const { member, leaves: own } = plan;
    const { authorities, renewal } = this.#args.certificates;
    const [signing = 1] = authorities;
    const needed = [...new Set(own.map(({ domain }) => domain))];
    const pairs = Object.fromEntries(needed.map((one) => [one, this.#pair(one, signing)]));
    const effects = [...new Set(own.map(({ leaf }) => leaves[leaf].renewal))];
    const issued = new command.local.Command(
      `${member.name}-certificates`,
      {
        create: "node certificates/make.ts member",
        environment: {
          CERTIFICATES: JSON.stringify(own),
          ENDS: this.ends,
          // A change of the authorities that are trusted comes with new certificates: Patroni reads the
          // one only with the other
          RENEWAL: `until ${this.ends}, renewal ${renewal}, authorities ${authorities.join(", ")}: ${effects.join("; ")}`,
        },
        stdin: pulumi.secret(pulumi.all(pairs).apply((all) => JSON.stringify(all))),
        logging: command.local.Logging.None,
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        ...takesOver(member, "-certificates"),
        additionalSecretOutputs: ["stdout"],
      },
    );
    const made = issued.stdout.apply((text): Readonly<Record<string, string>> => JSON.parse(text));
    this.#members.set(member.name, { plan, issued: pulumi.secret(made) });
  }
}
