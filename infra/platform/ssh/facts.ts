/** What `programs/facts` tells of a machine. */
import type { Target } from "../../inventory.ts";
import { firewallTable } from "../../render/nftables.ts";
import type { Machine, Member } from "../../topology.ts";

/** What was seen of a machine; what could not be read is missing. */
export interface Facts {
  /** Why whoever logs in cannot become root, in sudo's words, or `noSudo`. */
  readonly notRoot?: string;
  /** `ID` and `VERSION_ID` of its distribution, and how that calls itself. */
  readonly system?: { readonly id: string; readonly version: string; readonly title: string };
  /** As `uname -m` says it. */
  readonly architecture?: string;
  /** Name of process 1, where that is not systemd. */
  readonly otherInit?: string;
  readonly memoryMegabytes?: number;
  /** Per path that was asked for: the file system that holds it, or will. */
  readonly space: ReadonlyMap<string, { readonly mount: string; readonly freeMegabytes: number }>;
  /** Its clock, in seconds since 1970. */
  readonly clock?: number;
  /** Names that are not known there: its own, and hosts that its packages come from. */
  readonly unknownNames: readonly string[];
  readonly hostName?: string;
  readonly addresses: readonly string[];
  /** Programs that listen; nothing where that cannot be seen. */
  readonly listeners?: readonly Listener[];
  /** Services of others, of programs that the stack runs, too: they run, or will at the next boot. */
  readonly othersUnits?: readonly string[];
  /** Who has the number of the stack's user. */
  readonly userOfId?: string;
  /** The number of the stack's user, where there is one. */
  readonly idOfUser?: number;
  /** Members of the stack that were placed there before. */
  readonly placed: readonly string[];
  /** Lines of the members' own files that say what runs. @default none */
  readonly running?: readonly string[];
  /** The stack that it belongs to, and its name there. */
  readonly owner?: string;
  /** Whether what its storage is made with is the stack's own. */
  readonly ownStorage: boolean;
  /** Shared directories that it mounts, each with where from. */
  readonly shared: ReadonlyMap<string, string>;
  /** The connection that it was looked at by: `SSH_CONNECTION` there. */
  readonly sshConnection?: string;
  /** The stack's firewall; nothing where it has none yet. */
  readonly firewall?: FirewallFacts;
  /** Tables of others, as `table inet filter`, whose chains on input drop what they do not know. */
  readonly otherFirewalls: readonly string[];
  /** What was changed by hand since the last delivery, by member: files' paths, `hastack-NAME.service`. */
  readonly altered: ReadonlyMap<string, readonly string[]>;
  /** Programs that packets without a connection come to; the same as of `listeners` holds. */
  readonly udpListeners?: readonly Listener[];
}

export interface FirewallFacts {
  /** Whether other rules are loaded than those that are to be, or none. */
  readonly isOpen: boolean;
  /** Whether it lets in what an `up` that did not come to its end has opened. */
  readonly letsFormerIn: boolean;
  /** How often `up` had found it so. */
  readonly mended: number;
  /** What listened when it was last applied, as `tcp 9100`. */
  readonly known: readonly string[];
}

/** One machine, and what was seen there. */
export interface Seen {
  readonly target: Target;
  readonly machine: Machine;
  /** Members that are to be there. */
  readonly planned: readonly Member[];
  readonly facts: Facts;
  /** Its clock less the operator's, in seconds; 0 when they may be the same. */
  readonly clockOffset: number;
}

/** A program that takes connections. */
export interface Listener {
  readonly port: number;
  /** As `ss` shows it: `0.0.0.0:80`. */
  readonly place: string;
  readonly program: string;
  /** The systemd unit that it belongs to. @default none */
  readonly unit?: string;
}

/** What stands in place of sudo's words where there is no sudo. */
export const noSudo = "sudo is not there";

/** Reads what the script printed. Lines that it did not print, such as a greeting, are passed over. */
export function parseFacts(text: string): Facts {
  const lines = text.split("\n").map((line) => /^(\w+) ?(.*)$/.exec(line) ?? []);
  const all = (name: string) =>
    lines.filter(([, word]) => word === name).map(([, , rest = ""]) => rest.trim());
  const one = (name: string) => all(name).find((rest) => rest !== "");
  const number = (name: string) => (one(name) === undefined ? undefined : Number(one(name)));
  const kilobytes = number("memory");
  const [id, version = "", ...title] = words(one("system"));
  return {
    notRoot: one("notRoot"),
    system: id === undefined ? undefined : { id, version, title: title.join(" ") },
    architecture: one("architecture"),
    otherInit: one("otherInit"),
    memoryMegabytes: kilobytes === undefined ? undefined : Math.floor(kilobytes / 1024),
    space: new Map(all("space").flatMap(readSpace)),
    clock: number("clock"),
    unknownNames: all("unknownName"),
    hostName: one("hostName"),
    addresses: words(one("addresses")),
    listeners:
      all("listenersSeen").length > 0 ? readListeners(all("listener"), all("group")) : undefined,
    othersUnits: all("othersUnit"),
    userOfId: one("userOfId"),
    idOfUser: number("idOfUser"),
    // Not the copies beside them, which a run that was cut off leaves
    placed: all("placed").filter((name) => /^[a-z]([a-z0-9-]*[a-z])?-[1-9]\d*$/.test(name)),
    running: all("running"),
    owner: one("owner"),
    ownStorage: all("ownStorage").length > 0,
    shared: new Map(
      all("shared").map((line) => {
        const [name = "", source = ""] = words(line);
        return [name, source];
      }),
    ),
    sshConnection: one("ssh"),
    firewall:
      all("firewall").length === 0
        ? undefined
        : {
            isOpen: all("firewallOpen").length > 0,
            letsFormerIn: all("firewallFormer").length > 0,
            mended: number("firewallMended") ?? 0,
            known: all("knownDoor"),
          },
    altered: byFirstWord(all("altered")),
    otherFirewalls: readFirewalls(all("chain"), all("iptables")),
    udpListeners:
      all("listenersSeen").length > 0 ? readListeners(all("udpListener"), all("group")) : undefined,
  };
}

function byFirstWord(lines: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const line of lines) {
    const [name = "", ...rest] = line.split(" ");
    found.set(name, [...(found.get(name) ?? []), rest.join(" ")]);
  }
  return found;
}

/** @param chains lines of `nft list chains` @param policies of `iptables -S`, which nft may show too */
function readFirewalls(chains: readonly string[], policies: readonly string[]): string[] {
  let table = "";
  const found: string[] = [];
  for (const line of chains) {
    table = /^(table \S+ \S+) \{/.exec(line)?.[1] ?? table;
    const drops = /^type filter hook input .*policy drop;/.test(line);
    if (drops && table !== `table ${firewallTable}` && !found.includes(table)) found.push(table);
  }
  const byIptables = policies.some((line) => /^-P INPUT (DROP|REJECT)/.test(line));
  return byIptables && !found.includes("table ip filter") ? [...found, "iptables"] : found;
}

const words = (text = "") => text.split(/\s+/).filter(Boolean);

/** `PATH FREE MOUNT`, where `df` knows it. */
function readSpace(line: string): [string, { mount: string; freeMegabytes: number }][] {
  const [path = "", free, ...mount] = words(line);
  if (free === undefined) return [];
  return [[path, { mount: mount.join(" "), freeMegabytes: Math.floor(Number(free) / 1024) }]];
}

function readListeners(lines: readonly string[], groups: readonly string[]): Listener[] {
  const units = new Map(
    groups.flatMap((line) => {
      const [, pid, unit] = /^pid=(\d+) .*\/([^/]+\.(?:service|scope))$/.exec(line) ?? [];
      return pid !== undefined && unit !== undefined ? [[pid, unit] as const] : [];
    }),
  );
  return lines.map((line) => {
    const [, , , place = "", , users = ""] = words(line);
    const [, program = "the kernel", pid = ""] = /"([^"]*)",pid=(\d+)/.exec(users) ?? [];
    const unit = units.get(pid);
    return {
      port: Number(place.split(":").at(-1)),
      place,
      program,
      ...(unit !== undefined && { unit }),
    };
  });
}
