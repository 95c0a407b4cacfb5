/** What somebody may show at a door: all that there is, and what can be forged. */
import { X509Certificate } from "node:crypto";
import type { Leaf } from "../../../infra/certificates/domains.ts";
import { issueAuthority, issueLeaf, type Pair } from "../../../infra/certificates/issue.ts";
import type { LeafPlan } from "../../../infra/certificates/plan.ts";
import type { Held, StackSecrets } from "./state.ts";

export interface Offer {
  /** What it is, for reports. */
  readonly name: string;
  /** What kind of thing is shown; a leaf is a genuine one, `misnamed` one with a name that nobody has. */
  readonly kind: "plain" | "none" | "forged" | Leaf | `misnamed ${Leaf}`;
  /** Whose it is. @default nobody's */
  readonly member?: string;
  readonly pem?: string;
}

const hour = 3_600_000;
const day = 24 * hour;
const inFuture = () => new Date(Date.now() + 30 * day);

/** Genuine ones. @param which `one of each kind` leaves out the other members' */
export function genuineOffers(
  { certificates }: StackSecrets,
  which: "all" | "one of each kind",
): Offer[] {
  const kinds = new Set<Leaf>();
  // The first member's come first: they belong to the doors of first members
  const sorted = certificates.toSorted((one, other) => one.member.localeCompare(other.member));
  const chosen = sorted.filter(({ leaf }) => {
    if (which === "one of each kind" && kinds.has(leaf)) return false;
    return kinds.add(leaf);
  });
  return chosen.map(({ member, leaf, pem }) => ({
    name: `${leaf} of ${member}`,
    kind: leaf,
    member,
    pem,
  }));
}

/** No TLS, no certificate, and one that nobody vouches for. */
export async function bareOffers(): Promise<Offer[]> {
  return [
    { name: "no TLS", kind: "plain" },
    { name: "no certificate", kind: "none" },
    {
      name: "self-signed",
      kind: "forged",
      pem: pemOf(await issueAuthority("lb-1")),
    },
  ];
}

/**
 * Of each kind: with the right names from an authority that has the right name and another key; by the
 * right authority, and ended; by the right authority for a name that nobody has.
 */
export async function forgedOffers(secrets: StackSecrets): Promise<Offer[]> {
  const first = new Map<Leaf, Held>();
  for (const held of secrets.certificates) {
    if (!first.has(held.leaf)) first.set(held.leaf, held);
  }
  const made = [...first.values()].map(async (held): Promise<Offer[]> => {
    const authority = authorityOf(secrets, held);
    const ended = new Date(Date.now() - hour);
    const yesterday = new Date(Date.now() - day);
    const { plan } = held;
    const offer = async (
      what: string,
      pair: Promise<Pair>,
      kind: Offer["kind"] = "forged",
    ): Promise<Offer> => ({ name: `${held.leaf}, ${what}`, kind, pem: pemOf(await pair) });
    const misnamed = issueLeaf(withWrongName(plan), authority, inFuture());
    return Promise.all([
      offer("of another authority", issueLeaf(plan, await impostor(authority), inFuture())),
      offer("ended", issueLeaf(plan, authority, ended, yesterday)),
      ...(namesCount.has(held.leaf)
        ? [offer("for another name", misnamed, `misnamed ${held.leaf}`)]
        : []),
    ]);
  });
  return (await Promise.all(made)).flat();
}

/** Where not only the authority counts: in the other domains all clients may do the same. */
const namesCount: ReadonlySet<Leaf> = new Set([
  "etcd-peer",
  "replicator",
  "rewinder",
  "keeper",
  "load-balancer",
]);

function withWrongName(plan: LeafPlan): LeafPlan {
  const { commonName, names, addresses } = plan;
  return {
    ...plan,
    ...(commonName !== undefined && { commonName: "nobody" }),
    names: names.map(() => "nobody"),
    // An address of no network: TEST-NET-1
    addresses: addresses.map(() => "192.0.2.1"),
  };
}

/** One by the right authority, for a name that nobody has. @returns PEM of certificate and key */
export async function forNobody(secrets: StackSecrets, held: Held): Promise<string> {
  const plan = withWrongName(held.plan);
  return pemOf(await issueLeaf(plan, authorityOf(secrets, held), inFuture()));
}

/** An authority of the same name, with a key of its own. */
function impostor({ certificate }: Pair): Promise<Pair> {
  const [, name = ""] = /^CN=(.*)$/m.exec(new X509Certificate(certificate).subject) ?? [];
  return issueAuthority(name);
}

/** The newest authority of its domain that there is. @throws where the state has none */
export function authorityOf({ authorities }: StackSecrets, { plan }: Pick<Held, "plan">): Pair {
  const numbered = [...(authorities.get(plan.domain) ?? [])].sort(([one], [other]) => other - one);
  const [newest] = numbered;
  if (newest === undefined) throw new Error(`the state has no authority of ${plan.domain}`);
  return newest[1];
}

const pemOf = ({ certificate, key }: Pair) => certificate + key;
