/**
 * How a stack of a release without certificates goes over to TLS while it serves. Before anything is
 * placed, load balancers and database members are prepared to speak with members of either kind; once
 * all are placed, the database lets nobody in without TLS any more. A release that no longer takes over
 * such a stack needs none of this file.
 */
import { stringify } from "yaml";
import { authorityFile, leafFile } from "../certificates/domains.ts";
import { ports } from "../roles.ts";
import type { Member } from "../topology.ts";
import { patroniCheck, statsSocket } from "./haproxy.ts";
import { judgeState, memberTls, plaintextRules, socketDirectory } from "./patroni.ts";

/** Shell text that brings the task's certificates to the member. */
const bringFiles = (owner: string) => `install -d -m 0755 "$WORKLOAD/tls"
for file in tls/*; do
  install -o ${owner} -m "$(stat -c %a "$file")" "$file" "$WORKLOAD/$file.new"
  mv -f "$WORKLOAD/$file.new" "$WORKLOAD/$file"
done`;

/** Shell function `wait_for FUNCTION MESSAGE`, which tries twice a second. */
export const waitFor = (tries: number): string => `wait_for() {
  tries=0
  until said=$("$1" 2>&1); do
    tries=$((tries + 1))
    [ "$tries" -lt ${tries} ] || { echo "$2; the last answer: $said" >&2; exit 1; }
    sleep 0.5
  done
}`;

/**
 * What is done to the lines of haproxy.cfg: each server gets a twin that speaks TLS, or whose Patroni
 * does. Twins are backups, so that none is used before its first check. While Patroni starts anew its
 * member stays in use, and when Patroni's plain answers end no session does.
 */
const twins = [
  "s/^  description .*/& with and without TLS/",
  "s/^backend .*/&\\n  option allbackups/",
  "s/^(  default-server maxconn [0-9]+) on-marked-down shutdown-sessions$/\\1/",
  `s|^  server (\\S+) (\\S+) check port ${ports.patroni}$|& fall 20\\n  server \\1-tls \\2 backup ${patroniCheck("\\1")} on-marked-down shutdown-sessions|`,
  `s|^  server (\\S+) (\\S+) check$|&\\n  server \\1-tls \\2 backup check ssl verify required ca-file ${authorityFile("instances")} crt ${leafFile("load-balancer")}|`,
];

/** Has a load balancer find members with TLS, beside those without. */
export const balanceBothScript = `${waitFor(120)}
info() { echo 'show info' | socat -t 1 - UNIX-CONNECT:${statsSocket} 2> /dev/null | sed -n "s/^$1: //p"; }
if ! grep -q check-ssl "$WORKLOAD/haproxy.cfg"; then
  ${bringFiles("root").replaceAll("\n", "\n  ")}
  cp -p "$WORKLOAD/haproxy.cfg" "$WORKLOAD/haproxy.cfg.new"
  sed -E -i '${twins.join("\n")}' "$WORKLOAD/haproxy.cfg.new"
  (cd "$WORKLOAD" && haproxy -c -f haproxy.cfg.new)
  mv "$WORKLOAD/haproxy.cfg.new" "$WORKLOAD/haproxy.cfg"
fi
grep -q 'with and without TLS' "$WORKLOAD/haproxy.cfg" || { echo 'HAProxy knows members with TLS'; exit 0; }
wanted=$(sed -n 's/^  description //p' "$WORKLOAD/haproxy.cfg")
has_read() { [ "$(info description)" = "$wanted" ]; }
worker=$(info Pid)
[ -n "$worker" ] && ! has_read || exit 0
# The parent of a worker is HAProxy's master
kill -USR2 "$(ps -o ppid= -p "$worker" | tr -d ' ')"
wait_for has_read 'HAProxy has not read its file'
echo 'HAProxy knows members with and without TLS'`;

/** What a member's patroni.yml lacks; FOLDER stands for the folder of the member's files. */
export function renderMemberTls(): string {
  const { ctl, etcd3, parameters } = memberTls;
  return stringify(
    { ctl, etcd3: { protocol: "https", ...etcd3 }, postgresql: { parameters } },
    { lineWidth: 0, aliasDuplicateObjects: false },
  ).replaceAll("@{folder}", "FOLDER");
}

const addTls = `
import os, sys, yaml
folder = sys.argv[1]
path = folder + "/patroni.yml"
config = yaml.safe_load(open(path))
more = yaml.safe_load(open("tls.yml").read().replace("FOLDER", folder))
config.setdefault("ctl", {}).update(more["ctl"])
config["etcd3"].update(more["etcd3"])
config["postgresql"]["parameters"].update(more["postgresql"]["parameters"])
def replace(name, text):
    old = os.stat(path)
    with open(os.open(name + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.chown(name + ".new", old.st_uid, old.st_gid)
    os.rename(name + ".new", name)
# The last one rejects all others
rules = [rule for rule in config["postgresql"]["pg_hba"][:-1] if rule.startswith("host ")]
replace(folder + "/${plaintextRules}", "".join(rule + "\\n" for rule in rules))
replace(path, yaml.safe_dump(config, sort_keys=False))`;

/**
 * Has a database member speak TLS with whoever wants that, and keeps its rules for those who do not
 * yet. Patroni reads how it reaches etcd only when it starts: it is killed, which PostgreSQL survives, as
 * it does not survive Patroni's end in order. etcd speaks both then: one that had started without TLS
 * would go on to ask in the clear when that door is closed.
 */
export function offerTlsScript(self: Member): string {
  return `! grep -q verify_client "$WORKLOAD/patroni.yml" || { echo 'it speaks TLS only'; exit 0; }
${waitFor(120)}
${bringFiles("postgres")}
python3 -c '${addTls}' "$WORKLOAD"
patroni() { pkill "-$1" -o -u postgres -f '/patroni patroni.yml$'; }
has_tls() { [ "$(runuser -u postgres -- psql -h ${socketDirectory} -XAtc 'SHOW ssl' postgres)" = on ]; }
is_healthy() { curl -sS --max-time 3 http://${self.backend}:${ports.patroni}/patroni | ${judgeState}; }
patroni HUP
wait_for has_tls 'PostgreSQL does not speak TLS'
patroni KILL
sleep 1
wait_for is_healthy 'the member is not healthy after the restart of Patroni'
echo 'PostgreSQL speaks TLS with whoever wants it'`;
}

/** Takes the rules for clients without TLS away, and ends their connections. */
export const refusePlaintextScript = `${waitFor(120)}
rm -f "$WORKLOAD/${plaintextRules}"
sql() { runuser -u postgres -- psql -h ${socketDirectory} -XAt "$@" postgres; }
before=$(sql -c 'SELECT now()')
sql -c 'SELECT pg_reload_conf()' > /dev/null
is_read() { [ "$(sql -c "SELECT pg_conf_load_time() > '$before'")" = t ]; }
wait_for is_read 'PostgreSQL has not read its rules'
sql -f plaintext-end.sql | sed 's/$/ connections without TLS were ended/'`;

/** SQL that ends connections without TLS. */
export const plaintextEnd = `SELECT count(pg_terminate_backend(pid))
  FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND client_addr IS NOT NULL;
`;
