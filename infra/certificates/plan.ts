/** Which certificates each member has, with all that is in them except the key. */
import type { Member, Topology } from "../topology.ts";
import { type Domain, type Leaf, type LeafRow, leaves } from "./domains.ts";

/** A certificate to be issued. */
export interface LeafPlan extends Pick<LeafRow, "domain" | "use"> {
  readonly leaf: Leaf;
  /** @default none: etcd takes a client's common name for a login without a password */
  readonly commonName?: string;
  /** @default none: a common name says enough */
  readonly unit?: string;
  /** DNS names that it is for. */
  readonly names: readonly string[];
  /** IP addresses that it is for. */
  readonly addresses: readonly string[];
}

export interface MemberPlan {
  readonly member: Member;
  readonly leaves: readonly LeafPlan[];
}

type Subject = Omit<LeafPlan, "leaf" | "domain" | "use">;

/** @param usesCache whether the application's instances use the cache */
export function planCertificates(topology: Topology, usesCache: boolean): MemberPlan[] {
  const { members, tiers } = topology;
  const of = (list: readonly Member[], plan: (member: Member) => LeafPlan[]) =>
    list.map((member) => ({ member, leaves: plan(member) }));
  return [
    ...of(members.quorum, (one) => [
      leaf("etcd-peer", itself(one)),
      leaf("etcd-server", { unit: "etcd", ...reachedAs(one) }),
    ]),
    ...of(members.database, (one) => [
      leaf("etcd-client", { unit: "patroni", names: [], addresses: [] }),
      leaf("patroni-api", itself(one)),
      leaf("postgres", database(one, topology)),
      leaf("replicator", client("replicator")),
      leaf("rewinder", client("rewinder")),
    ]),
    // Its own health is asked for as others ask
    ...of(members.cache, (one) => [
      leaf("cache-server", itself(one)),
      leaf("cache-client", client(one.name)),
    ]),
    ...of(Object.values(tiers).flat(), (one) => [
      ...(one.port === undefined ? [] : [leaf("instance", instance(one))]),
      ...(usesCache ? [leaf("cache-client", client(one.name))] : []),
    ]),
    ...of(members.loadBalancer, (one) => [leaf("load-balancer", client(one.name))]),
    ...of(members.backup, (one) => [
      leaf("keeper", client("keeper")),
      leaf("restored", itself(one)),
    ]),
  ].filter((one) => one.leaves.length > 0);
}

function leaf(name: Leaf, subject: Subject): LeafPlan {
  const { domain, use }: { domain: Domain; use: LeafRow["use"] } = leaves[name];
  return { leaf: name, domain, use, ...subject };
}

const client = (commonName: string): Subject => ({ commonName, names: [], addresses: [] });

const reachedAs = ({ name, backend }: Member): Subject => ({ names: [name], addresses: [backend] });

const itself = (one: Member): Subject => ({ commonName: one.name, ...reachedAs(one) });

/**
 * Name of the place where an instance listens. Load balancers know it by this one: a tier that is renamed,
 * or has one machine less, gives its instances other names before the load balancers hear of it.
 */
export const placeOf = ({ backend, port }: Pick<Member, "backend" | "port">): string =>
  `${backend.replaceAll(".", "-")}-${port}.instance`;

const instance = (self: Member): Subject => ({
  ...itself(self),
  names: [self.name, placeOf(self)],
});

/** Clients reach it by the load balancers, too, and know it by the address that they use. */
function database(self: Member, { members, network }: Topology): Subject {
  const balancers = members.loadBalancer.map(({ backend }) => backend);
  return {
    commonName: self.name,
    names: [self.name, "primary", "replicas"],
    addresses: [...new Set([self.backend, network.backend.vip, ...balancers])],
  };
}
