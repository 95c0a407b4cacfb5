/** etcd, as each member says by itself. */
import { z } from "zod";
import { authorityFile, leafFile } from "../../infra/certificates/domains.ts";
import { clientUrl } from "../../infra/render/etcd.ts";
import { readJson } from "../json.ts";
import { hangs } from "./ask.ts";
import {
  type Asked,
  counted,
  eachOf,
  type Judged,
  type Kind,
  maybe,
  restartFix,
  sizeOf,
} from "./kind.ts";
import type { Finding } from "./picture.ts";

/** A member's own state; it answers this also where there is no quorum. */
const status = z.object({
  header: maybe(z.object({ member_id: maybe(z.string()) })),
  leader: maybe(z.string()),
  dbSize: maybe(z.string()),
  errors: maybe(z.array(z.string())),
});
type Status = z.output<typeof status>;

const statusOf = (one: Asked): Status | undefined => {
  const said = readJson(one.answer("status")?.text, status);
  return said?.header === undefined ? undefined : said;
};
const followsLeader = (status: Status | undefined): boolean =>
  status?.leader !== undefined && status.leader !== "0";
export const isHealthy = (one: Asked): boolean =>
  /"health":"true"/.test(one.answer("health")?.text ?? "");

export const quorum: Kind = {
  subject: "etcd",

  questions(_stack, member) {
    const curl = `curl -sS --max-time $wait --cacert ${authorityFile("quorum-client")} --cert ${leafFile("etcd-server")}`;
    const url = clientUrl(member);
    return {
      // It asks the others, and gets no answer where there is no quorum
      health: `${curl} ${url}/health`,
      status: `${curl} --data '{}' ${url}/v3/maintenance/status`,
    };
  },

  judge({ topology }, asked) {
    const all = topology.members.quorum.length;
    const majority = Math.floor(all / 2) + 1;
    const healthy = asked.filter(isHealthy).length;
    const answering = asked.filter((one) => statusOf(one) !== undefined).length;
    const findings: Finding[] = [];
    if (healthy === 0)
      findings.push({
        state: "down",
        what: `no quorum: ${answering} of ${counted(all, "member")} answer; nobody can become primary, a primary serves on`,
        should: `${majority} of ${all} agree`,
        fix: "bring the members back that do not answer",
      });
    const leader = asked.find((one) => isLeader(statusOf(one)))?.member.name ?? "none";
    return {
      members: eachOf(asked, (one) => judgeMember(one, healthy > 0)),
      is: `${healthy} of ${counted(all, "member")} healthy, leader ${leader}`,
      findings,
    };
  },
};

const isLeader = (status: Status | undefined): boolean =>
  followsLeader(status) && status?.leader === status?.header?.member_id;

function judgeMember(one: Asked, thereIsQuorum: boolean): Judged {
  const status = statusOf(one);
  const { member } = one;
  if (status === undefined) {
    const answer = one.answer("status");
    const what = hangs(answer)
      ? "etcd takes connections and answers nothing: it hangs"
      : `etcd does not answer (${answer?.text
          .trim()
          .split("\n")
          .at(-1)
          ?.replace(/^curl: /, "")})`;
    const finding: Finding = { state: "down", what, should: "it answers", fix: restartFix(member) };
    return { is: "silent", findings: [finding] };
  }
  const findings: Finding[] = [];
  if (!isHealthy(one))
    findings.push({
      state: "degraded",
      what: followsLeader(status) ? "it cannot agree with the others" : "it has no leader",
      should: "it agrees with the others",
      fix: thereIsQuorum
        ? `see its network, disk and processor; ${restartFix(member)}`
        : "bring the members back that do not answer",
    });
  for (const error of status.errors ?? [])
    if (!/no leader/.test(error))
      findings.push({
        state: "degraded",
        what: `etcd says: ${error}`,
        should: "no alarm",
        fix: "make room, then take the alarm away by etcdctl alarm disarm",
      });
  const size = sizeOf(Number(status.dbSize ?? 0));
  return {
    marks: followsLeader(status) ? { leader: isLeader(status) } : {},
    is: `${isLeader(status) ? "leader" : followsLeader(status) ? "follower" : "no leader"}, ${size}`,
    findings,
  };
}
