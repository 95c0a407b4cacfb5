/** What the load balancers do with requests, asked and changed by HAProxy's own socket on each of them. */
import { drainedFile, leavingVariable, statsSocket } from "../../infra/render/haproxy.ts";
import type { Member } from "../../infra/topology.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** One server in one of HAProxy's backends. */
export interface Server {
  readonly backend: string;
  /** The member's name. */
  readonly name: string;
  /** HAProxy's word: `UP`, `DOWN`, `DRAIN`, `MAINT`, with more behind it at times. */
  readonly status: string;
  /** The last check, such as `L7OK`. @default "" it is not checked itself */
  readonly check: string;
  /** Requests, or connections, that it serves now. */
  readonly current: number;
}

/** What one load balancer said. */
export interface Balancer {
  readonly member: Member;
  readonly servers: readonly Server[];
  /** Names of those that an operator has drained, also of those that are down. */
  readonly drained: readonly string[];
}

/** One that could not be asked. */
export interface Silent {
  readonly member: Member;
  readonly why: string;
}

export interface Balancers {
  readonly asked: readonly Balancer[];
  readonly silent: readonly Silent[];
}

/** HAProxy answers within milliseconds; one that hangs must not keep an operation. */
const limitSeconds = 5;

/** Servers in the answer to `show stat`: its first line names the fields. */
export function readServers(answer: string): Server[] {
  const [head = "", ...rows] = answer.replace(/^# /, "").trim().split("\n");
  const places = new Map(head.split(",").map((name, place) => [name, place]));
  return rows
    .map((row) => row.split(","))
    .map((values) => (name: string) => values[places.get(name) ?? -1] ?? "")
    .filter((field) => !["FRONTEND", "BACKEND", ""].includes(field("svname")))
    .map((field) => ({
      backend: field("pxname"),
      name: field("svname"),
      status: field("status"),
      check: field("check_status").replace(/^\* /, ""),
      current: Number(field("scur")),
    }));
}

/** Whether a server gets new requests. */
export const isServing = ({ status }: Server): boolean => /^(UP|no check)/.test(status);

/** In a state file of HAProxy's, the bit of a server that was drained by its socket (`SRV_ADMF_FDRAIN`). */
const drainedBit = 8;

/** Has what is drained now drained still after a reload, or a start. */
export const keepDrained = `echo 'show servers state' | socat -t 3 - UNIX-CONNECT:${statsSocket} |
  awk 'NF && (NR <= 2 || int($7 / ${drainedBit}) % 2)' > ${drainedFile}.new && mv ${drainedFile}.new ${drainedFile}`;

/** Names of the servers in the answer to `show servers state` that were drained by HAProxy's socket. */
export function readDrained(answer: string): string[] {
  const rows = answer.split("\n").map((row) => row.split(" "));
  // As its first line says: srv_name, srv_admin_state
  const isDrained = ([, , , , , , state]: string[]) =>
    Math.floor(Number(state) / drainedBit) % 2 === 1;
  return [...new Set(rows.filter(isDrained).map((row) => row[3] ?? ""))];
}

/** All load balancers' servers, after these commands. @throws when HAProxy refuses one */
export async function askBalancers(
  stack: OperatedStack,
  commands: readonly string[] = [],
): Promise<Balancers> {
  const line = [...commands, "show servers state", "show stat"].join(";");
  const told = `echo '${line}' | socat -t 3 - UNIX-CONNECT:${statsSocket}`;
  const script = commands.length === 0 ? told : `${told} && ${keepDrained}`;
  const answers = await Promise.all(
    stack.topology.members.loadBalancer.map(async (member): Promise<Balancer | Silent> => {
      const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds });
      if (isUnreachable(outcome)) return { member, why: outcome.unreachable };
      const { stdout } = outcome;
      // One that hangs takes the question, and socat ends well
      if (outcome.code !== 0 || stdout === "")
        return { member, why: outcome.stderr.trim() || "HAProxy is silent" };
      const [states, stat] = ["1\n# be_id", "# pxname"].map((head) => stdout.indexOf(head)) as [
        number,
        number,
      ];
      const said = stdout.slice(0, Math.max(states, 0)).trim();
      if (states < 0 || stat < states || said !== "")
        throw new Error(`${member.name}: HAProxy says: ${said || stdout.slice(0, 200)}`);
      const drained = readDrained(stdout.slice(states, stat));
      return { member, servers: readServers(stdout.slice(stat)), drained };
    }),
  );
  return {
    asked: answers.filter((one): one is Balancer => "servers" in one),
    silent: answers.filter((one): one is Silent => "why" in one),
  };
}

/**
 * Where a member gets its requests: those that follow this one in other backends do as it does.
 * @returns nothing for members that no load balancer sends anything to
 */
export function backendOf({ topology }: OperatedStack, { role, port }: Member): string | undefined {
  if (role in topology.tiers) return port === undefined ? undefined : role;
  return role === "database" ? "standby" : undefined;
}

/** HAProxy's commands that keep requests from members. */
export function drainCommands(stack: OperatedStack, members: readonly Member[]): string[] {
  return members.flatMap((member) => {
    const backend = backendOf(stack, member);
    return backend === undefined ? [] : [`set server ${backend}/${member.name} state drain`];
  });
}

/** HAProxy's command that has it keep connections again. */
const keepsAgain = `experimental-mode on;set var ${leavingVariable} bool(false)`;

/** HAProxy's commands that let its checks alone say who gets requests. */
export function readyCommands(stack: OperatedStack, members: readonly Member[]): string[] {
  const stays = members.some(({ role }) => role === "loadBalancer") ? [keepsAgain] : [];
  const ready = members.flatMap((member) => {
    const backend = backendOf(stack, member);
    // A switchover that was cut off has taken it from the writes
    const backends = member.role === "database" ? ["primary", backend] : [backend];
    return backends
      .filter((one) => one !== undefined)
      .map((one) => `set server ${one}/${member.name} state ready`);
  });
  return [...stays, ...ready];
}

/** How much a member still serves, at all load balancers. */
export function currentOf({ asked }: Balancers, { name }: Member, backends: RegExp): number {
  return asked
    .flatMap(({ servers }) => servers)
    .filter((one) => one.name === name && backends.test(one.backend))
    .reduce((sum, one) => sum + one.current, 0);
}
