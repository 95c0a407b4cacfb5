/**
 * Jobs: programs that run at set times, beside the instances of a tier. Each instance waits for the
 * time; the first to note it in the database runs the job, so that it runs once, on any instance.
 */
import { currentReleaseDirectory, type ManagedFile, type Process } from "../platform/platform.ts";
import { commandLine } from "../platform/shell.ts";
import { jobTable } from "../render/principals.ts";
import type { Tier } from "./application.ts";
import type { JobDescription } from "./description.ts";
import { renderEnvironment, type Variables } from "./environment.ts";
import { jobProcessName, sharingUmask, userOf } from "./names.ts";

const scriptFile = ({ name }: JobDescription): string => `jobs/${name}`;
const variablesFile = ({ name }: JobDescription): string => `jobs/${name}.environment`;

/** The process that waits and runs. A run under way is told to end with it. */
export function jobProcess(
  job: JobDescription,
  { name, memoryMegabytes }: Pick<Tier, "name" | "memoryMegabytes">,
): Process {
  return {
    name: jobProcessName(job.name),
    command: [scriptFile(job)],
    user: userOf(name),
    environmentFile: variablesFile(job),
    umask: sharingUmask,
    stopGraceSeconds: 30,
    // As much as the instance beside it, so that neither takes the other's
    ...(memoryMegabytes !== undefined && { memoryMegabytes }),
  };
}

/** @param variables those of the instance that it runs beside */
export function jobFiles(job: JobDescription, variables: Variables): ManagedFile[] {
  const restarts = jobProcessName(job.name);
  return [
    { path: scriptFile(job), content: renderJob(job), mode: "0755", restarts },
    // Not the instance's file: one file restarts one process
    { path: variablesFile(job), content: renderEnvironment(variables), mode: "0400", restarts },
  ];
}

const daySeconds = 86_400;
/** How long a run may take where its description does not say. */
const usualLimitSeconds = 3600;
/** How long the database may be away, and the run is still made: a failover takes half of it. */
const databaseSeconds = 60;
/** What a program that does not end when it is told to may take, before it is killed. */
const killSeconds = 5;

/** Seconds between two runs, of the first after midnight, and until a run is ended. */
function schedule({ everySeconds, dailyAt, limitSeconds }: JobDescription) {
  const every = everySeconds ?? daySeconds;
  const [hours = 0, minutes = 0] = (dailyAt ?? "00:00").split(":").map(Number);
  const offset = hours * 3600 + minutes * 60;
  return { every, offset, limit: limitSeconds ?? Math.min(usualLimitSeconds, every) };
}

/**
 * Script of a job's process. A run counts from the time when it was due, so that it has ended when
 * the next one is due, on whatever instance. What runs in the background can be interrupted by a
 * signal, so all that takes time does.
 */
export function renderJob(job: JobDescription): string {
  const { every, offset, limit } = schedule(job);
  return `#!/bin/sh -eu
# Runs the job ${job.name} when it is due, if no other instance has noted that it does
child=
end() {
  [ -z "$child" ] || { kill "$child" 2> /dev/null || :; wait "$child" || :; }
  exit 0
}
trap end TERM INT
await() {
  "$@" & child=$!
  code=0
  wait "$child" || code=$?
  child=
  return "$code"
}
# 1 where another instance was the first, 2 where the database did not answer
note() {
  mine=$(PGCONNECT_TIMEOUT=5 timeout 20 psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="
    DELETE FROM ${jobTable} WHERE job = '${job.name}' AND due < now() - interval '30 days';
    INSERT INTO ${jobTable} (job, due) VALUES ('${job.name}', to_timestamp($due)) ON CONFLICT DO NOTHING RETURNING 'mine'") || return 2
  [ "$mine" = mine ]
}
say() { echo "job ${job.name}, due $(date -u -d "@$due" +%FT%TZ): $*"; }
# The database may be failing over
first_to_note() {
  until await note; do
    [ "$code" = 2 ] || return 1
    [ "$(date +%s)" -lt $((due + ${Math.min(databaseSeconds, Math.floor(limit / 2))})) ] || return 2
    await sleep 5
  done
}
run() {
  cd ${currentReleaseDirectory} || exit
  exec timeout --kill-after=${killSeconds} "$((due + ${limit} - now))" ${commandLine(job.command)}
}
while :; do
  now=$(date +%s)
  due=$((((now - ${offset}) / ${every} + 1) * ${every} + ${offset}))
  while [ "$now" -lt "$due" ]; do
    await sleep "$((due - now))"
    now=$(date +%s)
  done
  first=0
  first_to_note || first=$?
  [ "$first" != 1 ] || continue
  now=$(date +%s)
  if [ "$first" = 2 ] || [ "$now" -ge $((due + ${limit})) ]; then
    say 'skipped, the database did not answer' >&2
    continue
  fi
  say started
  code=0
  await run || :
  say "exit code $code after $(($(date +%s) - now)) s"
done
`;
}
