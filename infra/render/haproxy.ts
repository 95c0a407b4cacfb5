/** HAProxy's configuration: the public site, the database listeners, and the statistics page. */
import { createHash } from "node:crypto";
import { certificateVersion } from "../certificate.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { LoadBalancerMember, Member, Topology } from "../topology.ts";

/** Socket that keepalived connects to in order to see whether HAProxy lives. */
export const statsSocket = "/run/haproxy/admin.sock";

/** The site's certificate with its key, beside haproxy.cfg; HAProxy's master reads it as root. */
export const certificateFile = "certificate.pem";

/**
 * @param self the load balancer that this file is for
 * @returns text of haproxy.cfg; relative paths in it are meant from the file's own folder
 */
export function renderHaproxy(
  settings: Settings,
  topology: Topology,
  self: LoadBalancerMember,
): string {
  const rest = sections(settings, topology, self);
  return [global(settings, versionOf(settings, rest)), rest].join("\n\n");
}

/**
 * Shell command that succeeds if the HAProxy that serves has read this very file, and the certificate
 * that it was rendered for. A reload that fails leaves the old one serving, and its health does not
 * tell.
 */
export function haproxyHasRead(file: string): string {
  const description = /^ {2}description (.*)$/m.exec(file)?.[1] ?? "";
  return `echo 'show info' | socat -t 1 - UNIX-CONNECT:${statsSocket} | grep -Fx 'description: ${description}'`;
}

function versionOf({ loadBalancer, certificate }: Settings, rest: string): string {
  const secured = certificate === undefined ? [] : [certificateVersion(certificate)];
  const text = JSON.stringify([loadBalancer, rest, ...secured]);
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function sections(settings: Settings, topology: Topology, self: LoadBalancerMember): string {
  return [
    defaults(settings),
    ...site(settings, topology, self),
    tier("storefront", topology.tiers.storefront ?? [], 3000, settings),
    tier("admin", topology.tiers.admin ?? [], 3001, settings),
    database(topology, self, settings),
    ...(settings.smtp ? [mail(topology, self, settings.smtp)] : []),
    statistics(settings, self),
  ].join("\n\n");
}

function global({ loadBalancer, certificate }: Settings, version: string): string {
  return `global
  description configuration ${version}
  log stdout format raw local0 info
  default-path config
  user haproxy
  group haproxy
  maxconn ${loadBalancer.maxConnections}
  stats socket ${statsSocket} mode 600 level admin expose-fd listeners
  hard-stop-after ${loadBalancer.reloadDrainSeconds}s${certificate === undefined ? "" : `\n${tls}`}`;
}

/**
 * Mozilla's intermediate configuration, version 5.7. Resumed sessions live in HAProxy's own cache:
 * a ticket's key would be as old as the process, and open all that was said under it.
 */
const tls = `  ssl-default-bind-options prefer-client-ciphers ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphers ${[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-CHACHA20-POLY1305",
  ].join(":")}
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
  ssl-default-bind-curves X25519:prime256v1:secp384r1`;

function defaults({ loadBalancer }: Settings): string {
  const { checkIntervalMilliseconds: inter, checkFastIntervalMilliseconds: fast } = loadBalancer;
  return `defaults
  log global
  option dontlognull
  timeout connect 500ms
  timeout check 1s
  timeout client 30s
  timeout server 30s
  # A client that sends its request slowly, or takes its time between two
  timeout http-request 10s
  timeout http-keep-alive 10s
  # How long a request waits for a free place at an instance before it gets a 503
  timeout queue 5s
  default-server inter ${inter}ms fastinter ${fast}ms downinter ${fast}ms fall 2 rise 1`;
}

/** What is logged of a request: no query, which may hold a reset link's token. */
const accessLog = (rest: string) => `log-format "%ci %[var(txn.path)] %HM %ST %B %Ta ms ${rest}"
  http-request set-var(txn.path) path`;

/** The site by HTTPS, and plain HTTP that leads there; without a certificate, by plain HTTP. */
function site(
  { certificate }: Settings,
  { network }: Topology,
  { frontend }: LoadBalancerMember,
): string[] {
  const listen = (port: number, how = "") =>
    [frontend, network.frontend.vip].map((one) => `  bind ${one}:${port}${how}`).join("\n");
  if (certificate === undefined) return [web(listen(ports.http), "http"), pages];
  const secured = `${listen(ports.https, ` ssl crt ${certificateFile} alpn h2,http/1.1`)}
  # For this name alone: what else its owner has, and for how long, is not this stack's to promise
  http-after-response set-header Strict-Transport-Security max-age=${hstsSeconds}`;
  return [web(secured, "https"), redirects(listen(ports.http)), pages];
}

/** How long browsers ask for the site by HTTPS only: one year. */
const hstsSeconds = 31_536_000;

function web(binds: string, scheme: "http" | "https"): string {
  return `frontend web
  mode http
  option httplog
  # A reload answers one more request on a kept connection, instead of closing it under the client
  option idle-close-on-response
${binds}
  errorfiles pages
  # None of these headers can be brought along from outside
  unique-id-format %[uuid()]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto ${scheme}
  http-request del-header Forwarded
  ${accessLog("%b/%s %tsc %ID")}
  # An instance's own figures are not for visitors, however they write the path
  http-request deny deny_status 404 if { path -i /metrics /metrics/ }
  acl admin_page path /admin
  acl admin_page path_beg /admin/
  acl write_api path_beg /api/content /api/offers
  acl write_method method POST PUT PATCH DELETE
  use_backend admin if admin_page or write_api write_method
  default_backend storefront`;
}

/** Plain HTTP says where the same is by HTTPS, and nothing else; 308 keeps method and body. */
function redirects(binds: string): string {
  const there = "location https://%[req.hdr(host),host_only]%[pathq]";
  return `frontend redirects
  mode http
  option httplog
${binds}
  errorfiles pages
  ${accessLog("redirect")}
  http-request deny deny_status 400 unless { req.hdr(host),host_only -m len gt 0 } { path_beg / }
  http-request redirect ${there} code 301 if METH_GET
  http-request redirect ${there} code 308`;
}

const pages = `http-errors pages
  errorfile 408 errors/408.http
  errorfile 502 errors/502.http
  errorfile 503 errors/503.http
  errorfile 504 errors/504.http`;

function tier(name: string, members: readonly Member[], port: number, settings: Settings): string {
  const { balance, maxConnectionsPerInstance } = settings.loadBalancer;
  return `backend ${name}
  mode http
  balance ${balance}
  option httpchk
  http-check send meth GET uri /api/health
  http-check expect status 200
  option redispatch 1
  # A write may wait 30 s for a new primary, and 5 s for its commit
  timeout server 45s
  retries 3
  # Only requests that change nothing are sent again once an instance has had them
  retry-on conn-failure empty-response response-timeout
  http-request disable-l7-retry unless METH_GET
  default-server maxconn ${maxConnectionsPerInstance} observe layer4 error-limit 3 on-error mark-down
${servers(members, (member) => `${member.backend}:${port} check`)}`;
}

/** TCP listeners in the backend network: Patroni's word decides which member serves which. */
function database(topology: Topology, self: LoadBalancerMember, settings: Settings): string {
  const listener = (name: string, port: number, routes: string) => `frontend ${name}
  mode tcp
  option tcplog
  option clitcpka
  timeout client 1h
  bind ${self.backend}:${port}
  bind ${topology.network.backend.vip}:${port}
${routes}`;
  const backend = (name: string, path: string) => `backend ${name}
  mode tcp
  option srvtcpka
  timeout server 1h
  option httpchk
  http-check send meth OPTIONS uri ${path}
  http-check expect status 200
  default-server maxconn ${settings.database.maxConnections} on-marked-down shutdown-sessions
${servers(topology.members.database, (one) => `${one.backend}:${ports.postgres} check port ${ports.patroni}`)}`;
  const standbyFirst = `  use_backend standby if { nbsrv(standby) gt 0 }
  default_backend primary`;
  return [
    listener("primary", ports.primary, "  default_backend primary"),
    listener("replicas", ports.replicas, standbyFirst),
    backend("primary", "/primary"),
    backend("standby", "/replica"),
  ].join("\n\n");
}

/** The application's way to the mail server: its own network leads nowhere. */
function mail(
  topology: Topology,
  self: LoadBalancerMember,
  { host, port }: NonNullable<Settings["smtp"]>,
): string {
  return `resolvers system
  parse-resolv-conf

listen mail
  mode tcp
  option tcplog
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  bind ${self.backend}:${ports.mail}
  bind ${topology.network.backend.vip}:${ports.mail}
  # Its address is looked up while HAProxy runs, so that no lookup can keep HAProxy from starting
  server mail ${host}:${port} init-addr none resolvers system`;
}

/** The operator's page, by HTTPS as the site is; this machine's own health check asks for it bare. */
function statistics({ certificate }: Settings, self: LoadBalancerMember): string {
  const secured = certificate === undefined ? "" : ` ssl crt ${certificateFile}`;
  return `userlist operators
  user operator insecure-password @{stats_password}

frontend statistics
  mode http
  no log
  bind ${self.frontend}:${ports.stats}${secured}
  bind 127.0.0.1:${ports.stats}
  monitor-uri /healthz
  http-request auth realm hastack unless { http_auth(operators) }
  http-request use-service prometheus-exporter if { path /metrics }
  stats enable
  stats uri /
  stats refresh 5s
  stats hide-version
`;
}

function servers(members: readonly Member[], rest: (member: Member) => string): string {
  return members.map((member) => `  server ${member.name} ${rest(member)}`).join("\n");
}
