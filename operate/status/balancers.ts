/** The load balancers: HAProxy by its own socket, keepalived by its state and the addresses it holds. */
import { statsSocket } from "../../infra/render/haproxy.ts";
import { vrrpStateFile } from "../../infra/render/keepalived.ts";
import type { Topology } from "../../infra/topology.ts";
import { isServing, readServers, type Server } from "../act/balancers.ts";
import type { OperatedStack } from "../stack.ts";
import { hangs } from "./ask.ts";
import { type Asked, counted, eachOf, type Judged, type Kind, restartFix } from "./kind.ts";
import type { Finding } from "./picture.ts";

/** HAProxy is nearly full: it turns connections away at all of them. */
const nearlyFull = 0.9;

/** Read once: it is asked for with every member. */
const known = new WeakMap<Asked, readonly Server[]>();

function serversOf(one: Asked): readonly Server[] | undefined {
  const text = one.answer("haproxy")?.text ?? "";
  const start = text.indexOf("# pxname");
  if (start < 0) return undefined;
  const servers = known.get(one) ?? readServers(text.slice(start));
  known.set(one, servers);
  return servers;
}

/** A number of `show info`. */
const numberOf = (one: Asked, name: string): number =>
  Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(one.answer("haproxy")?.text ?? "")?.[1]);

const stateOf = (one: Asked): string => one.answer("vrrp")?.text.split("\n")[0]?.trim() ?? "";

const addressesOf = (one: Asked): string[] =>
  [...(one.answer("vrrp")?.text ?? "").matchAll(/ inet ([\d.]+)\//g)].map(([, ip = ""]) => ip);

export const balancers: Kind = {
  subject: "balancers",

  questions: () => ({
    haproxy: `echo 'show info;show stat' | socat -t $wait - UNIX-CONNECT:${statsSocket}`,
    vrrp: `{ cat ${vrrpStateFile} 2> /dev/null || echo none; }; ip -o -4 address show`,
  }),

  judge(stack, asked) {
    const holders = holdersOf(stack.topology, asked);
    return {
      members: eachOf(asked, (one) => ({
        ...judgeMember(stack, one),
        marks: {
          holds: holders
            .filter(({ names }) => names.includes(one.member.name))
            .map(({ network }) => network),
          sendsTo: [...new Set((serversOf(one) ?? []).filter(isServing).map(({ name }) => name))],
        },
      })),
      is: holders
        .map(({ network, vip, names }) => `${network} ${vip} at ${names.join(" and ") || "nobody"}`)
        .join(", "),
      findings: [
        ...holders.flatMap((one) => holderFindings(one, asked)),
        ...databaseFindings(asked),
      ],
    };
  },
};

interface Holders {
  readonly network: "frontend" | "backend";
  readonly vip: string;
  readonly names: readonly string[];
}

function holdersOf({ network }: Topology, asked: readonly Asked[]): Holders[] {
  return (["frontend", "backend"] as const).map((name) => {
    const { vip } = network[name];
    const names = asked.filter((one) => addressesOf(one).includes(vip));
    return { network: name, vip, names: names.map(({ member }) => member.name) };
  });
}

function holderFindings({ network, vip, names }: Holders, asked: readonly Asked[]): Finding[] {
  const what = `the ${network}'s address ${vip} is held by `;
  const should = "one load balancer holds it";
  if (names.length > 1)
    return [
      {
        state: "down",
        what: what + names.join(" and "),
        should,
        fix: "see that they hear each other in the backend network (VRRP); restart the one of lower priority",
      },
    ];
  if (names.length === 1) return [];
  const lost = asked.filter((one) => !one.reached).map(({ member }) => member.name);
  const but = lost.length > 0 ? ` that answers (${lost.join(", ")} may hold it)` : "";
  return [
    { state: "down", what: `${what}nobody${but}`, should, fix: "npm run logs -- lb tells why" },
  ];
}

/** Where the database's own listeners lead to nobody, on each load balancer that answers. */
function databaseFindings(asked: readonly Asked[]): Finding[] {
  const without = asked.filter((one) => {
    const servers = serversOf(one)?.filter(({ backend }) => backend === "primary") ?? [];
    return servers.length > 0 && !servers.some(isServing);
  });
  if (without.length === 0) return [];
  return [
    {
      state: "down",
      what: `no primary to send writes to, at ${without.map(({ member }) => member.name).join(" and ")}`,
      should: "the primary is UP there",
      fix: "see database here",
    },
  ];
}

function judgeMember({ topology }: OperatedStack, one: Asked): Judged {
  const servers = serversOf(one);
  const state = stateOf(one);
  const findings: Finding[] = [];
  if (servers === undefined) findings.push(silence(one));
  const isStopped = /^keepalived (?!up$)/m.test(one.answer("processes")?.text ?? "");
  if (!isStopped && !/^(MASTER|BACKUP)$/.test(state))
    findings.push({
      state: "degraded",
      what: `keepalived is in the state ${state || "unknown"}: the addresses cannot come here`,
      should: "MASTER or BACKUP",
      fix: "mend HAProxy or the network of this machine; it comes back by itself",
    });
  const [current, most] = [numberOf(one, "CurrConns"), numberOf(one, "Maxconn")];
  if (current > most * nearlyFull)
    findings.push({
      state: "degraded",
      what: `${current} of at most ${most} connections`,
      should: `below ${Math.round(most * nearlyFull)}`,
      fix: "see who opens them (npm run logs -- lb); raise hastack:loadBalancer.maxConnections",
    });
  const instances = instancesAt(servers ?? [], topology);
  const up = instances.filter(isServing).length;
  const serves =
    servers === undefined
      ? "HAProxy is silent"
      : `${up} of ${counted(instances.length, "instance")} up, ${counted(current, "connection")}`;
  return { is: `${state || "no VRRP state"}, ${serves}`, findings };
}

function silence(one: Asked): Finding {
  const answer = one.answer("haproxy");
  const what =
    // socat gives up waiting by itself, and ends well
    hangs(answer) || answer?.text.trim() === ""
      ? "HAProxy takes connections and answers nothing: it hangs"
      : `HAProxy does not answer (${answer?.text
          .trim()
          .split("\n")
          .at(-1)
          ?.replace(/^.* E /, "")})`;
  const fix = `${restartFix(one.member)}; one that was stopped by a signal goes on by kill -CONT; where processors are busy, ask again`;
  return { state: "down", what, should: "it answers at its socket", fix };
}

/** The servers of an application's tiers, without backends that do as these do. */
export function instancesAt(servers: readonly Server[], { tiers }: Topology): Server[] {
  return servers.filter(({ backend }) => backend in tiers);
}

/** What the load balancers say against a member: each once, with who says it. */
export function heldBack(asked: readonly Asked[], { tiers }: Topology, name: string): Finding[] {
  const said = new Map<string, string[]>();
  for (const one of asked)
    for (const server of serversOf(one) ?? []) {
      const drained = /^(DRAIN|MAINT)/.test(server.status);
      // Where checks follow the role, a database's being down says nothing
      const isInstance = server.backend in tiers;
      if (server.name !== name || isServing(server) || !(drained || isInstance)) continue;
      const what = drained
        ? `it is drained (${server.status})`
        : `it gets no requests: ${server.status}${server.check && `, its check says ${server.check}`}`;
      said.set(what, [...new Set([...(said.get(what) ?? []), one.member.name])]);
    }
  return [...said].map(([what, who]) => ({
    state: "degraded",
    what: `${what}, at ${who.join(" and ")}`,
    should: "UP",
    fix: what.startsWith("it is drained")
      ? `npm run undrain -- ${name}`
      : `npm run logs -- ${name} tells why; npm run restart -- ${name}`,
    ...(what.startsWith("it is drained") && { since: "drain" as const }),
  }));
}
