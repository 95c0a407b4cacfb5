/**
 * What a preview says of a machine's firewall: who would be locked out, whose rules stand in the way,
 * and what nothing will reach any more.
 */
import { contains } from "../../addresses.ts";
import { type Opening, openings, sshPortsMark } from "../../render/nftables.ts";
import type { Problem } from "../../rules/problem.ts";
import type { Settings } from "../../settings.ts";
import type { Topology } from "../../topology.ts";
import type { Flow } from "../platform.ts";
import { describeTarget } from "./connection.ts";
import type { Facts, Listener, Seen } from "./facts.ts";
import { readSshWay, type SshWay, wayProblem } from "./ssh-way.ts";

type Looked = Pick<Seen, "target" | "machine" | "facts">;

/** Why the operator's way to a machine would be closed, if it would. */
export function wayProblems(
  { network, firewall }: Pick<Settings, "network" | "firewall">,
  { target, machine, facts }: Looked,
): Pick<Problem, "why" | "fix">[] {
  const way = readSshWay(facts.sshConnection ?? "");
  if (way === undefined || firewall.admit.some((one) => isAdmitted(one, way))) return [];
  const management =
    network.management && machine.management !== undefined
      ? { subnet: network.management.subnet, address: machine.management }
      : undefined;
  const found = wayProblem(target, management, way);
  return found ? [found] : [];
}

function isAdmitted(
  { port, protocol, from, network, machines }: Settings["firewall"]["admit"][number],
  { client, port: used }: SshWay,
): boolean {
  const everywhere = network === undefined && machines === undefined;
  if (protocol !== "tcp" || String(port) !== used || !everywhere) return false;
  return from === "everybody" || from.some((one) => isIn(one, client));
}

const isIn = (subnet: string, address: string): boolean =>
  !`${subnet}${address}`.includes(":") && contains(subnet, address);

/**
 * How often `up` has found a machine's firewall open, this time too: another number has it closed again,
 * and the same changes nothing.
 */
export function timesMended(facts: Pick<Facts, "firewall"> | undefined): number {
  const { mended = 0, isOpen = false, letsFormerIn = false } = facts?.firewall ?? {};
  return mended + Number(isOpen || letsFormerIn);
}

/** @param flows every connection that the stack's members make */
export function firewallWarnings(
  settings: Settings,
  topology: Topology,
  flows: readonly Flow[],
  seen: Looked,
): Problem[] {
  const about = { source: describeTarget(seen.target), path: "" };
  const open = openings(topology, flows, seen.machine, settings.firewall.admit);
  return [...foundOpen(seen), ...otherFirewalls(seen), ...unreached(open, seen)].map((one) => ({
    ...about,
    ...one,
  }));
}

function foundOpen({ facts: { firewall } }: Looked): Pick<Problem, "why" | "fix">[] {
  if (firewall?.isOpen) {
    return [
      {
        why: "other firewall rules are loaded than the stack's, or none",
        fix: "this up loads them again; see journalctl -u hastack-firewall-guard there",
      },
    ];
  }
  return firewall?.letsFormerIn
    ? [{ why: "it still lets in what an up that failed has opened", fix: "this up closes that" }]
    : [];
}

function otherFirewalls({ facts: { otherFirewalls } }: Looked): Pick<Problem, "why" | "fix">[] {
  return otherFirewalls.map((name) => ({
    why: `its own firewall (${name}) drops what it does not know, whatever the stack's lets in`,
    fix: "let the stack's ports in there too, or end it: the stack's is enough",
  }));
}

/** The port of a DHCP client is let in as such. */
const answeredPorts: readonly number[] = [68, 546];
/** From here on clients get their ports, which look like servers' without a connection. */
const firstPassingPort = 32_768;

function unreached(open: readonly Opening[], seen: Looked): Pick<Problem, "why" | "fix">[] {
  const { listeners = [], udpListeners = [], firewall } = seen.facts;
  const all = [
    ...listeners.map((one) => ({ ...one, protocol: "tcp" as const })),
    ...udpListeners
      .filter(({ port }) => port < firstPassingPort && !answeredPorts.includes(port))
      .map((one) => ({ ...one, protocol: "udp" as const })),
  ];
  const lost = all.filter(
    (one) =>
      !isLocal(one) &&
      !isOwn(one) &&
      !firewall?.known.includes(`${one.protocol} ${one.port}`) &&
      !open.some((opening) => leadsTo(opening, one)),
  );
  const told = new Map(lost.map((one) => [`${one.protocol} ${one.port}`, one]));
  return [...told.values()].map(({ port, protocol, program }) => ({
    why: `nothing will reach ${protocol === "udp" ? "UDP " : ""}port ${port} (${program}) any more`,
    fix: `name it in hastack:firewall.admit if somebody is to: { what: ${program}, port: ${port}${protocol === "udp" ? ", protocol: udp" : ""}, from: [SUBNET] }`,
  }));
}

const isLocal = ({ place }: Listener): boolean => /^(127\.|\[::1\]|.*%lo:)/.test(place);

/** Its flows are known; SSH is let in wherever it listens. */
const isOwn = ({ program, unit = "" }: Listener): boolean =>
  unit.startsWith("hastack-") || program === "sshd" || /^gluster/.test(program);

function leadsTo(
  { protocol, ports = [] }: Opening,
  one: Listener & { readonly protocol: string },
): boolean {
  return (
    protocol === one.protocol &&
    ports.some((text) => {
      if (text === sshPortsMark) return false;
      const [first = 0, last = first] = text.split("-").map(Number);
      return one.port >= first && one.port <= last;
    })
  );
}
