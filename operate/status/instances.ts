/** The application's instances: their own health, and the release that they run. */
import { environmentFile } from "../../infra/application/environment.ts";
import { loopback } from "../../infra/render/instance-proxy.ts";
import type { Member } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import { hangs } from "./ask.ts";
import { type Asked, counted, eachOf, type Judged, type Kind, restartFix } from "./kind.ts";
import type { Finding } from "./picture.ts";

/** As much of a release's hash as people tell one from another by. */
const shortHash = 12;

const releaseOf = (one: Asked): string | undefined =>
  /^HASTACK_RELEASE="?([^"\s]+)"?$/m.exec(one.answer("release")?.text ?? "")?.[1];

const tierOf = ({ application }: OperatedStack, { role }: Member) =>
  application.tiers.find(({ name }) => name === role);

export const instances: Kind = {
  subject: "application",

  questions(stack, member): Record<string, string> {
    const tier = tierOf(stack, member);
    const release = `grep '^HASTACK_RELEASE=' ${environmentFile}`;
    if (tier?.port === undefined) return { release };
    const url = `http://${loopback}:${tier.port}${tier.health.path}`;
    return { release, health: `curl -sS --max-time $wait --write-out '\\n%{http_code}' ${url}` };
  },

  judge(stack, asked) {
    const members = eachOf(asked, (one) => judgeMember(stack, one));
    const releases = [...new Set(asked.map(releaseOf).filter((one) => one !== undefined))];
    const well = [...members.values()].filter(({ findings }) => findings.length === 0).length;
    const short = releases.map((one) => one.slice(0, shortHash));
    const findings: Finding[] =
      releases.length > 1
        ? [
            {
              state: "degraded",
              what: `instances run ${counted(releases.length, "release")}: ${short.join(", ")}`,
              should: "all run one",
              fix: "npx pulumi up completes the change",
            },
          ]
        : [];
    const is = `${well} of ${counted(asked.length, "instance")} healthy, release ${short.join(", ") || "unknown"}`;
    return { members, is, findings };
  },
};

function judgeMember(stack: OperatedStack, one: Asked): Judged {
  const { member } = one;
  const tier = tierOf(stack, member);
  const release = releaseOf(one);
  const runs = `release ${release?.slice(0, shortHash) ?? "unknown"}`;
  const unknown: Finding[] =
    release === undefined
      ? [
          {
            state: "unknown",
            what: `${environmentFile} does not tell its release`,
            should: "it names one",
            fix: "npx pulumi up puts it back",
          },
        ]
      : [];
  // A worker listens nowhere: it is well while its processes run
  const marks = { ...(release !== undefined && { release: release.slice(0, shortHash) }) };
  if (tier?.port === undefined) return { is: `works, ${runs}`, findings: unknown, marks };
  const answer = one.answer("health");
  const said = answer?.text.split("\n") ?? [];
  const status = answer?.code === 0 ? Number(said.at(-1)) : undefined;
  if (status !== 200)
    return {
      is: `not healthy, ${runs}`,
      findings: [illness(stack, one, status), ...unknown],
      marks,
    };
  const body = said.slice(0, -1).join("\n");
  const other = tier.health.showsRelease && release !== undefined && !body.includes(release);
  const former: Finding[] = other
    ? [
        {
          state: "degraded",
          what: `it answers as another release than ${release.slice(0, shortHash)}`,
          should: "its program is started anew with a new release",
          fix: `npm run restart -- ${member.name}`,
        },
      ]
    : [];
  return { is: `${tier.health.path} says 200, ${runs}`, findings: [...former, ...unknown], marks };
}

function illness(stack: OperatedStack, one: Asked, status: number | undefined): Finding {
  const { member } = one;
  const tier = tierOf(stack, member);
  const answer = one.answer("health");
  const late = hangs(answer);
  const last = answer?.text
    .trim()
    .split("\n")[0]
    ?.replace(/^curl: /, "");
  return {
    state: "down",
    what: status
      ? `${tier?.health.path} says ${status}`
      : late
        ? `${tier?.health.path} is not answered in time`
        : `it does not answer (${last})`,
    should: `${tier?.health.path} says 200`,
    fix: restartFix(member),
  };
}
