/**
 * The stack's own certificates: trust domains and what is issued in them, one row each. A domain has
 * an authority (CA) of its own, so that a certificate of one purpose opens no other door.
 */

/** What each domain's certificates are for. */
export const domains = {
  "quorum-peer": "etcd's members among each other",
  "quorum-client": "etcd and its client, Patroni",
  "patroni-api": "Patroni's REST API",
  database: "PostgreSQL, its replication and its rewinding",
  cache: "the cache and the instances that use it",
  instances: "the load balancers and the instances",
} as const;
export type Domain = keyof typeof domains;

export interface LeafRow {
  readonly domain: Domain;
  /** Whether it shows who answers, who asks, or both. */
  readonly use: "server" | "client" | "both";
  /** What it takes until a renewed one is in use, for reviewers. */
  readonly renewal: string;
}

/** What is issued: the name of a certificate is that of its file, too. */
export const leaves = {
  "etcd-peer": { domain: "quorum-peer", use: "both", renewal: "etcd reads it by itself" },
  // etcd's own gateway is a client of the member
  "etcd-server": { domain: "quorum-client", use: "both", renewal: "etcd reads it by itself" },
  "etcd-client": { domain: "quorum-client", use: "client", renewal: "Patroni reloads" },
  "patroni-api": { domain: "patroni-api", use: "both", renewal: "Patroni reloads" },
  postgres: { domain: "database", use: "server", renewal: "Patroni reloads" },
  replicator: { domain: "database", use: "client", renewal: "Patroni reloads" },
  rewinder: { domain: "database", use: "client", renewal: "Patroni reloads" },
  // Each connection reads it anew, and what is restored starts with the one that is there
  keeper: { domain: "database", use: "client", renewal: "the next connection shows it" },
  restored: { domain: "database", use: "server", renewal: "a restored database shows it" },
  "cache-server": { domain: "cache", use: "server", renewal: "the cache starts anew, empty" },
  "cache-client": { domain: "cache", use: "client", renewal: "the instance's proxy reloads" },
  instance: { domain: "instances", use: "server", renewal: "the instance's proxy reloads" },
  "load-balancer": { domain: "instances", use: "client", renewal: "HAProxy reloads" },
} as const satisfies Readonly<Record<string, LeafRow>>;
export type Leaf = keyof typeof leaves;

/** Certificate and key in one file, so that both are replaced at once. */
export const leafFile = (leaf: Leaf): string => `tls/${leaf}.pem`;

/** The authorities that are trusted: one, or two while one takes over from the other. */
export const authorityFile = (domain: Domain): string => `tls/${domain}-ca.crt`;
