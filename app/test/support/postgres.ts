import pg from "pg";
import { docker, postgresImage, removeContainers, startContainer } from "./docker.ts";
import { until } from "./until.ts";

const data = "/var/lib/postgresql/test";
const bin = "/usr/lib/postgresql/17/bin";

/** Passwords of the migrations' role and of each tier's. */
export const passwords = { migrator: "m-secret-1", storefront: "s-secret-2", admin: "a-secret-3" };

/** A PostgreSQL server in a container of its own. */
export interface Postgres {
  container: string;
  /** Where this process reaches it. */
  host: string;
  port: number;
  /** Where other containers reach it, and what it calls itself. */
  address: string;
  /** Runs one statement as superuser, in `database` (default postgres). */
  sql: <Row extends pg.QueryResultRow>(text: string, database?: string) => Promise<Row[]>;
  pause: () => Promise<void>;
  unpause: () => Promise<void>;
  remove: () => Promise<void>;
}

const initialise = `
install -d -o postgres -m 700 ${data}
su postgres -c "${bin}/initdb -D ${data} -A trust --encoding=UTF8 --locale=C.UTF-8" >/dev/null
cat >> ${data}/pg_hba.conf <<EOF
host replication postgres all trust
host all postgres all trust
host all all all scram-sha-256
EOF`;

const clone = (primary: Postgres) => `
install -d -o postgres -m 700 ${data}
su postgres -c "${bin}/pg_basebackup -D ${data} -R -X stream -c fast \
  -d 'host=${primary.address} user=postgres application_name=standby'"`;

async function start(name: string, prepare: string): Promise<Postgres> {
  const script = `set -e${prepare}
exec su postgres -c "exec ${bin}/postgres -D ${data} -c listen_addresses='*' -c fsync=off \
  -c shared_buffers=32MB -c max_connections=200 -c hot_standby_feedback=on -c cluster_name=${name}"`;
  const container = await startContainer(name, [
    ...["--init", "--user", "root", "--publish", "127.0.0.1::5432", "--entrypoint", "bash"],
    ...[await postgresImage(), "-c", script],
  ]);
  const [published, address] = await Promise.all([
    docker("port", container, "5432/tcp"),
    docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container),
  ]);
  const port = Number(published.split(":").at(-1));
  const server: Postgres = {
    ...{ container, host: "127.0.0.1", port, address },
    sql: (text, database) => query({ port, database: database ?? "postgres" }, text),
    pause: async () => void (await docker("pause", container)),
    unpause: async () => void (await docker("unpause", container)),
    remove: () => removeContainers([container]),
  };
  await until(
    `${name} accepts connections`,
    () => server.sql("SELECT 1"),
    (rows) => rows.length === 1,
    30,
  ).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await docker("logs", "--tail", "20", container)}`);
  });
  return server;
}

async function query<Row extends pg.QueryResultRow>(
  { port, database }: { port: number; database: string },
  text: string,
): Promise<Row[]> {
  const client = new pg.Client({
    ...{ host: "127.0.0.1", port, database, user: "postgres" },
    connectionTimeoutMillis: 5000,
  });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts a primary with the principals that infra would have made. */
export async function startPrimary(name = "primary"): Promise<Postgres> {
  const server = await start(name, initialise);
  for (const [owner, password] of Object.entries(passwords)) {
    const role = owner === "migrator" ? owner : `app_${owner}`;
    await server.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  }
  return server;
}

/** Starts a streaming standby; `synchronous` makes every commit of the primary wait for it. */
export async function startStandby(
  primary: Postgres,
  { synchronous }: { synchronous: boolean },
): Promise<Postgres> {
  const server = await start("standby", clone(primary));
  await until("the standby streams", () => primary.sql("SELECT 1 FROM pg_stat_replication"), some);
  if (synchronous) {
    await primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    await primary.sql("SELECT pg_reload_conf()");
    await until(
      "the standby is synchronous",
      () => primary.sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"),
      some,
    );
  }
  return server;
}

/**
 * Starts one that was a primary as well, wrote what nobody else got, and is a standby since that gets nothing: its log
 * is further than that of `primary`, and another one.
 */
export function startOldPrimary(primary: Postgres): Promise<Postgres> {
  const control = `su postgres -c "${bin}/pg_ctl -D ${data} -w -l /tmp/old.log`;
  return start(
    "old",
    `${clone(primary)}
rm ${data}/standby.signal
echo "synchronous_standby_names = ''" >> ${data}/postgresql.auto.conf
${control} start" > /dev/null
su postgres -c "psql -qc \\"SELECT pg_logical_emit_message(true, '', repeat('x', 1000000))\\"" > /dev/null
${control} stop" > /dev/null
echo "primary_conninfo = ''" >> ${data}/postgresql.auto.conf
touch ${data}/standby.signal`,
  );
}

function some(rows: unknown[]): boolean {
  return rows.length > 0;
}

let databases = 0;

/** Makes an empty database, as infra would. @returns its name */
export async function createDatabase(primary: Postgres): Promise<string> {
  databases += 1;
  const name = `hastack_${process.pid}_${databases}`;
  await primary.sql(`CREATE DATABASE ${name} OWNER migrator`);
  return name;
}
