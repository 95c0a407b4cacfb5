/** Patroni's configuration: the file of each member, and the part that lives in etcd. */
import { stringify } from "yaml";
import { authorityFile, type Domain, type Leaf, leafFile } from "../certificates/domains.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import { type Member, present, type Topology } from "../topology.ts";
import { patroniPrefix } from "./etcd.ts";
import { dataCare } from "./standby-care.ts";

const clusterName = "hastack";
export const databaseName = "hastack";
/** The database, and the role, that there are for as long as `npm run prove` runs. */
export const proofName = "hastack_prove";
export const socketDirectory = "/run/postgresql";
export const binDirectory = "/usr/lib/postgresql/17/bin";
export const dataDirectory = "/var/lib/postgresql/17/hastack";

/** By which the machine of backups fetches the database's log: its role, and its replication slot. */
export const keeper = "keeper";

type DatabaseSettings = Pick<Settings, "database" | "backup">;

/** Whether somebody fetches the database's log for backups. */
const hasBackups = ({ members }: Pick<Topology, "members">): boolean => members.backup.length > 0;

/** What all members must agree on; Patroni keeps it in etcd. */
export function dynamicConfiguration(
  settings: DatabaseSettings,
  topology: Pick<Topology, "members">,
) {
  const { database } = settings;
  return {
    ttl: database.ttlSeconds,
    loop_wait: database.loopWaitSeconds,
    retry_timeout: database.retryTimeoutSeconds,
    // A primary that crashed is not given time to start again: the standby is promoted
    primary_start_timeout: 0,
    maximum_lag_on_failover: database.maximumLagOnFailoverBytes,
    synchronous_mode: true,
    synchronous_mode_strict: false,
    failsafe_mode: true,
    postgresql: {
      use_pg_rewind: true,
      use_slots: true,
      parameters: parameters(settings, topology),
    },
    // Patroni has it on both members, so that a failover leaves no gap in what is fetched
    ...(hasBackups(topology) && { slots: { [keeper]: { type: "physical" } } }),
  };
}

function parameters(
  { database, backup }: DatabaseSettings,
  topology: Pick<Topology, "members">,
): Readonly<Record<string, string | number | boolean>> {
  return {
    max_connections: database.maxConnections,
    shared_buffers: `${database.sharedBuffersMegabytes}MB`,
    // A standby or a primary that hangs is noticed after this, instead of a minute. Patroni needs another second
    // until writes wait for a lost standby no longer, and three are promised
    wal_sender_timeout: "1800ms",
    wal_receiver_timeout: "3s",
    wal_keep_size: "128MB",
    max_wal_size: "512MB",
    // Without it a standby that is away fills the primary's disk
    max_slot_wal_keep_size: `${database.maximumSlotLogMegabytes}MB`,
    password_encryption: "scram-sha-256",
    idle_in_transaction_session_timeout: "60s",
    tcp_keepalives_idle: 5,
    tcp_keepalives_interval: 2,
    tcp_keepalives_count: 3,
    log_min_duration_statement: "1s",
    // Values may be secrets, such as the hash of a password
    log_parameter_max_length: 0,
    log_parameter_max_length_on_error: 0,
    log_min_error_statement: "panic",
    ...(hasBackups(topology) && { archive_timeout: `${backup.archiveTimeoutSeconds}s` }),
    ...database.parameters,
  };
}

/** Absolute: PostgreSQL and `patronictl` run in other folders. Each file holds certificate and key. */
const pem = (leaf: Leaf) => `@{folder}/${leafFile(leaf)}`;
const authority = (domain: Domain) => `@{folder}/${authorityFile(domain)}`;

/** A member's certificates: those that it shows when it asks others, and PostgreSQL's. */
export const memberTls = {
  // Members ask each other with these, too
  ctl: { cacert: authority("patroni-api"), certfile: pem("patroni-api") },
  etcd3: { cacert: authority("quorum-client"), cert: pem("etcd-client") },
  parameters: {
    ssl: true,
    ssl_cert_file: pem("postgres"),
    ssl_key_file: pem("postgres"),
    ssl_ca_file: authority("database"),
    ssl_min_protocol_version: "TLSv1.3",
  },
};

/** How members log in, as their passwords are replaced. */
export interface MemberLogins {
  /** Patroni's user at etcd. */
  readonly etcdUser: string;
  /**
   * Whose passwords are being replaced. They are not asked for meanwhile: members know each other by their
   * certificates alone.
   */
  readonly changing: readonly ("replicator" | "rewinder" | "patroniApi")[];
}

/** Of a stack whose passwords are not being replaced. */
const settled: MemberLogins = { etcdUser: "patroni", changing: [] };

/** The file of one member; `@{…}` are secrets. */
export function renderPatroni(
  settings: DatabaseSettings,
  topology: Topology,
  self: Member,
  { etcdUser, changing }: MemberLogins = settled,
): string {
  const login = {
    authentication: { username: "patroni", password: "@{patroni_api_password}" },
  };
  const apiChanges = changing.includes("patroniApi");
  return stringify(
    {
      scope: clusterName,
      namespace: patroniPrefix,
      name: self.name,
      restapi: {
        listen: `${self.backend}:${ports.patroni}`,
        connect_address: `${self.backend}:${ports.patroni}`,
        certfile: pem("patroni-api"),
        cafile: authority("patroni-api"),
        // Whoever only asks needs no certificate; whoever changes something needs it and the password
        verify_client: "optional",
        ...(apiChanges ? {} : login),
      },
      // What a member shows to those that have not changed yet
      ctl: { ...memberTls.ctl, ...(apiChanges ? login : {}) },
      etcd3: {
        protocol: "https",
        hosts: topology.members.quorum.map((one) => `${one.backend}:${ports.etcdClient}`),
        username: etcdUser,
        password: "@{etcd_patroni_password}",
        ...memberTls.etcd3,
      },
      bootstrap: {
        dcs: dynamicConfiguration(settings, topology),
        initdb: [
          "data-checksums",
          { encoding: "UTF8" },
          { "locale-provider": "builtin" },
          { locale: "C.UTF-8" },
        ],
      },
      postgresql: {
        listen: `${self.backend}:${ports.postgres}`,
        connect_address: `${self.backend}:${ports.postgres}`,
        bin_dir: binDirectory,
        data_dir: dataDirectory,
        pgpass: "/run/hastack-database/pgpass",
        use_unix_socket: true,
        ...dataCare,
        authentication: {
          superuser: { username: "postgres", password: "@{postgres_password}" },
          replication: memberLogin("replicator"),
          rewind: memberLogin("rewinder"),
        },
        parameters: {
          ...memberTls.parameters,
          unix_socket_directories: socketDirectory,
          // Tells a client which member it has reached: SHOW hastack.member
          "hastack.member": self.name,
        },
        pg_hba: accessRules(topology, changing),
      },
      tags: { nofailover: false, noloadbalance: false },
    },
    { lineWidth: 0 },
  );
}

/** How a member logs in at the other one: both sides are verified by name. */
function memberLogin(role: "replicator" | "rewinder") {
  return {
    username: role,
    password: `@{${role}_password}`,
    sslmode: "verify-full",
    sslrootcert: authority("database"),
    sslcert: pem(role),
    sslkey: pem(role),
  };
}

/** Rules of a release without certificates, beside patroni.yml while its clients are still there. */
export const plaintextRules = "plaintext-rules.conf";

/**
 * pg_hba.conf: who may connect from where. The application's roles connect through the load
 * balancers. Which roles those are is decided by their CONNECT privilege: no rule here names them.
 * The superuser comes by the member's own socket only, and backups are fetched by a certificate alone.
 */
function accessRules(topology: Topology, changing: MemberLogins["changing"]): string[] {
  const { members, network } = topology;
  const fetched = hasBackups(topology) ? ["replication", databaseName, "postgres"] : [];
  const reserved = ["postgres", "replicator", "rewinder", ...(fetched.length > 0 ? [keeper] : [])];
  const rules = (database: string, user: string, from: readonly Member[], how = "scram-sha-256") =>
    from.map((one) => `hostssl ${database} ${user} ${one.backend}/32 ${how}`);
  // Both ask for a certificate in the role's name
  const ofMembers = (user: "replicator" | "rewinder") =>
    changing.includes(user) ? "cert" : "scram-sha-256 clientcert=verify-full";
  return [
    "local all postgres peer",
    `include_if_exists @{folder}/${plaintextRules}`,
    ...rules("replication", "replicator", members.database, ofMembers("replicator")),
    ...rules("postgres", "rewinder", members.database, ofMembers("rewinder")),
    ...fetched.flatMap((one) => rules(one, keeper, members.loadBalancer, "cert")),
    `host all ${reserved.join(",")} all reject`,
    ...rules(databaseName, "all", members.loadBalancer),
    ...rules(proofName, proofName, members.loadBalancer),
    // Migrations run before the load balancers are there
    `hostssl ${databaseName} migrator ${network.backend.subnet} scram-sha-256`,
    "host all all all reject",
  ];
}

/**
 * Script that becomes Patroni; run in the folder of the workload's files. A first start or a copy
 * that was interrupted leaves a directory that PostgreSQL cannot start from and that Patroni does
 * not replace, and a key in etcd which says that a member is creating the cluster and which blocks
 * all others. As long as that key is there PostgreSQL has never started, so nothing is lost by
 * starting over. A directory from elsewhere, for example one restored by hand, is left as it is.
 *
 * Patroni makes a cluster of whatever data the first member has when etcd knows no cluster. Kept
 * data of a member that was down at the end must not become the cluster: what the other member
 * acknowledged alone would be lost. So only data of a clean shutdown is used; otherwise the script
 * waits for the operator.
 */
export const patroniStart = `#!/bin/sh -eu
data=${dataDirectory}
marker=$data/hastack.begin-anew
adopt=$data/hastack.adopt
has() { [ -e "$data/$1" ]; }
begin_anew() {
  echo 'the making of the data directory was cut off; it begins anew'
  find "$data" -mindepth 1 ! -path "$marker" -delete
  rm -f "$marker"
}
control() { LC_ALL=C ${binDirectory}/pg_controldata "$data" 2> /dev/null | sed -n "s/^$1: *//p"; }
# As the primary; or as its standby, when the last that it replayed is how the primary ended
ended_well() {
  case $(control 'Database cluster state') in
    # One that cannot be read is Patroni's to complain about
    'shut down' | '') return 0 ;;
    'shut down in recovery') ;;
    *) return 1 ;;
  esac
  last=$(control 'Latest checkpoint location')
  end=$(control 'Minimum recovery ending location')
  [ "$last" = "$(control "Latest checkpoint's REDO location")" ] && [ "\${last%/*}" = "\${end%/*}" ] &&
    [ $((0x\${end#*/} - 0x\${last#*/})) -le 200 ]
}
no_cluster() {
  [ "$(timeout 10 python3 -c '
from patroni.config import Config
from patroni.dcs import get_dcs
if get_dcs(Config("patroni.yml")).get_cluster().initialize is None:
    print("none")')" = none ]
}
if has hastack.begin-anew; then
  begin_anew
elif has backup_label && ! has global/pg_control; then
  # pg_basebackup begins with the label and ends with the control file
  begin_anew
elif ! has postgresql.base.conf; then
  # initdb: Patroni gives this name to its file before PostgreSQL's first start. An empty directory
  # is one that initdb had not reached yet, unless another member is at it
  answer=$(python3 -c '
import os, sys
from patroni.config import Config
from patroni.dcs import get_dcs
config = Config("patroni.yml")
dcs = get_dcs(config)
cluster = dcs.get_cluster()
marker, data = sys.argv[1:]
begun = os.listdir(data) or all(one.name == config["name"] for one in cluster.members)
if cluster.initialize == "" and begun:
    open(marker, "w").close()
    dcs.cancel_initialization()
    print("unfinished")' "$marker" "$data")
  [ "$answer" != unfinished ] || begin_anew
elif has global/pg_control && ! ${binDirectory}/pg_ctl status -D "$data" > /dev/null 2>&1; then
  while ! has hastack.adopt && ! ended_well && no_cluster; do
    echo "no cluster is made of this data: its state is '$(control 'Database cluster state')', so the other member may have gone on alone and hold newer data. If it does not, create $adopt; if it does, put its $data in place of this one" >&2
    sleep 5
  done
  rm -f "$adopt"
fi
exec patroni patroni.yml
`;

/** A file of parameters only, for PostgreSQL's own check. */
export function renderParameters(
  settings: DatabaseSettings,
  topology: Pick<Topology, "members">,
): string {
  return Object.entries(parameters(settings, topology))
    .map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`)
    .join("");
}

/** Where a member's REST API is. */
export const patroniUrl = ({ backend }: Pick<Member, "backend">) =>
  `https://${backend}:${ports.patroni}`;

/** Words of a command that verifies Patroni by the files in a folder, with a slash. @default where it runs */
export const patroniCurl = (folder = ""): string =>
  `curl --cacert ${folder}${authorityFile("patroni-api")}`;

/** Command that judges what Patroni says of its member, on standard input. */
export const judgeState = `python3 -c '
import json, sys
state = json.load(sys.stdin)
role, running = state.get("role"), state.get("state") == "running"
if role in ("primary", "master") and running: sys.exit(0)
if role == "replica" and running and state.get("sync_standby"): sys.exit(0)
sys.exit("role %s, state %s, replication %s, synchronous %s" % (
    role, state.get("state"), state.get("replication_state"), state.get("sync_standby", False)))'`;

/**
 * Health of a member: Patroni and PostgreSQL serve the certificates that are in the folder, and
 * PostgreSQL runs under Patroni as primary, or as a standby that streams and that the primary waits
 * for, so that either may be touched next. Patroni passes a new certificate over where its
 * configuration changes by the same signal: it gets another one until it serves it. One that serves none is
 * starting, and the signal would end it.
 */
export function patroniHealth(self: Member): string {
  const served = (port: number, how = "") =>
    `timeout 3 openssl s_client -connect ${self.backend}:${port}${how} < /dev/null 2> /dev/null`;
  return `same() {
  shown=$(openssl x509 -noout -fingerprint 2> /dev/null) || {
    echo "$1 is not what is served: nothing is"
    return 1
  }
  [ "$shown" = "$(openssl x509 -noout -fingerprint -in "$1")" ] || {
    echo "$1 is not what is served"
    return 2
  }
}
${served(ports.patroni)} | same ${leafFile("patroni-api")} || {
  [ $? = 1 ] || pkill -HUP -f '^\\S*python3 \\S*patroni patroni.yml'
  exit 1
}
${served(ports.postgres, " -starttls postgres")} | same ${leafFile("postgres")} || exit 1
${patroniCurl()} -sS --max-time 3 ${patroniUrl(self)}/patroni | ${judgeState}`;
}

const restartBoth = `  restart_pending replica
  wait_for_standby
  restart_pending primary
  wait_for_replay
  restart_pending replica
  wait_for_standby`;

/**
 * Brings the dynamic configuration into etcd, and restarts the members where a changed parameter
 * wants that: the standby first, and the primary once that standby is synchronous again. If this
 * fails, the configuration before is put back into etcd, so that no member has to change again when
 * the operator returns to the old setting.
 */
export function settingsScript(topology: Topology): string {
  const urls = present(topology.members.database).map(patroniUrl);
  // The other one is absent, and no standby
  const isAlone = urls.length < 2;
  const curl = patroniCurl('"$WORKLOAD"/');
  return `api() {
  ${curl} --cert "$WORKLOAD/${leafFile("patroni-api")}" -sS --fail-with-body --max-time 90 --config credentials "$@"
}
# What is there is noted, so that a change by hand is seen
write() {
  api -X PUT -H 'Content-Type: application/json' --data @"$1" ${urls[0]}/config > /dev/null &&
    cp "$1" "$WORKLOAD/.dynamic"
}
state() { ${curl} -sS --max-time 3 "$1/patroni"; }
says() { case $1 in *"$2"*) ;; *) return 1 ;; esac; }

restart_pending() {
  for url in ${urls.join(" ")}; do
    seen=$(state "$url")
    says "$seen" '"pending_restart": true' && says "$seen" '"role": "'"$1"'"' || continue
    echo "restarting the $1 at $url"
    api -X POST -H 'Content-Type: application/json' \\
      --data '{"restart_pending": true, "timeout": 60}' "$url/restart"
    echo
  done
}

wait_for_standby() {
  tries=0
  until says "${urls.map((url) => `$(state ${url})`).join("")}" '"sync_standby": true'; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo 'no member is a synchronous standby' >&2; return 1; }
    sleep 1
  done
}

at() {
  for url in ${urls.join(" ")}; do state "$url" || :; echo; done | sed -n 's/.*"'"$1"'": \\([0-9]*\\).*/\\1/p' | head -n 1
}
# A standby takes a smaller number of connections, say, only once it has replayed that the primary has it
wait_for_replay() {
  tries=0
  wanted=$(at location)
  until replayed=$(at replayed_location) && [ "\${replayed:-0}" -ge "\${wanted:-0}" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo 'the standby does not follow the primary' >&2; return 1; }
    sleep 1
  done
}

change() {
  write wanted.json
  # Members look at etcd once per loop; a restart that a parameter wants is then pending
  sleep 3
${isAlone ? "  restart_pending primary" : restartBoth}
}

api ${urls[0]}/config > before.json
# A pause is the operator's, and stays
python3 -c '
import json
before, wanted = (json.load(open(name)) for name in ("before.json", "dynamic.json"))
json.dump({**wanted, **{key: before[key] for key in ("pause",) if key in before}}, open("wanted.json", "w"))'
set +e
(set -e; change)
code=$?
set -e
[ "$code" = 0 ] && echo 'the settings are in force' && exit 0
write before.json || { echo 'the settings before could not be put back in etcd' >&2; exit 1; }
echo 'the settings before are back in etcd' >&2
exit "$code"`;
}
