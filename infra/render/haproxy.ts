/** HAProxy's configuration: the public site, the database listeners, and the statistics page. */
import { shortHash } from "../../lib/short-hash.ts";
import type { Application } from "../application/application.ts";
import { certificateVersion, publicUrlOf } from "../certificate.ts";
import { authorityFile, leafFile } from "../certificates/domains.ts";
import { placeOf } from "../certificates/plan.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import { type LoadBalancerMember, type Member, present, type Topology } from "../topology.ts";
import { isAtOrBelow, ownErrors, whoGetsJson } from "./haproxy-errors.ts";
import {
  bufferBytes,
  connectionShare,
  headersThatFit,
  loginShare,
  longBodies,
  requestShare,
  sitePlaces,
  sourceTables,
} from "./haproxy-shares.ts";

/** Socket that keepalived connects to in order to see whether HAProxy lives. */
export const statsSocket = "/run/haproxy/admin.sock";

/** What an operator has drained: a state file of HAProxy's with these servers alone, read at each start. */
export const drainedFile = "/run/hastack/haproxy-drained";

/** Set while the load balancer is about to give its addresses away: each answer is its connection's last. */
export const leavingVariable = "proc.leaving";

/** The site's certificate with its key, beside haproxy.cfg; HAProxy's master reads it as root. */
export const certificateFile = "certificate.pem";

/** The settings that are in HAProxy's configuration. */
export type HaproxySettings = Pick<
  Settings,
  "loadBalancer" | "certificate" | "database" | "smtp" | "publicUrl" | "network" | "platform"
>;

/** What HAProxy needs to know of the application. */
export type Routed = Pick<Application, "tiers" | "outside" | "apiPaths">;

/**
 * @param application whose tiers are served
 * @param self the load balancer that this file is for
 * @param certificates version of the stack's own certificates that it reads @default none
 * @returns text of haproxy.cfg; relative paths in it are meant from the file's own folder
 */
export function renderHaproxy(
  settings: HaproxySettings,
  topology: Topology,
  application: Routed,
  self: LoadBalancerMember,
  certificates = "",
): string {
  const { certificate } = settings;
  const secured = certificate === undefined ? [] : [certificateVersion(certificate)];
  return describedBy([certificates, ...secured].join(" "), (version) =>
    [global(settings, version), ...sections(settings, topology, application, self)].join("\n\n"),
  );
}

/**
 * A configuration that describes itself: every other text, or certificate, has another version.
 * @param certificates versions of those that it reads
 */
export function describedBy(certificates: string, text: (version: string) => string): string {
  return text(shortHash(text(""), certificates));
}

/**
 * Shell command that succeeds if the HAProxy that serves has read this very file, and the certificates
 * that it was rendered for. A reload that fails leaves the old one serving, which stays healthy.
 */
export function haproxyHasRead(file: string, socket = statsSocket): string {
  const description = /^ {2}description (.*)$/m.exec(file)?.[1] ?? "";
  return `echo 'show info' | socat -t 1 - UNIX-CONNECT:${socket} | grep -Fx 'description: ${description}'`;
}

function sections(
  settings: HaproxySettings,
  topology: Topology,
  application: Routed,
  self: LoadBalancerMember,
): string[] {
  const { smtp } = settings;
  const outside = Object.entries(application.outside);
  return [
    defaults(settings),
    ...sourceTables,
    ...site(settings, topology, application, self),
    ...served(application).flatMap((one) =>
      // An absent one may come back with an old release
      tier(one, present(topology.tiers[one.name] ?? []), settings),
    ),
    database(topology, self, settings),
    ...(smtp || outside.length > 0 ? [resolvers] : []),
    ...(smtp
      ? [wayOut("mail", ports.mail, smtp, { topology, self, tiers: withMail(application) })]
      : []),
    ...outside.map(([name, host], index) =>
      wayOut(`outside_${name}`, ports.firstOutside + index, host, {
        topology,
        self,
        tiers: application.tiers,
      }),
    ),
    statistics(settings, self),
  ];
}

type Served = Routed["tiers"][number] & { readonly port: number };

/** The tiers that answer requests; the others are workers. */
function served({ tiers }: Routed): Served[] {
  return tiers.filter((one): one is Served => one.port !== undefined);
}

function global({ loadBalancer, certificate }: HaproxySettings, version: string): string {
  const { threads } = loadBalancer;
  return `global
  description configuration ${version}
  log stdout format raw local0 info
  default-path config
  user haproxy
  group haproxy
  maxconn ${loadBalancer.maxConnections}${threads === undefined ? "" : `\n  nbthread ${threads}`}
  tune.bufsize ${bufferBytes}
  server-state-file ${drainedFile}
  stats socket ${statsSocket} mode 600 level admin expose-fd listeners
  hard-stop-after ${loadBalancer.reloadDrainSeconds}s${certificate === undefined ? "" : `\n${tls}`}`;
}

/**
 * Mozilla's intermediate configuration, version 5.7. Resumed sessions live in HAProxy's own cache:
 * a ticket key would live as long as the process, and could decrypt all of its sessions.
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

function defaults({ loadBalancer }: HaproxySettings): string {
  const { checkIntervalMilliseconds: inter, checkFastIntervalMilliseconds: fast } = loadBalancer;
  const { fall, rise, timeouts } = loadBalancer;
  return `defaults
  log global
  option dontlognull
  load-server-state-from-file global
  timeout connect ${timeouts.connectMilliseconds}ms
  timeout check 1s
  timeout client ${timeouts.clientSeconds}s
  timeout server 30s
  # For a client that sends its request slowly, or pauses between two requests
  timeout http-request ${timeouts.requestSeconds}s
  timeout http-keep-alive ${timeouts.keepAliveSeconds}s
  # How long a request waits for a free place at an instance before it gets a 503
  timeout queue ${timeouts.queueSeconds}s
  default-server inter ${inter}ms fastinter ${fast}ms downinter ${fast}ms fall ${fall} rise ${rise}
${ownErrors}`;
}

/** What is logged of a request: no query, which may hold a reset link's token. */
const accessLog = (rest: string) => `log-format "%ci %[var(txn.path)] %HM %ST %B %Ta ms ${rest}"
  http-request set-var(txn.path) path`;

/** The site by HTTPS, and plain HTTP that leads there; without a certificate, by plain HTTP. */
function site(
  settings: HaproxySettings,
  { network }: Topology,
  application: Routed,
  { frontend }: LoadBalancerMember,
): string[] {
  const on = (port: number, how = "") =>
    listens("frontend", [frontend, network.frontend.vip], port, how);
  const places = sitePlaces(settings.loadBalancer);
  if (settings.certificate === undefined) {
    return [web(settings, application, { places, binds: on(ports.http), scheme: "http" })];
  }
  const forRedirects = Math.ceil(places / 10);
  const binds = `${on(ports.https, ` ssl crt ${certificateFile} alpn h2,http/1.1`)}
  # For this name only, not for its subdomains: those are not this stack's
  http-after-response set-header Strict-Transport-Security max-age=${hstsSeconds}`;
  return [
    web(settings, application, { places: places - forRedirects, binds, scheme: "https" }),
    redirects(settings, forRedirects, on(ports.http)),
  ];
}

/** How long browsers ask for the site by HTTPS only: one year. */
const hstsSeconds = 31_536_000;

/**
 * Listens where a network's packets come in, and on this machine itself: an address alone would also be
 * reached from the other network, by a machine that sends its packets there. Which interface a network
 * has is known on the machine only; the start script says it.
 */
function listens(
  network: "frontend" | "backend",
  addresses: readonly string[],
  port: number,
  how = "",
): string {
  const all = addresses.map((one) => `${one}:${port}`).join(",");
  return `"\${${interfaceVariables[network]}}" lo`
    .split(" ")
    .map((name) => `  bind ${all} interface ${name}${how}`)
    .join("\n");
}

const lastAnswer = `http-after-response set-header Connection close if { var(${leavingVariable}) -m bool } !{ status 101 }`;

/** Environment variables of HAProxy with the interface of each network. */
export const interfaceVariables = {
  frontend: "FRONTEND_INTERFACE",
  backend: "BACKEND_INTERFACE",
} as const;

interface Entrance {
  /** Connections at a time. */
  readonly places: number;
  readonly binds: string;
  readonly scheme: "http" | "https";
}

function web(
  settings: HaproxySettings,
  application: Routed,
  { places, binds, scheme }: Entrance,
): string {
  const tiers = served(application);
  const rules = [
    requestShare(settings),
    headersThatFit,
    ...loginShare(settings, tiers),
    ...tierChoice(tiers),
    ...(tiers.length > 0 ? [...longBodies(settings, tiers), ...backendChoice] : []),
  ];
  return `frontend web
  mode http
  option httplog
  maxconn ${places}
  # A reload answers one more request on a kept connection, instead of closing it under the client
  option idle-close-on-response
  ${lastAnswer}
${binds}
  ${connectionShare(settings)}
  # Clients cannot forge any of these headers
  unique-id-format %[uuid()]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto ${scheme}
  http-request del-header Forwarded
  ${accessLog("%b/%s %tsc %ID")}
${whoGetsJson(application)}
  # An instance's metrics are not for visitors, however they write the path
  http-request deny deny_status 404 if { path,url_dec -i /metrics /metrics/ }
  ${rules.join("\n  ")}`;
}

/** Which requests go to which tier (`txn.tier`): the longest path wins, so it comes last. */
function tierChoice(tiers: readonly Served[]): string[] {
  const rest = tiers.find((one) => one.routes.length === 0);
  if (rest === undefined) return ["http-request deny deny_status 404"];
  const choose = (name: string) => `http-request set-var(txn.tier) str(${name})`;
  const routes = tiers
    .flatMap(({ name, routes: own }) => own.map((route) => ({ name, ...route })))
    .sort((a, b) => a.path.length - b.path.length);
  return [
    choose(rest.name),
    ...routes.map(({ name, path, methods }) => {
      const only = methods && `{ method ${methods.join(" ")} }`;
      return `${choose(name)} if ${isAtOrBelow(path, only)}`;
    }),
  ];
}

/** Of each tier's requests, those with a long body and those that change something are apart. */
const backendChoice = [
  `use_backend ${uploadsOf("%[var(txn.tier)]")} if { var(txn.long) -m bool }`,
  // HAProxy's METH_GET is HEAD as well
  `use_backend ${writesOf("%[var(txn.tier)]")} if !METH_GET`,
  "use_backend %[var(txn.tier)]",
];

/** The backend of a tier for requests that change something. */
function writesOf(tier: string): string {
  return `${tier}_writes`;
}

/** The backend of a tier for requests with a long body, whatever they do. */
function uploadsOf(tier: string): string {
  return `${tier}_uploads`;
}

/** Plain HTTP says where the same is by HTTPS, whatever name a client has asked for; 308 keeps the method. */
function redirects(settings: HaproxySettings, places: number, binds: string): string {
  const there = `location ${publicUrlOf(settings)}%[pathq]`;
  return `frontend redirects
  mode http
  option httplog
  maxconn ${places}
  ${lastAnswer}
${binds}
  ${connectionShare(settings)}
  unique-id-format %[uuid()]
  ${accessLog("redirect")}
  ${requestShare(settings)}
  http-request deny deny_status 400 unless { path_beg / }
  http-request redirect ${there} code 301 if METH_GET
  http-request redirect ${there} code 308`;
}

/** What an instance's proxy answers where the application did not get the request; nobody else does. */
export const neverReached = 425;

/** Between load balancers, instances and the cache, which are all of one release. */
export const sharedTls = "ssl-min-ver TLSv1.3";

/**
 * Three backends with the same servers. A request is sent again to another instance where the application
 * did not get it; one that changes nothing also where no answer came. Each kind has places of its own.
 */
function tier(one: Served, members: readonly Member[], settings: HaproxySettings): string[] {
  const { name, health } = one;
  const { maxConnectionsPerInstance, uploads, weights } = settings.loadBalancer;
  const isWeighted = members.some((member) => weights[member.name] !== undefined);
  const backend = (
    title: string,
    places: number,
    own: readonly string[],
    server: (name: string) => string,
  ) => {
    const all = members.map((member) => {
      // A machine that is gone is noticed by what it does not acknowledge; HAProxy's defaults lack this
      const known = `verifyhost ${placeOf(member)} tcp-ut 2s`;
      const share = isWeighted ? ` weight ${weights[member.name] ?? usualWeight}` : "";
      return `server ${member.name} ${member.backend}:${one.port} ${known}${share} ${server(member.name)}`;
    });
    const lines = [`backend ${title}`, ...ofAllKinds(one, settings, places), ...own, ...all];
    return lines.join("\n  ");
  };
  const reading = [
    "option httpchk",
    `http-check send meth GET uri ${health.path}`,
    "http-check expect status 200",
    `retry-on conn-failure ${neverReached} empty-response response-timeout`,
  ];
  const retry = `retry-on conn-failure ${neverReached}`;
  const mark = "http-request set-var(txn.alone) unique-id";
  const track = (server: string) => `track ${name}/${server} ${alone}`;
  // By HTTP/1 a place would be kept for who goes on sending after the answer, for as long as he likes
  const trackByHttp2 = (server: string) => `${track(server)} alpn h2,http/1.1`;
  return [
    backend(name, maxConnectionsPerInstance, reading, () => "check"),
    backend(
      writesOf(name),
      maxConnectionsPerInstance,
      [
        retry,
        "# What is too long to be kept for another try: a new connection fails before any of it is sent",
        `${mark} if { var(txn.body) -m int gt 8192 }`,
      ],
      track,
    ),
    backend(
      uploadsOf(name),
      uploads.perInstance,
      [retry, `timeout queue ${uploads.queueSeconds}s`, mark],
      trackByHttp2,
    ),
  ];
}

/** Of an instance that no setting names, beside one that is named. */
const usualWeight = 100;

/**
 * A machine that is gone lacks no acknowledgement where all was sent before: connections that wait for an answer, and
 * those in reserve, ask for one each second, and end by `tcp-ut`.
 */
const keptAlive = ["option srvtcpka", "srvtcpka-idle 1s", "srvtcpka-intvl 1s"];

/** Requests that are marked so share their connection with no other. */
const alone = "pool-conn-name var(txn.alone)";

function ofAllKinds(one: Served, { loadBalancer }: HaproxySettings, places: number): string[] {
  const certificate = `ca-file ${authorityFile("instances")} crt ${leafFile("load-balancer")}`;
  return [
    "mode http",
    `balance ${loadBalancer.balance}`,
    "option redispatch 1",
    "retries 3",
    `timeout server ${one.serverSentEvents ? "1h" : `${one.responseSeconds}s`}`,
    ...(one.webSocket ? ["timeout tunnel 1h"] : []),
    ...keptAlive,
    `http-response deny deny_status 503 if { status ${neverReached} }`,
    `default-server maxconn ${places} observe layer4 error-limit 3 on-error mark-down`,
    `default-server ssl verify required ${certificate} ${sharedTls}`,
  ];
}

/**
 * A refused connection is tried again only after `timeout connect`, or a second: so long a client waits beside a new
 * primary. Members answer a connection within a millisecond.
 */
const databaseConnectMilliseconds = 200;
/** For two seconds, as a primary that is killed has another one by then. */
const databaseRetries = 10;

/** TCP listeners in the backend network: Patroni's health checks say which member serves which. */
function database(topology: Topology, self: LoadBalancerMember, settings: HaproxySettings): string {
  const vip = topology.network.backend.vip;
  const members = present([...Object.values(topology.tiers).flat(), ...topology.members.backup]);
  const clients = [...tierSources(members, topology), ...settings.loadBalancer.databaseClients];
  const listener = (name: string, port: number, routes: string) => `frontend ${name}
  mode tcp
  option tcplog
  # Clients whose address has moved on to the other load balancer are heard no more: their sessions end within 5 s
  option clitcpka
  clitcpka-idle 2s
  clitcpka-intvl 1s
  clitcpka-cnt 3
  timeout client 1h
${listens("backend", [self.backend, vip], port)}
  ${onlyFrom(clients)}
${routes}`;
  const backend = (name: string, path: string, members: readonly Member[]) => `backend ${name}
  mode tcp
  option srvtcpka
  timeout connect ${Math.min(databaseConnectMilliseconds, settings.loadBalancer.timeouts.connectMilliseconds)}ms
  timeout server 1h
  option redispatch 1
  retries ${databaseRetries}
  option httpchk
  http-check send meth OPTIONS uri ${path}
  http-check expect status 200
  default-server maxconn ${settings.database.maxConnections} on-marked-down shutdown-sessions
${servers(members, (one) => `${one.backend}:${ports.postgres} ${patroniCheck(one.name)}`)}`;
  const all = topology.members.database;
  const standbyFirst = `  use_backend standby if { nbsrv(standby) gt 0 }
  default_backend primary`;
  return [
    listener("primary", ports.primary, "  default_backend primary"),
    listener("replicas", ports.replicas, standbyFirst),
    // Patroni says who has all that was acknowledged, also of one that is back too early
    backend("primary", "/primary", all),
    backend("standby", `/replica?lag=${settings.database.maximumLagOnReadsBytes}`, present(all)),
  ].join("\n\n");
}

/** Where instances come from: one on the machine that holds the virtual address comes from that one. */
function tierSources(instances: readonly Member[], { members, network }: Topology): string[] {
  const isShared = members.loadBalancer.some(({ machine }) =>
    instances.some((one) => one.machine === machine),
  );
  return [...instances.map(({ backend }) => backend), ...(isShared ? [network.backend.vip] : [])];
}

/** Who else connects is turned away before a byte is read. */
function onlyFrom(sources: readonly string[]): string {
  if (sources.length === 0) return "tcp-request connection reject";
  return `tcp-request connection reject unless { src ${[...new Set(sources)].sort().join(" ")} }`;
}

/** Asks Patroni by TLS, so that only this member can answer for itself. */
export const patroniCheck = (member: string) =>
  `check port ${ports.patroni} check-ssl verify required ca-file ${authorityFile("patroni-api")} verifyhost ${member}`;

/** Names are looked up while HAProxy runs, so that no lookup can keep it from starting. */
const resolvers = `resolvers system
  parse-resolv-conf`;

/** Where a way outside begins, and for whom. */
interface WayIn {
  readonly topology: Topology;
  readonly self: LoadBalancerMember;
  readonly tiers: readonly { readonly name: string }[];
}

const withMail = ({ tiers }: Routed) => tiers.filter(({ mail }) => mail);

/** The application's way to a host outside: its own network leads nowhere. */
function wayOut(
  name: string,
  local: number,
  { host, port }: { readonly host: string; readonly port: number },
  { topology, self, tiers }: WayIn,
): string {
  const members = present(tiers.flatMap((one) => topology.tiers[one.name] ?? []));
  return `listen ${name}
  mode tcp
  option tcplog
  timeout connect 5s
  timeout client 1m
  timeout server 1m
${listens("backend", [self.backend, topology.network.backend.vip], local)}
  ${onlyFrom(tierSources(members, topology))}
  server ${name} ${host}:${port} init-addr none resolvers system`;
}

/** The operator's page, by HTTPS as the site; this machine's own health check uses plain HTTP. */
function statistics(
  { certificate, network, loadBalancer }: HaproxySettings,
  self: LoadBalancerMember,
): string {
  const secured = certificate === undefined ? "" : ` ssl crt ${certificateFile}`;
  return `userlist operators
  user operator insecure-password @{stats_password}

frontend statistics
  mode http
  no log
${listens("frontend", [self.frontend], ports.stats, secured)}
  bind 127.0.0.1:${ports.stats}
  ${onlyFrom(["127.0.0.1", network.frontend.subnet, ...loadBalancer.operators])}
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
