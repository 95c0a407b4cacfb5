/**
 * Configuration of the HAProxy beside each instance. It ends the load balancers' TLS, so that the
 * application listens on the machine itself only and need not know; and it takes the application's
 * connections to the cache there by TLS.
 */
import { createHash } from "node:crypto";
import { authorityFile, leafFile } from "../certificates/domains.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";
import { describedBy, neverReached, sharedTls } from "./haproxy.ts";

/** Its process. */
export const proxyOf = (tier: string): string => `${tier}-proxy`;
/** The tier whose program or proxy a process is. */
export const tierOfProcess = (process: string): string => process.replace(/-proxy$/, "");
/** Where its socket is. */
export const proxyDirectory = (tier: string): string => `/run/hastack-${proxyOf(tier)}`;
export const proxySocket = (tier: string): string => `${proxyDirectory(tier)}/admin.sock`;

/** The file that is answered where the application did not get a request. */
export const neverReachedFile = "never-reached.http";
export const neverReachedAnswer = `HTTP/1.0 ${neverReached} Too Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;

/** Where instances listen: nobody else's machine gets there. */
export const loopback = "127.0.0.1";

/**
 * Where a tier's instances reach the cache. Tiers of one machine each have an address of their own, which
 * follows from the name alone: a tier that comes or goes moves no other's.
 */
export function cacheAddress(tier: string): string {
  const [a = 0, b = 0, c = 0] = createHash("sha256").update(tier).digest();
  // 127.0.x.y has others' addresses, and 0 and 255 look like a network's
  return [127, 1 + (a % 254), b, 1 + (c % 254)].join(".");
}

/** What a tier says of its instances that the proxy has to know. */
export interface Proxied {
  readonly name: string;
  readonly port?: number;
  readonly responseSeconds: number;
  readonly webSocket: boolean;
  readonly serverSentEvents: boolean;
}

/**
 * @param cache whether the instance uses it
 * @param certificates version of those that it reads
 */
export function renderInstanceProxy(
  { loadBalancer }: Pick<Settings, "loadBalancer">,
  { members }: Topology,
  tier: Proxied,
  self: Member,
  { cache, certificates }: { readonly cache: boolean; readonly certificates: string },
): string {
  const { port } = tier;
  const [server] = cache ? members.cache : [];
  const balancers = members.loadBalancer.map(({ name }) => name);
  const sections = (version: string) =>
    [
      global(
        tier.name,
        { ...loadBalancer, places: proxyPlaces(loadBalancer, balancers.length) },
        version,
      ),
      defaults,
      ...(port === undefined ? [] : [instance({ ...tier, port }, self, balancers)]),
      ...(server === undefined ? [] : [toCache(tier.name, server)]),
    ].join("\n\n");
  return describedBy(certificates, (version) => `${sections(version)}\n`);
}

/**
 * Connections of one proxy: all that the load balancers let through at a time, and as many again, since
 * they keep some in reserve and their old workers go on after a reload; besides, the cache's.
 */
export function proxyPlaces(
  { maxConnectionsPerInstance, uploads }: Settings["loadBalancer"],
  balancers: number,
): number {
  return 2 * balancers * (2 * maxConnectionsPerInstance + uploads.perInstance) + forCache;
}

const forCache = 100;

/** What the load balancers let pass, with their own headers, always fits. */
function global(
  tier: string,
  { places, reloadDrainSeconds }: { readonly places: number; readonly reloadDrainSeconds: number },
  version: string,
): string {
  return `global
  description configuration ${version}
  log stdout format raw local0 info
  default-path config
  nbthread 1
  maxconn ${places}
  stats socket ${proxySocket(tier)} mode 600 level admin expose-fd listeners
  hard-stop-after ${reloadDrainSeconds}s
  tune.bufsize 32768
  tune.http.maxhdr 256`;
}

const defaults = `defaults
  timeout connect 500ms
  timeout client 1m
  timeout server 1h
  # Longer than load balancers keep connections in reserve: it is they who close them
  timeout http-keep-alive 1m`;

/**
 * A request that the application did not get is answered so that the load balancer asks another
 * instance. Where the application broke the connection, so does the proxy: then it is told apart as if
 * there were none in between. An application that is down is found by the first request that it refuses;
 * from then on connections are refused too, which load balancers see sooner than the next check.
 */
function instance(
  { port, responseSeconds, webSocket, serverSentEvents }: Proxied & { readonly port: number },
  self: Member,
  balancers: readonly string[],
): string {
  const certificate = `crt ${leafFile("instance")} ca-file ${authorityFile("instances")}`;
  return `frontend instance
  mode http
  log global
  # The load balancer logs requests; here only those that failed
  option dontlog-normal
  log-format "%ci %HM %ST %tsc"
  option idle-close-on-response
  option clitcpka
  bind ${self.backend}:${port} ssl ${certificate} verify required ${sharedTls} alpn h2,http/1.1
  tcp-request connection reject if { nbsrv(application) eq 0 }
  tcp-request session reject unless { ssl_c_s_dn(CN) ${balancers.join(" ")} }
  default_backend application

backend application
  mode http
  retries 0
  # The load balancer's own limit ends sooner
  timeout server ${serverSentEvents ? "61m" : `${responseSeconds + 5}s`}${webSocket ? "\n  timeout tunnel 61m" : ""}
  errorfile 502 /dev/null
  errorfile 503 ${neverReachedFile}
  errorfile 504 /dev/null
  # Of the application's own it would be taken for the proxy's
  http-response set-status 503 if { status ${neverReached} }
  server application ${loopback}:${port} check inter 2s fastinter 200ms downinter 200ms fall 1 rise 1 observe layer4 error-limit 1 on-error mark-down`;
}

function toCache(tier: string, { name, backend }: Member): string {
  const certificate = `ca-file ${authorityFile("cache")} crt ${leafFile("cache-client")}`;
  return `listen cache
  mode tcp
  timeout client 1h
  bind ${cacheAddress(tier)}:${ports.cache}
  server ${name} ${backend}:${ports.cache} ssl verify required ${certificate} verifyhost ${name} ${sharedTls} tcp-ut 5s`;
}
