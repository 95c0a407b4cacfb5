/**
 * Jobs: programs that run at set times, beside the instances of a tier. Each instance waits for the
 * time; the first to note it in the database runs the job, so that it runs once, on any instance.
 */
import {
  currentReleaseDirectory,
  type Process,
  type SharedDirectory,
} from "../platform/platform.ts";
import { commandLine } from "../platform/shell.ts";
import { jobTable } from "../render/principals.ts";
import type { JobDescription } from "./description.ts";
import { applicationUser, environmentFile } from "./environment.ts";

export const jobFile = ({ name }: JobDescription): string => `jobs/${name}`;

/** The process that waits and runs. A run under way is told to end with it. */
export function jobProcess(job: JobDescription, shared: readonly SharedDirectory[]): Process {
  return {
    name: `job-${job.name}`,
    command: [jobFile(job)],
    user: applicationUser,
    environmentFile,
    directories: shared.map(({ path }) => ({ path, mode: "0755" })),
    stopGraceSeconds: 30,
  };
}

const daySeconds = 86_400;

/** Seconds between two runs, and of the first after midnight. */
function schedule({ everySeconds, dailyAt }: JobDescription): { every: number; offset: number } {
  if (dailyAt === undefined) return { every: everySeconds ?? daySeconds, offset: 0 };
  const [hours = 0, minutes = 0] = dailyAt.split(":").map(Number);
  return { every: daySeconds, offset: hours * 3600 + minutes * 60 };
}

/** Script of a job's process. */
export function renderJob(job: JobDescription): string {
  const { every, offset } = schedule(job);
  return `#!/bin/sh -eu
# Runs the job ${job.name} when it is due, if no other instance has noted that it does
child=
trap '[ -z "$child" ] || { kill "$child" 2> /dev/null; wait "$child"; }; exit 0' TERM INT
# What runs in the background can be interrupted by a signal
await() { "$@" & child=$!; code=0; wait "$child" || code=$?; child=; return "$code"; }
note() {
  PGCONNECT_TIMEOUT=5 psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="
    DELETE FROM ${jobTable} WHERE job = '${job.name}' AND due < now() - interval '30 days';
    INSERT INTO ${jobTable} (job, due) VALUES ('${job.name}', to_timestamp($1)) ON CONFLICT DO NOTHING RETURNING 'mine'"
}
# The database may be failing over
first_to_note() {
  for _ in 1 2 3 4 5 6 7 8; do
    if mine=$(note "$1"); then [ "$mine" = mine ]; return; fi
    await sleep 5
  done
  echo 'job ${job.name}: skipped this time, the database did not answer' >&2
  return 1
}
while :; do
  now=$(date +%s)
  due=$((((now - ${offset}) / ${every} + 1) * ${every} + ${offset}))
  while [ "$now" -lt "$due" ]; do
    await sleep "$((due - now))"
    now=$(date +%s)
  done
  first_to_note "$due" || continue
  echo 'job ${job.name}: started'
  code=0
  (cd ${currentReleaseDirectory} && exec timeout ${job.limitSeconds} ${commandLine(job.command)}) & child=$!
  wait "$child" || code=$?
  child=
  echo "job ${job.name}: exit code $code after $(($(date +%s) - now)) s"
done
`;
}
