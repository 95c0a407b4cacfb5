/**
 * The shares of the site that one address gets, and the way of long bodies: who sends slowly holds no
 * place that pages need.
 */
import { hostAddress } from "../addresses.ts";
import type { Application } from "../application/application.ts";
import type { Settings } from "../settings.ts";
import { answer } from "./haproxy-errors.ts";

/** What each address has under way, and has sent lately; HAProxy finds the tables by these names. */
const tables = {
  all: "per_source",
  long: "per_source_uploads",
  logins: "per_source_logins",
} as const;

/**
 * HAProxy's buffer, bytes. It is larger than the usual 16 KB, so that headers which are a little too long
 * for most programs get an answer that says so. 1 KB of it is kept free for the load balancer's own.
 */
export const bufferBytes = 20_480;
const headerLimit = 15_360;
/** Headers and body of this many bytes together never fill the buffer. */
const surelyWhole = 16_500;

type SharesOf = Pick<Settings, "loadBalancer" | "platform" | "network">;
type Tiers = Application["tiers"];

export const sourceTables = [
  [tables.all, "conn_cur,conn_rate(10s),http_req_rate(10s)"],
  [tables.long, "conn_cur"],
  [tables.logins, "http_req_rate(10s)"],
].map(
  ([name, counts]) => `backend ${name}
  stick-table type ip size 100k expire 1m store ${counts}`,
);

/** Connections of one address; those of sources without a limit are not counted, nor what they send. */
export function connectionShare({ loadBalancer, platform, network }: SharesOf): string {
  const { connections, requestsPerTenSeconds, unlimited } = loadBalancer.perSource;
  // Docker hands on what comes by a published port in its own name
  const gateway = platform === "docker" ? [hostAddress(network.frontend.subnet, 1)] : [];
  const free = [...gateway, ...unlimited];
  return [
    ...(free.length > 0 ? [`tcp-request connection accept if { src ${free.join(" ")} }`] : []),
    `tcp-request connection track-sc0 src table ${tables.all}`,
    `tcp-request connection reject if { sc_conn_cur(0) gt ${connections} } || { sc_conn_rate(0) gt ${requestsPerTenSeconds} }`,
  ].join("\n  ");
}

/** Requests of one address. */
export function requestShare({ loadBalancer }: Pick<Settings, "loadBalancer">): string {
  return `http-request deny deny_status 429 if { sc_http_req_rate(0) gt ${loadBalancer.perSource.requestsPerTenSeconds} }`;
}

/** Notes how long the headers are, and refuses those that leave no room for a body. */
export const headersThatFit = `http-request set-var(txn.head) req.hdrs,length
  http-request return ${answer(431)} if { var(txn.head) -m int gt ${headerLimit} }`;

/**
 * Requests that try a password; what is refused counts, too. They are counted over ten seconds: a
 * minute's share at once would keep the instances busy with passwords for too long.
 */
export function loginShare(
  { loadBalancer }: Pick<Settings, "loadBalancer">,
  tiers: Tiers,
): string[] {
  const logins = tiers.flatMap((one) => one.logins);
  if (logins.length === 0) return [];
  const track = `http-request track-sc2 src table ${tables.logins} if { sc_tracked(0) }`;
  return [
    ...logins.map(
      ({ path, methods }) =>
        `${track} { path,url_dec -i ${path} ${path}/ } { method ${methods.join(" ")} }`,
    ),
    `http-request deny deny_status 429 if { sc_http_req_rate(2) gt ${Math.ceil(loadBalancer.perSource.loginsPerMinute / 6)} }`,
  ];
}

/**
 * Refuses bodies that are announced as too large for their tier, waits for the others, and marks those
 * that the buffer does not hold (`txn.long`): nobody knows when they end. An upgraded connection has
 * no body to wait for. Only what no length is given of needs a guess, and then less than a full buffer
 * counts as whole.
 */
export function longBodies(
  { loadBalancer }: Pick<Settings, "loadBalancer">,
  tiers: Tiers,
): string[] {
  const { timeouts, uploads } = loadBalancer;
  const limits = tiers.flatMap(({ name, bodyLimitMegabytes: most }) =>
    most === undefined
      ? []
      : [
          `http-request deny deny_status 413 if { var(txn.tier) -m str ${name} } { req.hdr(content-length) -m int gt ${most * 1_048_576} }`,
        ],
  );
  return [
    ...limits,
    `http-request wait-for-body time ${timeouts.requestSeconds}s unless { req.hdr(upgrade) -m found } !{ req.hdr(transfer-encoding) -m found }`,
    "http-request set-var(txn.body) req.body_len",
    "http-request set-var(txn.long) bool(true) if { req.hdr(content-length),sub(txn.body) gt 0 }",
    `http-request set-var(txn.long) bool(true) if !{ req.hdr(content-length) -m found } { req.body_len,add(txn.head) gt ${surelyWhole} }`,
    `http-request track-sc1 src table ${tables.long} if { var(txn.long) -m bool } { sc_tracked(0) }`,
    `http-request deny deny_status 429 if { sc_conn_cur(1) gt ${uploads.perSource} }`,
  ];
}

/** Places of the site: the rest is the database's and the operator's. */
export function sitePlaces({
  maxConnections,
  reservedConnections,
}: Settings["loadBalancer"]): number {
  return maxConnections - (reservedConnections ?? Math.ceil(maxConnections / 10));
}
