/** Certificates for real programs in tests, issued the way the stack issues them. */
import { authoritySecret, leafSecret } from "../../../infra/certificates/certificates.ts";
import { type Domain, type Leaf, leaves } from "../../../infra/certificates/domains.ts";
import { issueAuthority, issueLeaf, type Pair } from "../../../infra/certificates/issue.ts";
import { type LeafPlan, planCertificates } from "../../../infra/certificates/plan.ts";
import type { Workload } from "../../../infra/platform/platform.ts";
import type { Topology } from "../../../infra/topology.ts";

const dayMilliseconds = 86_400_000;

/** Authorities of one stack, each made when it is first asked for. */
export class Issuer {
  readonly #topology: Topology;
  readonly #authorities = new Map<string, Promise<Pair>>();
  #numbers: readonly number[] = [1];

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** Which authorities there are from now on, as the setting says it: the first one signs. */
  useAuthorities(numbers: readonly number[]): void {
    this.#numbers = numbers;
  }

  /** The authority that signs. */
  authority(domain: Domain, number = this.#numbers[0]): Promise<Pair> {
    const name = `test ${domain} ${number}`;
    const known = this.#authorities.get(name) ?? issueAuthority(name);
    this.#authorities.set(name, known);
    return known;
  }

  /** What is trusted, as its file holds it. */
  async trusted(domain: Domain): Promise<string> {
    const all = this.#numbers.map((number) => this.authority(domain, number));
    return (await Promise.all(all)).map(({ certificate }) => certificate).join("");
  }

  /**
   * A new certificate of a member with its key, as its file holds it.
   * @param edit changes what is in it @default as the stack's
   */
  async leaf(member: string, leaf: Leaf, edit: Partial<LeafPlan> = {}): Promise<string> {
    const plan = planCertificates(this.#topology, true)
      .find((one) => one.member.name === member)
      ?.leaves.find((one) => one.leaf === leaf);
    if (!plan) throw new Error(`${member} has no certificate ${leaf}`);
    const authority = await this.authority(edit.domain ?? plan.domain);
    const end = new Date(Date.now() + dayMilliseconds);
    const { certificate, key } = await issueLeaf({ ...plan, ...edit }, authority, end);
    return certificate + key;
  }

  /** Values for the placeholders of a workload's or a task's certificates. */
  async values(
    member: string,
    secrets: Workload["secrets"],
    edit: Partial<LeafPlan> = {},
  ): Promise<Record<string, string>> {
    const values: Record<string, string> = {};
    for (const leaf of Object.keys(leaves) as Leaf[]) {
      const { domain } = leaves[leaf];
      if (leafSecret(leaf) in secrets) {
        values[leafSecret(leaf)] = await this.leaf(member, leaf, edit);
      }
      if (authoritySecret(domain) in secrets) {
        values[authoritySecret(domain)] = await this.trusted(domain);
      }
    }
    return values;
  }
}
