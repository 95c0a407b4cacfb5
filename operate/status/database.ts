/** The database, as Patroni's REST API tells of it on each member. */
import { z } from "zod";
import { patroniUrl } from "../../infra/render/patroni.ts";
import { readJson } from "../json.ts";
import type { OperatedStack } from "../stack.ts";
import { hangs } from "./ask.ts";
import {
  type Asked,
  eachOf,
  type Judged,
  type Judgement,
  type Kind,
  maybe,
  restartFix,
  sizeOf,
} from "./kind.ts";
import { operationsQuestion } from "./operations.ts";
import type { Finding } from "./picture.ts";

/** What `/patroni` says of its own member. */
const ownShape = z.object({
  state: maybe(z.string()),
  role: maybe(z.string()),
  timeline: maybe(z.number()),
  sync_standby: maybe(z.boolean()),
  replication_state: maybe(z.string()),
  pending_restart: maybe(z.boolean()),
  pause: maybe(z.boolean()),
  /** Whether the primary serves on without etcd, as long as all members hear it. */
  failsafe_mode_is_active: maybe(z.boolean()),
  /** When etcd was heard last, in seconds since 1970. */
  dcs_last_seen: maybe(z.number()),
});
type Own = z.output<typeof ownShape>;

/** What `/cluster` says of all. */
const clusterShape = z.object({
  members: maybe(
    z.array(
      z.object({
        name: z.string(),
        role: z.string(),
        lag: maybe(z.union([z.number(), z.literal("unknown")])),
      }),
    ),
  ),
  pause: maybe(z.boolean()),
});

const own = (one: Asked) => readJson(one.answer("patroni")?.text, ownShape);
const cluster = (one: Asked) => readJson(one.answer("cluster")?.text, clusterShape);
const isPrimary = (one: Asked): boolean => {
  const said = own(one);
  return said?.state === "running" && /^(primary|master)$/.test(said.role ?? "");
};

export const database: Kind = {
  subject: "database",

  questions(_stack, member) {
    // Its certificate's end is a question of its own: an ended one hides nothing else here
    const curl = `curl -ksS --max-time $wait ${patroniUrl(member)}`;
    return {
      patroni: `${curl}/patroni`,
      cluster: `${curl}/cluster`,
      now: "date +%s",
      operations: operationsQuestion,
    };
  },

  judge(stack, asked) {
    const members = eachOf(asked, (one) =>
      judgeMember(stack, one, lagOf(asked, one), asked.some(isPrimary)),
    );
    return { members, ...judgeCluster(asked) };
  },
};

/** How far a member is behind, as the first one that knows it says. */
function lagOf(asked: readonly Asked[], { member }: Asked): number | undefined {
  const lags = asked
    .flatMap((one) => cluster(one)?.members ?? [])
    .filter(({ name }) => name === member.name)
    .map(({ lag }) => lag);
  return lags.find((lag) => typeof lag === "number");
}

function judgeMember(
  stack: OperatedStack,
  one: Asked,
  lag: number | undefined,
  thereIsPrimary: boolean,
): Judged {
  const { member } = one;
  const said = own(one);
  if (said?.role === undefined) return { is: "Patroni is silent", findings: [silence(one)] };
  const { role, state, sync_standby, replication_state, timeline } = said;
  const primary = isPrimary(one);
  const behind = primary || lag === undefined ? "" : `, ${sizeOf(lag)} behind`;
  const kind = primary ? "primary" : sync_standby ? "synchronous standby" : role;
  const does = primary ? state : (replication_state ?? state);
  const findings: Finding[] = [];
  const add = (what: string, should: string, fix: string, level: Finding["state"] = "degraded") =>
    findings.push({ state: level, what, should, fix });
  if (state !== "running") add(`PostgreSQL is ${state}`, "it runs", restartFix(member), "down");
  else if (!primary && replication_state !== "streaming" && thereIsPrimary)
    add(
      `it gets nothing from the primary (${replication_state ?? "no connection"})`,
      "it streams",
      `wait for a copy that is under way; npm run logs -- ${member.name} tells why it does not`,
    );
  else if (!primary && !sync_standby && !said.failsafe_mode_is_active)
    add(
      "the primary does not wait for it",
      "it is the synchronous standby",
      "wait some seconds; one that stays so lacks log: see npm run logs -- database",
    );
  const limit = stack.settings.database.maximumLagOnReadsBytes;
  if (!primary && lag !== undefined && lag > limit)
    add(
      `it is ${sizeOf(lag)} behind, and gets no reads`,
      `at most ${sizeOf(limit)}`,
      "see its disk and processor; wait",
    );
  if (said.pending_restart)
    add("a changed setting waits for its restart", "none waits", restartFix(member));
  findings.push(...dcsFindings(stack, one, said));
  const marks = {
    database: primary ? "primary" : sync_standby ? "synchronous standby" : "standby",
  } as const;
  return { is: `${kind}, ${does}${behind}, timeline ${timeline}`, findings, marks };
}

function silence(one: Asked): Finding {
  const answer = one.answer("patroni");
  return {
    state: "down",
    what: hangs(answer)
      ? "Patroni takes connections and answers nothing: it hangs"
      : `Patroni does not answer (${answer?.text
          .trim()
          .split("\n")
          .at(-1)
          ?.replace(/^curl: /, "")})`,
    should: "it answers by its REST API",
    fix: restartFix(one.member),
  };
}

function dcsFindings({ settings }: OperatedStack, one: Asked, said: Own): Finding[] {
  const now = Number(one.answer("now")?.text);
  const silent = now - (said.dcs_last_seen ?? Number.NaN);
  if (!(silent > settings.database.ttlSeconds)) return [];
  return [
    {
      state: "degraded",
      what: `it has not heard etcd for ${silent} s`,
      should: `every ${settings.database.loopWaitSeconds} s`,
      fix: "bring a majority of etcd's members back; see etcd here",
    },
  ];
}

function judgeCluster(asked: readonly Asked[]): Omit<Judgement, "members"> {
  const primaries = namesOf(asked.filter(isPrimary));
  const standbys = namesOf(asked.filter((one) => own(one)?.sync_standby));
  const clusters = asked.map(cluster);
  const leader = clusters
    .flatMap((one) => one?.members ?? [])
    .find(({ role }) => role === "leader");
  const findings: Finding[] = [];
  if (primaries.length === 0) findings.push(noPrimary(asked, leader?.name));
  if (primaries.length > 1)
    findings.push({
      state: "down",
      what: `${primaries.join(" and ")} both say that they are the primary`,
      should: "one",
      fix: `stop the one that is not etcd's leader (${leader?.name ?? "not told"}); see npm run logs -- database`,
    });
  if (clusters.some((one) => one?.pause) || asked.some((one) => own(one)?.pause))
    findings.push({
      state: "degraded",
      what: "automatic failover is paused",
      should: "a lost primary is replaced by itself",
      fix: "npm run resume",
      since: "pause",
    });
  if (asked.some((one) => own(one)?.failsafe_mode_is_active))
    findings.push({
      state: "degraded",
      what: "failsafe mode: the primary serves on without etcd, and none replaces it",
      should: "etcd says who is primary",
      fix: "bring a majority of etcd's members back",
    });
  const is = `primary ${primaries.join(", ") || "none"}, synchronous standby ${standbys.join(", ") || "none"}`;
  return { is, findings };
}

const namesOf = (asked: readonly Asked[]): string[] => asked.map(({ member }) => member.name);

/** @param leader whom etcd still names, if anybody */
function noPrimary(asked: readonly Asked[], leader: string | undefined): Finding {
  const lost = namesOf(asked.filter((one) => own(one) === undefined));
  const isHere = leader !== undefined && !lost.includes(leader);
  const still = leader === undefined ? "" : `; etcd ${isHere ? "names" : "still names"} ${leader}`;
  return {
    state: "down",
    what: `no primary answers: writes wait${still}`,
    should: "one member is the primary",
    fix:
      lost.length > 0
        ? `wait 25 s for the standby to take over, which needs etcd's quorum; bring back ${lost.join(", ")}`
        : "bring a majority of etcd's members back; where failover is paused: npm run switchover -- MEMBER",
  };
}
