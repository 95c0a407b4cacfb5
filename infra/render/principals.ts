/** SQL and shell text for the database's roles, and for what the application wants of its database. */
import { firstGeneration, type Generations, loginOf } from "../generations.ts";
import { databaseName, keeper, socketDirectory } from "./patroni.ts";

/** What the application wants of its database. */
export interface WantedDatabase {
  /** A role for each tier. */
  readonly roles: readonly string[];
  /** The generations of their passwords. @default all are of the first */
  readonly generations?: Readonly<Record<string, Generations>>;
  /** Extensions of PostgreSQL. */
  readonly extensions: readonly string[];
  /** Its jobs, whose runs are noted, by the role of their tier. */
  readonly jobs: Readonly<Record<string, readonly string[]>>;
  /** Whether somebody fetches backups of it. @default nobody does */
  readonly isKept?: boolean;
}

/** Schema and table of the jobs' runs. */
export const jobTable = "hastack.job_run";

/** Shell text with `sql`, which asks this member; it goes on only where that is the primary. */
const atPrimary = `sql() {
  psql --host=${socketDirectory} --username=postgres --no-psqlrc --quiet \\
    --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"
}
standby=$(sql --dbname=postgres --command='SELECT pg_is_in_recovery()')`;

/** Where this member is a standby: nothing, or an error where the primary's machine is said to be lost. */
const atStandby = (isAlone: boolean, what: string) =>
  isAlone
    ? `if [ "$standby" = t ]; then
  echo 'the other member, whose machine is in hastack:absent, is still the primary: wait until this one is promoted, or take that machine out of hastack:absent' >&2
  exit 1
fi`
    : `if [ "$standby" = t ]; then
  echo 'this member is a standby: ${what} at the primary'
  exit 0
fi`;

/**
 * Gives every principal its password, if this member is the primary; runs again without harm.
 * @param isAlone whether the other members' machines are absent @default false
 */
export function principalsScript({ roles, isKept }: WantedDatabase, isAlone = false): string {
  const connecting = [...roles, ...(isKept ? [keeper] : [])];
  return `${atPrimary}
${atStandby(isAlone, "the roles are set")}
sql --dbname=postgres --file=principals.sql
there=$(sql --dbname=postgres --command="SELECT 1 FROM pg_database WHERE datname = '${databaseName}'")
[ "$there" = 1 ] || sql --dbname=postgres --command='CREATE DATABASE ${databaseName} OWNER migrator'
sql --dbname=postgres --command='REVOKE ALL ON DATABASE ${databaseName} FROM PUBLIC' \\
  --command='GRANT CONNECT ON DATABASE ${databaseName} TO ${connecting.join(", ")}'
sql --dbname=${databaseName} --file=database.sql
echo 'the database roles have their passwords'`;
}

const create = (name: string) => `DO $$ BEGIN
  CREATE ROLE ${name};
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
`;

/** A role's password among the secrets of the task that sets it. */
export const passwordKey = (login: string): string => `${login}_password`;

const role = (name: string, rights: string) =>
  `${create(name)}ALTER ROLE ${name} WITH ${rights} PASSWORD '@{${passwordKey(name)}}';
`;

/** Nobody has this login any more; what it was given to own stays. */
const closed = (name: string) => `${create(name)}ALTER ROLE ${name} WITH NOLOGIN PASSWORD NULL;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${name}';
`;

/**
 * The logins of a tier's role. PostgreSQL takes one password for each, so one that takes the place of
 * another has a login of its own, whose sessions become the role: they own and may the same.
 */
function logins(base: string, generations: Generations): string[] {
  // Until the first change there is no other login
  if (generations.join() === "1") return [role(base, "LOGIN")];
  const wanted = generations.map((one) => loginOf(base, one));
  const other = loginOf(base, 2);
  return [
    wanted.includes(base) ? role(base, "LOGIN") : closed(base),
    wanted.includes(other)
      ? `${role(other, "LOGIN INHERIT")}GRANT ${base} TO ${other};
ALTER ROLE ${other} SET role TO '${base}';
`
      : closed(other),
  ];
}

/**
 * Who fetches backups reads all, changes nothing, and has no password: its certificate is its login. The
 * control file tells pgBackRest which database this is; it is asked for in the database postgres, since
 * rights to functions are a database's own.
 */
const fetching = `${create(keeper)}ALTER ROLE ${keeper} WITH REPLICATION BYPASSRLS LOGIN PASSWORD NULL;
GRANT pg_read_all_data, pg_monitor TO ${keeper};
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO ${keeper};
GRANT CONNECT ON DATABASE postgres TO ${keeper};
`;

/** In a stack without backups, which may have had some. */
const fetchingNoMore = `DO $$ BEGIN
  ALTER ROLE ${keeper} WITH NOREPLICATION NOBYPASSRLS NOLOGIN;
EXCEPTION WHEN undefined_object THEN NULL;
END $$;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${keeper}';
`;

/** SQL that makes the roles; the passwords are placeholders. */
export function renderPrincipals({ roles, generations = {}, isKept }: WantedDatabase): string {
  return [
    "-- A standby without the new password of replication cannot confirm a commit",
    "SET synchronous_commit = local;",
    "SET log_statement = none;",
    "SET log_min_duration_statement = -1;",
    "SET log_min_error_statement = panic;",
    role("postgres", "SUPERUSER LOGIN"),
    role("replicator", "REPLICATION LOGIN"),
    role("rewinder", "LOGIN"),
    ...[
      "pg_ls_dir(text, boolean, boolean)",
      "pg_stat_file(text, boolean)",
      "pg_read_binary_file(text)",
      "pg_read_binary_file(text, bigint, bigint, boolean)",
    ].map((name) => `GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO rewinder;`),
    role("migrator", "LOGIN"),
    isKept ? fetching : fetchingNoMore,
    ...roles.flatMap((name) => logins(name, generations[name] ?? firstGeneration)),
  ].join("\n");
}

/** SQL for the application's database. */
export function renderDatabase({ roles, extensions, jobs }: WantedDatabase): string {
  return [
    "-- What the application wants of its database, beside its own migrations",
    "-- The details of an error are for the client alone: they show the row, with all its values",
    `ALTER DATABASE ${databaseName} SET log_error_verbosity = terse;`,
    ...extensions.map((name) => `CREATE EXTENSION IF NOT EXISTS "${name}";`),
    ...(Object.keys(jobs).length > 0 ? jobRuns(roles, jobs) : []),
    "",
  ].join("\n");
}

/**
 * A tier notes the runs of its own jobs, and neither sees nor changes those of another. In one
 * transaction: jobs that run meanwhile never find themselves without a right.
 */
function jobRuns(roles: readonly string[], jobs: WantedDatabase["jobs"]): string[] {
  return [
    "BEGIN;",
    "CREATE SCHEMA IF NOT EXISTS hastack;",
    `CREATE TABLE IF NOT EXISTS ${jobTable} (
  job text NOT NULL,
  due timestamptz NOT NULL,
  PRIMARY KEY (job, due)
);`,
    `ALTER TABLE ${jobTable} ENABLE ROW LEVEL SECURITY;`,
    `REVOKE ALL ON ${jobTable} FROM ${roles.join(", ")};`,
    ...Object.entries(jobs).flatMap(([role, names]) => [
      `GRANT USAGE ON SCHEMA hastack TO ${role};`,
      `GRANT SELECT, INSERT, DELETE ON ${jobTable} TO ${role};`,
      `DROP POLICY IF EXISTS ${role} ON ${jobTable};`,
      `CREATE POLICY ${role} ON ${jobTable} TO ${role} USING (job IN (${names.map((name) => `'${name}'`).join(", ")}));`,
    ]),
    "COMMIT;",
  ];
}

/**
 * Takes the login from the application's roles that no tier has any more, and ends their connections,
 * if this member is the primary.
 * @param isAlone whether the other members' machines are absent @default false
 */
export function formerRolesScript(isAlone = false): string {
  return `${atPrimary}
${atStandby(isAlone, "the roles are changed")}
sql --dbname=${databaseName} --file=former-roles.sql`;
}

/**
 * Connections end in a statement of their own, once nobody can log in any more: an application
 * connects again within milliseconds.
 * @param roles that the tiers have
 * @param former further roles that lose their login
 */
export function renderFormerRoles(roles: readonly string[], former: readonly string[]): string {
  const list = (names: readonly string[]) =>
    `ARRAY[${names.map((name) => `'${name}'`).join(", ")}]::name[]`;
  const isFormer = (role: string) => `${role} <> ALL (${list(roles)})
      AND (${role} LIKE 'app\\_%' OR ${role} = ANY (${list(former)}))`;
  return `DO $$
DECLARE role name;
BEGIN
  FOR role IN
    SELECT rolname FROM pg_roles
    WHERE rolcanlogin AND ${isFormer("rolname")}
  LOOP
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', role);
    EXECUTE format('REVOKE CONNECT ON DATABASE ${databaseName} FROM %I', role);
    RAISE NOTICE '% has no login any more', role;
  END LOOP;
END $$;
DO $$
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE ${isFormer("usename")};
END $$;
`;
}
