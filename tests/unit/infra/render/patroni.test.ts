import assert from "node:assert/strict";
import {
  patroniHealth,
  principalsScript,
  renderParameters,
  renderPatroni,
  renderPrincipals,
  settingsScript,
} from "../../../../infra/render/patroni.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";

function rendered(changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  return renderPatroni(settings, topology, topology.database[1] ?? first(topology.database));
}

/** The access rules of a Patroni file, in their order. */
function accessRules(text: string): string[] {
  return [...text.matchAll(/^ {4}- ((?:local|host) .*)$/gm)].map(([, rule = ""]) => rule);
}

describe("patroni.yml", () => {
  it("D1, D2: is this for the second member", () => {
    assert.equal(rendered(), whole);
  });

  it("D2: takes times and PostgreSQL's parameters from the settings", () => {
    const text = rendered({
      database: {
        maxConnections: 120,
        sharedBuffersMegabytes: 256,
        ttlSeconds: 40,
        loopWaitSeconds: 2,
        retryTimeoutSeconds: 5,
        maximumLagOnFailoverBytes: 0,
        parameters: { work_mem: "8MB", wal_keep_size: "1GB", jit: false },
      },
    });
    for (const line of [
      "    ttl: 40",
      "    loop_wait: 2",
      "    retry_timeout: 5",
      "    maximum_lag_on_failover: 0",
      "        max_connections: 120",
      "        shared_buffers: 256MB",
      "        work_mem: 8MB",
      "        wal_keep_size: 1GB",
      "        jit: false",
    ]) {
      assert.ok(text.split("\n").includes(line), line);
    }
    assert.doesNotMatch(text, /wal_keep_size: 128MB/);
  });

  it("D6: lets no application in but through the load balancers, and nobody without SCRAM", () => {
    const rules = accessRules(rendered());
    assert.equal(rules.length, 9);
    const outside = rules.filter((rule) => /storefront|admin/.test(rule));
    assert.deepEqual(
      outside.map((rule) => rule.split(" ")[3]),
      ["10.2.0.11/32", "10.2.0.12/32"],
    );
    for (const rule of rules.filter((one) => one.startsWith("host"))) {
      assert.match(rule, / (scram-sha-256|reject)$/);
    }
    assert.equal(rules.at(-1), "host all all all reject");
  });

  it("D6: lets the superuser in over the network from the other member only", () => {
    const rules = accessRules(rendered()).filter((rule) => rule.includes("postgres"));
    assert.deepEqual(rules, [
      "local all postgres peer",
      "host all rewinder,postgres 10.2.0.31/32 scram-sha-256",
      "host all rewinder,postgres 10.2.0.32/32 scram-sha-256",
    ]);
  });

  it("N3: holds no password, only the places of these", () => {
    assert.deepEqual(rendered().match(/@\{\w+\}/g), [
      "@{patroni_api_password}",
      "@{etcd_patroni_password}",
      "@{postgres_password}",
      "@{replicator_password}",
      "@{rewinder_password}",
    ]);
  });
});

describe("PostgreSQL's parameters", () => {
  it("D2: are this for PostgreSQL's own check", () => {
    assert.equal(renderParameters(planWith().settings), parameters);
  });

  it("D2: keep a quote in a value", () => {
    const { settings } = planWith({ database: { parameters: { log_line_prefix: "it's %m " } } });
    assert.match(renderParameters(settings), /^log_line_prefix = 'it''s %m '$/m);
  });
});

describe("principals.sql", () => {
  it("D6: is this", () => assert.equal(renderPrincipals(), principals));

  it("A5: makes nobody but postgres a superuser, and lets nobody make roles or databases", () => {
    const rights = [...renderPrincipals().matchAll(/ALTER ROLE (\w+) WITH (.*) PASSWORD/g)].map(
      ([, name, right]) => `${name}: ${right}`,
    );
    assert.deepEqual(rights, [
      "postgres: SUPERUSER LOGIN",
      "replicator: REPLICATION LOGIN",
      "rewinder: LOGIN",
      "migrator: LOGIN",
      "storefront: LOGIN",
      "admin: LOGIN",
    ]);
  });

  it("N3: keeps the passwords out of PostgreSQL's log before the first of them", () => {
    const text = renderPrincipals();
    const before = text.slice(0, text.indexOf("PASSWORD"));
    for (const setting of ["log_statement = none", "log_min_duration_statement = -1"]) {
      assert.ok(before.includes(`SET ${setting};`), setting);
    }
  });

  it("N3: leaves the script around it without passwords", () => {
    assert.doesNotMatch(principalsScript(), /@\{|PASSWORD/);
  });
});

describe("health of a database member", () => {
  it("D1: asks this member's own Patroni", () => {
    const { topology } = planWith();
    const [line] = patroniHealth(first(topology.database)).split("\n");
    assert.equal(line, "curl -sS --max-time 3 http://10.2.0.31:8008/patroni | python3 -c '");
  });
});

describe("Patroni's settings", () => {
  it("D2: go to the first member, and restarts go to both, the standby first", () => {
    const script = settingsScript(planWith().topology);
    assert.match(script, /--data @dynamic\.json http:\/\/10\.2\.0\.31:8008\/config/);
    assert.match(script, /for url in http:\/\/10\.2\.0\.31:8008 http:\/\/10\.2\.0\.32:8008; do/);
    assert.match(script, /for role in replica primary replica; do/);
  });

  it("D7, N3: identify themselves by a file; no argument holds the password", () => {
    const script = settingsScript(planWith().topology);
    assert.match(script, /--config credentials/);
    assert.doesNotMatch(script, /@\{/);
  });
});

const whole = `scope: hastack
namespace: /service/
name: db-2
restapi:
  listen: 10.2.0.32:8008
  connect_address: 10.2.0.32:8008
  authentication:
    username: patroni
    password: "@{patroni_api_password}"
etcd3:
  hosts:
    - 10.2.0.21:2379
    - 10.2.0.22:2379
    - 10.2.0.23:2379
  username: patroni
  password: "@{etcd_patroni_password}"
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    synchronous_mode_strict: false
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 100
        shared_buffers: 128MB
        wal_sender_timeout: 2s
        wal_receiver_timeout: 3s
        wal_keep_size: 128MB
        max_wal_size: 512MB
        password_encryption: scram-sha-256
        idle_in_transaction_session_timeout: 60s
        tcp_keepalives_idle: 5
        tcp_keepalives_interval: 2
        tcp_keepalives_count: 3
        log_min_duration_statement: 1s
  initdb:
    - data-checksums
    - encoding: UTF8
    - locale-provider: builtin
    - locale: C.UTF-8
postgresql:
  listen: 10.2.0.32:5432
  connect_address: 10.2.0.32:5432
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /var/lib/postgresql/17/hastack
  pgpass: /run/hastack-database/pgpass
  use_unix_socket: true
  remove_data_directory_on_diverged_timelines: true
  remove_data_directory_on_rewind_failure: true
  authentication:
    superuser:
      username: postgres
      password: "@{postgres_password}"
    replication:
      username: replicator
      password: "@{replicator_password}"
    rewind:
      username: rewinder
      password: "@{rewinder_password}"
  parameters:
    unix_socket_directories: /run/postgresql
    hastack.member: db-2
  pg_hba:
    - local all postgres peer
    - host replication replicator 10.2.0.31/32 scram-sha-256
    - host replication replicator 10.2.0.32/32 scram-sha-256
    - host all rewinder,postgres 10.2.0.31/32 scram-sha-256
    - host all rewinder,postgres 10.2.0.32/32 scram-sha-256
    - host hastack migrator,storefront,admin 10.2.0.11/32 scram-sha-256
    - host hastack migrator,storefront,admin 10.2.0.12/32 scram-sha-256
    - host hastack migrator 10.2.0.0/24 scram-sha-256
    - host all all all reject
tags:
  nofailover: false
  noloadbalance: false
`;

const parameters = `max_connections = '100'
shared_buffers = '128MB'
wal_sender_timeout = '2s'
wal_receiver_timeout = '3s'
wal_keep_size = '128MB'
max_wal_size = '512MB'
password_encryption = 'scram-sha-256'
idle_in_transaction_session_timeout = '60s'
tcp_keepalives_idle = '5'
tcp_keepalives_interval = '2'
tcp_keepalives_count = '3'
log_min_duration_statement = '1s'
`;

const principals = `-- A standby without the new password of replication cannot confirm a commit
SET synchronous_commit = local;
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
DO $$ BEGIN
  CREATE ROLE postgres;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE postgres WITH SUPERUSER LOGIN PASSWORD '@{postgres_password}';

DO $$ BEGIN
  CREATE ROLE replicator;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE replicator WITH REPLICATION LOGIN PASSWORD '@{replicator_password}';

DO $$ BEGIN
  CREATE ROLE rewinder;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE rewinder WITH LOGIN PASSWORD '@{rewinder_password}';

GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO rewinder;
DO $$ BEGIN
  CREATE ROLE migrator;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE migrator WITH LOGIN PASSWORD '@{migrator_password}';

DO $$ BEGIN
  CREATE ROLE storefront;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE storefront WITH LOGIN PASSWORD '@{storefront_password}';

DO $$ BEGIN
  CREATE ROLE admin;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE admin WITH LOGIN PASSWORD '@{admin_password}';
`;
