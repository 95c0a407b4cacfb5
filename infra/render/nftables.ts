/**
 * A machine's firewall as text for `nft -f`: one table of the stack's own, which leaves those of others
 * alone. What comes in is let in by where it is for, whose it is, role and port; on the loopback each
 * tier's program and its way to the cache are kept apart from other tiers.
 */
import type { Flow, Network } from "../flows.ts";
import { isRole, ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Machine, Topology } from "../topology.ts";
import { cacheAddress, loopback } from "./instance-proxy.ts";

/** The stack's own table. */
export const firewallTable = "inet hastack";
/** What the kernel's log calls packets that were dropped. */
export const firewallLogPrefix = "hastack-firewall: ";
/** Where the machine's SSH ports are put in: a setting may name a NAT's port instead. */
export const sshPortsMark = "@ssh@";
/** Where the number of a user is put in; a line with one that is not there is left out. */
export const userMark = (user: string): string => `@uid:${user}@`;

/** By its number: a bare Debian has no file with the names of protocols. */
const vrrpProtocol = 112;

/** Numbers of the message that something is not reached, which tells of packets that are too big, too. */
const unreachable = { icmp: 3, icmpv6: 1 } as const;

type Admit = Settings["firewall"]["admit"][number];

/** What one rule lets in: nothing is asked of what is not named. */
export interface Opening {
  /** Own addresses. @default any of the machine's */
  readonly to?: readonly string[];
  /** Addresses or subnets. @default everybody */
  readonly from?: readonly string[];
  readonly protocol: "tcp" | "udp" | "vrrp";
  /** Ports, as nft writes them. @default none: the protocol has none */
  readonly ports?: readonly string[];
  /** Why. */
  readonly comment: string;
}

/**
 * @param flows every connection that the stack's members make
 * @param admit what the machines' owner runs besides
 * @returns a file for `nft -f`, with marks in place of what is known on the machine only
 */
export function renderFirewall(
  topology: Topology,
  flows: readonly Flow[],
  machine: Machine,
  admit: readonly Admit[],
): string {
  const rules = openings(topology, flows, machine, admit).map(ruleOf);
  return `# What reaches this machine, made by hastack; \`up\` writes it anew, and a guard loads it again
table ${firewallTable}
delete table ${firewallTable}
table ${firewallTable} {
${chain("flows", rules)}

  # What the release before needs besides, while an \`up\` goes on
${chain("former", [])}

${chain("input", [...input, "jump flows", "jump former", ...dropped])}

${untracked(topology, flows, machine)}  # Programs of this machine that speak to each other here
${chain("output", ["type filter hook output priority filter; policy accept;", 'oifname != "lo" accept', ...loopbackRules(topology, machine)])}
}
`;
}

/** Visitors need no tracking, and many of them would fill its table: the site's doors are open anyway. */
function untracked(topology: Topology, flows: readonly Flow[], machine: Machine): string {
  const open = flows.filter(({ from, to }) => from === "visitor" && machine.roles.includes(to));
  const [site] = open;
  if (site === undefined) return "";
  const own = setOf(addressesAs(site.to, topology, machine, site.network));
  const list = setOf(open.flatMap(({ port }) => (port === "vrrp" ? [] : [portText(port)])));
  const hook = (name: string) => `type filter hook ${name} priority raw; policy accept;`;
  return `${chain("site_in", [hook("prerouting"), `ip daddr ${own} tcp dport ${list} notrack`])}

${chain("site_out", [hook("output"), `ip saddr ${own} tcp sport ${list} notrack`])}

`;
}

function chain(name: string, rules: readonly string[]): string {
  return [`  chain ${name} {`, ...rules.map((rule) => `    ${rule}`), "  }"].join("\n");
}

/** VRRP is no connection: an advert must be let in by its source each time. */
const input = [
  "type filter hook input priority filter; policy drop;",
  'iifname "lo" accept',
  `meta l4proto != ${vrrpProtocol} ct state established,related accept`,
  "udp sport 67 udp dport 68 accept",
  "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
  "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } ip6 hoplimit 255 accept",
  // Linux answers by one interface for the address of another: not here
  'fib daddr . iif type != { local, broadcast, multicast } counter drop comment "an address of another interface"',
  `icmp type { echo-request, ${unreachable.icmp}, time-exceeded, parameter-problem } accept`,
  `icmpv6 type { echo-request, ${unreachable.icmpv6}, packet-too-big, time-exceeded, parameter-problem, mld-listener-query } accept`,
];

const dropped = [
  "meta pkttype { broadcast, multicast } counter drop",
  `limit rate 10/minute burst 20 packets log prefix "${firewallLogPrefix}"`,
  "counter drop",
];

/** All that a machine lets in beside answers, as plain values. */
export function openings(
  topology: Topology,
  flows: readonly Flow[],
  machine: Machine,
  admit: readonly Admit[],
): Opening[] {
  return [
    sshOpening(topology, machine),
    ...flowOpenings(topology, flows, machine),
    ...admit
      .filter(({ machines }) => machines === undefined || machines.includes(machine.name))
      .map((one) => admitOpening(topology, machine, one))
      // A machine that is not in the network has no door there
      .filter(({ to }) => to?.length !== 0),
  ];
}

function sshOpening({ network }: Topology, { management }: Machine): Opening {
  const ssh = { protocol: "tcp", ports: [sshPortsMark], comment: "SSH" } as const;
  return network.management && management
    ? { to: [management], from: [network.management.subnet], ...ssh }
    : ssh;
}

function admitOpening(topology: Topology, machine: Machine, one: Admit): Opening {
  const { what, port, ports: range, protocol, from, network } = one;
  const { roles } = machine;
  return {
    ...(network && {
      to: addressesAs(
        roles.find((role) => role === "loadBalancer") ?? "",
        topology,
        machine,
        network,
      ),
    }),
    ...(from !== "everybody" && { from }),
    protocol,
    ports: [port === undefined ? (range ?? "") : String(port)],
    comment: what,
  };
}

/** One for each network, source and protocol, with all ports that are for it. */
function flowOpenings(topology: Topology, flows: readonly Flow[], machine: Machine): Opening[] {
  const found = new Map<string, Opening>();
  for (const flow of flows.filter(({ to }) => machine.roles.includes(to))) {
    const isVrrp = flow.port === "vrrp";
    // Adverts go from own address to own address
    const to = addressesAs(isVrrp ? "" : flow.to, topology, machine, flow.network);
    const from = sourcesOf(topology, flow, machine, isVrrp ? "" : flow.from);
    if (to.length === 0 || from?.length === 0) continue;
    const protocol = isVrrp ? "vrrp" : (flow.protocol ?? "tcp");
    const key = JSON.stringify([to, from, protocol]);
    const before = found.get(key);
    const comments = [
      ...new Set([...(before?.comment.split(", ") ?? []), `${flow.from} to ${flow.to}`]),
    ];
    found.set(key, {
      to,
      ...(from && { from }),
      protocol,
      ...(flow.port !== "vrrp" && {
        ports: [...new Set([...(before?.ports ?? []), portText(flow.port)])],
      }),
      comment: comments.join(", "),
    });
  }
  return [...found.values()];
}

const portText = (port: Exclude<Flow["port"], "vrrp">): string =>
  typeof port === "number" ? String(port) : `${port.from}-${port.to}`;

/** The machine's own address in a network, and the virtual one that its load balancer may hold. */
function addressesAs(role: string, { network }: Topology, machine: Machine, name: Network) {
  const own = machine[name];
  if (own === undefined) return [];
  return role === "loadBalancer" && name !== "management" ? [own, network[name].vip] : [own];
}

/** @returns nothing where everybody may come */
function sourcesOf(
  topology: Topology,
  { from, network }: Flow,
  machine: Machine,
  as: string,
): string[] | undefined {
  if (from === "visitor" || from === "operator") return undefined;
  const others = topology.machines.filter(
    ({ name, roles }) => name !== machine.name && roles.includes(from),
  );
  return [...new Set(others.flatMap((one) => addressesAs(as, topology, one, network)))];
}

function ruleOf({ to, from, protocol, ports: list, comment }: Opening): string {
  const isSix = from?.some((one) => one.includes(":"));
  return [
    ...(to ? [`ip daddr ${setOf(to)}`] : []),
    ...(from ? [`${isSix ? "ip6" : "ip"} saddr ${setOf(from)}`] : []),
    // An advert from further away has another number there
    protocol === "vrrp"
      ? `ip protocol ${vrrpProtocol} ip ttl 255`
      : `${protocol} dport ${setOf(list ?? [])}`,
    `counter accept comment "${commentOf(comment)}"`,
  ].join(" ");
}

/** A comment of nft's has up to 128 bytes, in one line. */
function commentOf(text: string): string {
  const line = Buffer.from(text.replaceAll(/["\\\n]/g, " "));
  // What is cut in two is no character
  return line
    .subarray(0, 120)
    .toString()
    .replace(/\uFFFD+$/, "");
}

const setOf = (list: readonly string[]): string => `{ ${list.join(", ")} }`;

/** Instances answer their proxy, who asks for their health, and themselves; no other tier. */
function loopbackRules({ tiers, members }: Topology, { roles }: Machine): string[] {
  const held = roles.filter((role) => !isRole(role));
  const refuse = "counter reject with tcp reset";
  return held.flatMap((tier) => {
    const own = userMark(`hastack-${tier}`);
    const port = tiers[tier]?.[0]?.port;
    return [
      ...(port === undefined
        ? []
        : [
            `ip daddr ${loopback} tcp dport ${port} meta skuid != { 0, ${userMark("haproxy")}, ${own} } ${refuse}`,
          ]),
      ...(members.cache.length === 0
        ? []
        : [
            `ip daddr ${cacheAddress(tier)} tcp dport ${ports.cache} meta skuid != { 0, ${own} } ${refuse}`,
          ]),
    ];
  });
}
