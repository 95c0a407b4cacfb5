/**
 * Backups: what the backup member wrote of itself, judged by what the stack's settings ask for. What it does not
 * say is no good news.
 */

import { backupDirectory } from "../../infra/roles.ts";
import type { Settings } from "../../infra/settings.ts";
import { durationOf } from "../backup/moment.ts";
import { readState, type StateName, type StateOf, stateNames } from "../backup/shapes.ts";
import { type Asked, eachOf, type Judged, type Kind, restartFix, sizeOf } from "./kind.ts";
import type { Finding } from "./picture.ts";

/** It writes what it has received every few seconds. */
const silentSeconds = 60;
/** A primary that changes, and a connection that breaks, are behind it by then. */
const reconnectSeconds = 15;
/** A backup begins when the one before has ended, and takes its time. */
const lateSeconds = 3600;
/** A drill waits for a backup, and takes hours on a large database. */
const lateDrillSeconds = 86_400;
/** The copy of files that comes next has begun by then. */
const filesPatience = 2;
/** The rest of the log that may wait here is soon full. */
const nearlyFull = 0.8;

/** What the member said, and when by its own clock. */
interface Said {
  readonly now: number;
  readonly settings: Settings["backup"];
  readonly shared: readonly string[];
  state<N extends StateName>(name: N): StateOf<N> | undefined;
}

export const backup: Kind = {
  subject: "backup",

  questions: () => ({
    ...Object.fromEntries(
      stateNames.map((name) => [`state-${name}`, `cat ${backupDirectory}/state/${name}.json`]),
    ),
    now: "date +%s",
  }),

  judge({ settings, application }, asked) {
    const members = eachOf(asked, (one) => judgeMember(one, settings.backup, application.shared));
    return {
      members,
      is: [...members.values()].map(({ is }) => is).join("; ") || "cannot be asked",
      findings: [],
    };
  },
};

function judgeMember(one: Asked, settings: Settings["backup"], shared: readonly string[]): Judged {
  const now = Number(one.answer("now")?.text) || Date.now() / 1000;
  const said: Said = {
    now,
    settings,
    shared,
    state: (name) => readState(name, one.answer(`state-${name}`)?.text),
  };
  const fix = restartFix(one.member);
  return {
    is: summary(said),
    findings: [
      ...receiveFindings(said, fix),
      ...backupFindings(said),
      ...filesFindings(said),
      ...drillFindings(said),
    ],
  };
}

/** Seconds since then. @default never */
const ageOf = ({ now }: Said, iso: string | undefined): number =>
  iso === undefined ? Number.POSITIVE_INFINITY : Math.max(0, now - Date.parse(iso) / 1000);

const ago = (said: Said, iso: string | undefined): string =>
  iso === undefined ? "never" : `${durationOf(ageOf(said, iso))} ago`;

/** In the order of what people ask first. */
function summary(said: Said): string {
  const receive = said.state("receive");
  const backups = said.state("backups");
  const drill = said.state("drill");
  const restored = said.state("restored");
  const running = said.state("running");
  const last = backups?.backups.at(-1)?.stop;
  const from = backups?.ranges
    .filter(({ lineage }) => lineage === (backups.lineage ?? lineage))
    .map((one) => one.from)
    .toSorted()[0];
  return [
    from === undefined
      ? "nothing can be restored"
      : `${minute(from)} to ${ago(said, receive?.receivedUpTo)}`,
    `backup ${ago(said, last)}`,
    ...(said.shared.length > 0 ? [`files ${ago(said, said.state("files")?.at)}`] : []),
    ...(said.settings.drillEveryDays > 0
      ? [`drill ${drill?.outcome ?? "none"}${drill?.ended ? ` ${ago(said, drill.ended)}` : ""}`]
      : []),
    ...(running?.what ? [`now: ${running.what}`] : []),
    ...(restored?.phase ? [`restored beside: ${restored.to ?? "?"}`] : []),
  ].join(", ");
}

const minute = (iso: string): string => iso.slice(0, 16).replace("T", " ");

const degraded = (what: string, should: string, fix: string): Finding => ({
  state: "degraded",
  what,
  should,
  fix,
});

function receiveFindings(said: Said, restart: string): Finding[] {
  const receive = said.state("receive");
  const { archiveTimeoutSeconds } = said.settings;
  const should = `what was written ${archiveTimeoutSeconds} s ago can be restored`;
  if (receive === undefined)
    return [degraded("no log of the database has been received", should, restart)];
  const findings: Finding[] = [];
  const rpo = ageOf(said, receive.receivedUpTo);
  const why = receive.why ? ` (${receive.why})` : "";
  if (ageOf(said, receive.at) > silentSeconds)
    findings.push(
      degraded(
        `it has not said for ${durationOf(ageOf(said, receive.at))} what it receives`,
        should,
        restart,
      ),
    );
  else if (receive.connected !== true && ageOf(said, receive.since) > reconnectSeconds)
    findings.push(
      degraded(
        `it receives no log of the database, ${ago(said, receive.since)} the last${why}`,
        should,
        "see database here; the primary keeps log for it until it is back; npm run logs -- backup tells why",
      ),
    );
  if (rpo > archiveTimeoutSeconds)
    findings.push(
      degraded(
        receive.receivedUpTo === undefined
          ? "nothing that was written can be restored"
          : `what was written in the last ${durationOf(rpo)} cannot be restored${why}`,
        should,
        "see that there is a primary; npm run logs -- backup tells why",
      ),
    );
  const { spoolBytes = 0, spoolLimitBytes = Number.POSITIVE_INFINITY } = receive;
  if (spoolBytes > spoolLimitBytes * nearlyFull)
    findings.push(
      degraded(
        `${sizeOf(spoolBytes)} of log wait for a repository, of at most ${sizeOf(spoolLimitBytes)}: then it receives no more`,
        "log gets into the repositories",
        "mend the repositories, or make room in them; hastack:backup.spoolMegabytes",
      ),
    );
  for (const [name, { why, at }] of Object.entries(receive.repositories))
    if (why)
      findings.push(
        degraded(
          `the repository ${name} takes no log (${why}), ${ago(said, at)} the last`,
          "every repository has all of it",
          "mend it: what it lacks is brought there by itself, as long as it waits here",
        ),
      );
  return findings;
}

function backupFindings(said: Said): Finding[] {
  const backups = said.state("backups");
  const should = "there is a backup, of the age that hastack:backup says";
  const fix = "npm run backup makes one now; npm run logs -- backup tells why there is none";
  if (backups === undefined || backups.backups.length === 0)
    return [
      degraded(`there is no backup yet${backups?.why ? ` (${backups.why})` : ""}`, should, fix),
    ];
  const findings: Finding[] = [];
  if (backups.why) findings.push(degraded(`the last backup failed: ${backups.why}`, should, fix));
  for (const [type, due] of Object.entries(backups.due ?? {}))
    if (ageOf(said, due) > lateSeconds && Number.isFinite(ageOf(said, due)))
      findings.push(
        degraded(`a ${type} backup was due ${ago(said, due)}, and is not there`, should, fix),
      );
  for (const gap of [...backups.gaps, ...gapsOfOne(backups)]) {
    const where = gap.repository === undefined ? "" : ` from the repository ${gap.repository}`;
    findings.push(
      degraded(
        `moments from ${minute(gap.from ?? "?")} to ${minute(gap.to ?? "?")} UTC cannot be restored${where}${gap.why ? ` (${gap.why})` : ""}`,
        "every moment since the oldest backup can",
        "npm run backup -- --full begins a range without it; this goes with the backups before, by hastack:backup.retentionDays",
      ),
    );
  }
  return findings;
}

/** Gaps of one repository, which another one fills as long as it is there. */
const gapsOfOne = ({ gaps, repositories }: StateOf<"backups">) =>
  Object.entries(repositories).flatMap(([repository, one]) =>
    one.gaps
      .filter(
        ({ lineage, from }) => !gaps.some((all) => all.lineage === lineage && all.from === from),
      )
      .map((gap) => ({ ...gap, repository })),
  );

function filesFindings(said: Said): Finding[] {
  if (said.shared.length === 0) return [];
  const files = said.state("files");
  const { filesEverySeconds } = said.settings;
  const should = `every ${durationOf(filesEverySeconds)}`;
  const fix = "see the shared directories and the repositories; npm run logs -- backup tells why";
  const findings: Finding[] = [];
  const age = ageOf(said, files?.at);
  if (age > filesEverySeconds * filesPatience + silentSeconds || files?.why)
    findings.push(
      degraded(
        `shared files were copied ${ago(said, files?.at)}${files?.why ? ` (${files.why})` : ""}`,
        should,
        fix,
      ),
    );
  for (const [name, { why, at }] of Object.entries(files?.repositories ?? {}))
    if (why)
      findings.push(
        degraded(
          `the repository ${name} takes no files (${why}), ${ago(said, at)} the last`,
          should,
          fix,
        ),
      );
  return findings;
}

function drillFindings(said: Said): Finding[] {
  const { drillEveryDays } = said.settings;
  if (drillEveryDays === 0) return [];
  const drill = said.state("drill");
  const should = `a backup is restored and checked every ${drillEveryDays} days`;
  const fix = "npm run backup -- --drill makes one now; npm run logs -- backup tells more";
  const findings: Finding[] = [];
  const bad = drill?.checks.filter(({ ok }) => !ok) ?? [];
  if (drill?.outcome === "failed" || bad.length > 0) {
    const why = [
      drill?.why,
      ...bad.map(({ what, detail }) => `${what}${detail ? `: ${detail}` : ""}`),
    ];
    findings.push(
      degraded(
        `the restore drill failed ${ago(said, drill?.ended)}: ${why.filter(Boolean).join("; ") || "it does not say why"}`,
        should,
        fix,
      ),
    );
  }
  const due = drill?.due ?? undefined;
  // Without a word of when it is due, it is by the age of what it could have tried
  const first = said.state("backups")?.backups[0]?.stop;
  const late =
    due === undefined
      ? ageOf(said, drill?.ended ?? first) - drillEveryDays * 86_400
      : said.now - Date.parse(due) / 1000;
  if (Number.isFinite(late) && late > lateDrillSeconds)
    findings.push(
      degraded(`a restore drill was due ${durationOf(late)} ago, and did not run`, should, fix),
    );
  return findings;
}
