/**
 * Shell texts for the machines of the database, which copy restored data there, and put it in the place of the
 * former. Each is safe to run again, wherever it was cut off: what is to be moved is told by what is there.
 */

import { authorityFile, leafFile } from "../../infra/certificates/domains.ts";
import { quote } from "../../infra/platform/shell.ts";
import {
  binDirectory,
  databaseName,
  dataDirectory,
  socketDirectory,
} from "../../infra/render/patroni.ts";
import { renderDatabase, type WantedDatabase } from "../../infra/render/principals.ts";
import { ports } from "../../infra/roles.ts";

/** Names beside the data of a member. */
export const names = {
  /** A copy of the restored data, before it takes the place. */
  restored: "restored",
  /** The former data. */
  before: "before-restore",
  /** Restored data that has served, once the former is back. */
  undone: "undone",
} as const;

/** What is there besides, and goes with it. */
const others = ["restored.complete", "restored.pid", "roles.sql", "roles.part"] as const;

/** For people: where a member has what. */
export const pathOf = (name: keyof typeof names): string => `${dataDirectory}.${names[name]}`;

/** What all of them begin with. */
const head = `set -eu
data=${dataDirectory}
cd "\${data%/*}"
as() { runuser -u postgres -- "$@"; }
runs() { as ${binDirectory}/pg_ctl status -D "$data" > /dev/null 2>&1; }
fail() { echo "$1" >&2; exit 1; }
`;

/** Log that comes while it is copied, and while the standby is; as standby-care has it. */
const roomForLogKilobytes = 512 * 1024;

/** What a copy needs. @param kilobytes of the restored data */
export const roomWanted = (kilobytes: number): number =>
  Math.ceil(kilobytes * 1.1) + roomForLogKilobytes;

/** Says how many kilobytes are free, and how many get free as what is left of an earlier attempt goes. */
export const roomScript = `${head}df -Pk . | awk 'NR == 2 { print "free", $4 }'
for name in ${names.restored} ${names.undone}; do
  [ ! -e "$data.$name" ] || du -sk "$data.$name" | awk '{ print "goes", $1 }'
done
[ ! -e "$data.${names.before}" ] || echo former
`;

export interface Room {
  /** Kilobytes. */
  readonly free: number;
  /** Whether data lies there that an earlier restore has moved away. */
  readonly former: boolean;
}

/** @throws where that is no answer */
export function readRoom(text: string): Room {
  const numbers = [...text.matchAll(/^(?:free|goes) (\d+)$/gm)].map(([, one]) => Number(one));
  if (!/^free \d+$/m.test(text)) throw new Error(`its room cannot be told: ${text.slice(0, 200)}`);
  return { free: numbers.reduce((sum, one) => sum + one, 0), former: /^former$/m.test(text) };
}

/** Ends a copy that runs; `$copy` is where to. */
const endCopy = `if [ -e "$copy.pid" ]; then
  former=$(cat "$copy.pid")
  if [ "$(cat "/proc/$former/comm" 2> /dev/null)" = pg_basebackup ]; then
    kill "$former" || :
    while [ -e "/proc/$former/cmdline" ] && [ -n "$(tr -d '\\0' < "/proc/$former/cmdline")" ]; do sleep 0.1; done
  fi
fi`;

/** The same, as a script of its own. */
export const endCopyScript = `${head}copy=$data.${names.restored}
${endCopy}`;

/**
 * Copies the restored database of the backup member, by the certificate of replication. What is left of an
 * earlier attempt goes first, and one that still runs is ended.
 * @param folder of the member's files
 * @param from the backup member's address
 */
export function copyScript(folder: string, from: string, id: string): string {
  const source = [
    `host=${from}`,
    `port=${ports.restored}`,
    "user=replicator",
    "sslmode=verify-full",
    `sslrootcert=${folder}/${authorityFile("database")}`,
    `sslcert=${folder}/${leafFile("replicator")}`,
    `sslkey=${folder}/${leafFile("replicator")}`,
  ].join(" ");
  return copyBy(`--dbname=${quote(source)}`, id);
}

/** The same, by pg_basebackup's words for the source. */
export const copyBy = (source: string, id: string): string => `${head}copy=$data.${names.restored}
${endCopy}
rm -rf "$copy" "$copy.complete" "$data.${names.undone}"
as install -d -m 0700 "$copy"
as sh -c 'echo $$ > "$1.pid"; exec ${binDirectory}/pg_basebackup --pgdata="$1" --wal-method=stream --checkpoint=fast --no-password "$2"' sh "$copy" ${source}
# It is no standby, and is not restored any more
rm -f "$copy/standby.signal" "$copy/recovery.signal" "$copy/hastack_backup_label" "$copy.pid"
sync -f "$copy"
echo ${id} > "$copy.complete"
`;

/** Says how many kilobytes have been copied. */
export const copiedScript = `${head}du -sk "$data.${names.restored}" 2> /dev/null | cut -f1`;

/** Succeeds where the copy is there, and whole. */
export const isCopiedScript = (id: string): string =>
  `${head}[ "$(cat "$data.${names.restored}.complete" 2> /dev/null)" = ${id} ] && [ -e "$data.${names.restored}" ]`;

/** Removes what is no data of the stack's: a copy, and restored data that has served. */
export const discardScript = `${head}for name in ${names.restored} ${names.undone} ${others.join(" ")}; do
  rm -rf "$data.$name"
done
`;

/** Removes the former data, too. */
export const acceptScript = `${head}for name in ${names.before} ${names.restored} ${names.undone} ${others.join(" ")}; do
  rm -rf "$data.$name"
done
`;

/**
 * Ends what Patroni has left running: PostgreSQL, which serves on without it, and a copy that is being made.
 * @throws its words, where PostgreSQL does not stop
 */
export const endScript = `${head}if runs; then as ${binDirectory}/pg_ctl stop -D "$data" -m fast -t 600 > /dev/null; fi
for copier in "standby-care copy" "pg_basebackup --pgdata=$data "; do
  pkill -u postgres -f "$copier" || :
  while pgrep -u postgres -f "$copier" > /dev/null; do sleep 0.1; done
done
! runs || fail 'PostgreSQL does not stop'
`;

/** @param hold shell text that stops a member's processes */
export const stopScript = (hold: string): string => `( ${hold} ) || exit
${endScript}`;

/** Moves the restored data into the place of the former, which is kept beside it. */
export const swapScript = (id: string): string => `${head}copy=$data.${names.restored}
before=$data.${names.before}
! runs || fail 'PostgreSQL still runs'
if [ -e "$copy" ]; then
  [ "$(cat "$copy.complete" 2> /dev/null)" = ${id} ] || fail 'the copy of the restored data is not whole'
  if [ -e "$data" ]; then
    [ ! -e "$before" ] || fail "$before is there already"
    # Settings are the stack's, and no data's; those of the restore itself go
    cp -p "$data/postgresql.auto.conf" "$copy/"
    [ -e "$copy/postgresql.base.conf" ] || cp -p "$data/postgresql.base.conf" "$copy/"
    mv -T "$data" "$before"
  fi
  as touch "$copy/hastack.adopt"
  mv -T "$copy" "$data"
  rm -f "$copy.complete"
fi
[ -e "$before" ] || fail "$before is not there"
sync -f .
`;

/** Moves a standby's data away: it is copied from the restored primary. It may have been done before. */
export const asideScript = `${head}before=$data.${names.before}
[ ! -e "$before" ] || exit 0
! runs || fail 'PostgreSQL still runs'
mv -T "$data" "$before"
as install -d -m 0700 "$data"
sync -f .
`;

/** Succeeds where that is done. */
export const isAsideScript = `${head}[ -e "$data.${names.before}" ]`;

/**
 * Puts the former data back where it was moved away. Restored data that never started is a copy again.
 * @param id of the restore
 * @param kept whether restored data that has served is kept: of one member
 * @param leads whether a cluster is made of this member's data
 */
export const putBackScript = (
  id: string,
  kept: boolean,
  leads: boolean,
): string => `${head}before=$data.${names.before}
! runs || fail 'PostgreSQL still runs'
if [ -e "$before" ]; then
  if [ -e "$data" ]; then
    if [ -e "$data/hastack.adopt" ]; then
      rm -rf "$data.${names.restored}"
      echo ${id} > "$data.${names.restored}.complete"
      mv -T "$data" "$data.${names.restored}"
    else
      rm -rf "$data.${names.undone}"
      ${kept ? `mv -T "$data" "$data.${names.undone}"` : `rm -rf "$data"`}
    fi
  fi
  mv -T "$before" "$data"
fi
[ -e "$data" ] || fail "$data is not there"
${leads ? `as touch "$data/hastack.adopt"\n` : ""}rm -f "$data.roles.sql" "$data.roles.part"
sync -f .
`;

const psql = `as psql --host=${socketDirectory} --username=postgres --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1`;

/** Nothing of it is logged: hashes of passwords are secrets. */
const silently = `SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET synchronous_commit = local;`;

/**
 * Keeps the roles that there are now, with their passwords and rights of login, as SQL for the restored database.
 * Those that it has besides lose their login there: they are of a time before.
 */
export const keepRolesScript = `${head}umask 077
part=$data.roles.part
as pg_dumpall --host=${socketDirectory} --username=postgres --roles-only --no-password > "$part"
{
  cat << 'END'
${silently}
CREATE TEMP TABLE live_role (name name);
END
  ${psql} --dbname=postgres --command="SELECT format('INSERT INTO live_role VALUES (%L);', rolname) FROM pg_roles"
  sed -E 's/^CREATE ROLE (.*);$/DO $do$ BEGIN CREATE ROLE \\1; EXCEPTION WHEN duplicate_object THEN NULL; END $do$;/' "$part"
  cat << 'END'
SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM pg_roles
  WHERE rolcanlogin AND rolname NOT IN (SELECT name FROM live_role) \\gexec
END
} > "$data.roles.new"
rm "$part"
chown postgres: "$data.roles.new"
mv "$data.roles.new" "$data.roles.sql"
`;

/** For a PostgreSQL that starts from a copy, and its promotion. */
const promotedSeconds = 300;

/** Gives the restored database those roles, and what the application wants of it now, as soon as it is the primary. */
export const giveRolesScript = (
  wanted: WantedDatabase,
): string => `${head}end=$(($(date +%s) + ${promotedSeconds}))
until [ "$(${psql} --dbname=postgres --command='SELECT pg_is_in_recovery()' 2> /dev/null)" = f ]; do
  [ "$(date +%s)" -lt "$end" ] || fail 'it has not become the primary within ${promotedSeconds} s'
  sleep 0.1
done
${psql} --dbname=postgres --file="$data.roles.sql"
${psql} --dbname=postgres << 'END'
GRANT CONNECT ON DATABASE ${databaseName} TO ${wanted.roles.join(", ")};
END
${psql} --dbname=${databaseName} << 'END'
${renderDatabase(wanted)}
END
rm -f "$data.roles.sql"
`;
