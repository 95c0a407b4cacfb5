/** etcd's configuration file, its health, and the script that gives etcd its users. */
import { stringify } from "yaml";
import { authorityFile, type Domain, type Leaf, leafFile } from "../certificates/domains.ts";
import { firstGeneration, type Generations, loginOf } from "../generations.ts";
import { ports } from "../roles.ts";
import { type Member, present, type Topology } from "../topology.ts";

export const clientUrl = ({ backend }: Member) => `https://${backend}:${ports.etcdClient}`;
export const peerUrl = ({ backend }: Member) => `https://${backend}:${ports.etcdPeer}`;

export const etcdDataDirectory = "/var/lib/etcd/hastack";

/** Passwords are generated, and long: a slow hash would protect nothing, and take 80 ms at each login. */
const bcryptCost = 4;
/** Key of etcd that holds the cost with which the users' passwords are hashed. */
const costKey = "hastack/bcrypt-cost";

/** Who comes without a certificate of the right authority is not heard, members and clients alike. */
const security = (leaf: Leaf, domain: Domain) => ({
  "cert-file": leafFile(leaf),
  "key-file": leafFile(leaf),
  "client-cert-auth": true,
  "trusted-ca-file": authorityFile(domain),
});

/** etcd's configuration, by its own names. Paths are from the folder of the workload's files. */
export function etcdConfiguration(topology: Topology, self: Member) {
  return {
    name: self.name,
    "data-dir": etcdDataDirectory,
    "listen-peer-urls": peerUrl(self),
    "listen-client-urls": clientUrl(self),
    "initial-advertise-peer-urls": peerUrl(self),
    "advertise-client-urls": clientUrl(self),
    "initial-cluster": topology.members.quorum
      .map((one) => `${one.name}=${peerUrl(one)}`)
      .join(","),
    "initial-cluster-token": `hastack-${topology.stack}`,
    "initial-cluster-state": "new",
    "client-transport-security": security("etcd-server", "quorum-client"),
    "peer-transport-security": security("etcd-peer", "quorum-peer"),
    "tls-min-version": "TLS1.3",
    "bcrypt-cost": bcryptCost,
    // Patroni speaks to etcd through this gateway
    "enable-grpc-gateway": true,
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "1h",
    "log-level": "warn",
  };
}

export function renderEtcd(topology: Topology, self: Member): string {
  return stringify(etcdConfiguration(topology, self), { lineWidth: 0 });
}

/** curl's words for who asks, and whom it trusts. */
const curlAs = (leaf: Leaf, domain: Domain) =>
  `--cacert ${authorityFile(domain)} --cert ${leafFile(leaf)}`;

/** Shell function: whether the member at an address serves others in the clear, as a bridge does. */
const isPlain = `is_plain() { curl -fsS --max-time 1 "http://$1:${ports.etcdPeer}/version" > /dev/null 2>&1; }`;

/**
 * Health of a member: it answers with a quorum, and serves the certificates that its files hold.
 * While too few members run for a quorum, it is enough that it listens for the others; else the first
 * one of a new quorum would never be healthy.
 */
export function etcdHealth(topology: Topology, self: Member): string {
  const others = topology.members.quorum.filter((one) => one.name !== self.name);
  const majority = Math.floor(topology.members.quorum.length / 2) + 1;
  return `${isPlain}
listens() {
  # The port agrees to HTTP/2, and then speaks none
  curl -fsS --http1.1 --max-time 1 ${curlAs("etcd-peer", "quorum-peer")} "https://$1:${ports.etcdPeer}/version" > /dev/null 2>&1 ||
    is_plain "$1"
}
fingerprint() { openssl x509 -noout -fingerprint -sha256 "$@" 2> /dev/null; }
serves() {
  served=$(timeout 2 openssl s_client -connect "${self.backend}:$1" -cert "$2" 2> /dev/null < /dev/null | fingerprint)
  [ "$served" = "$(fingerprint -in "$2")" ] || { echo "port $1 does not serve the certificate $2"; exit 1; }
}
if curl -fsS --max-time 2 ${curlAs("etcd-server", "quorum-client")} ${clientUrl(self)}/health 2>&1 | grep -F '"health":"true"'
then serves ${ports.etcdClient} ${leafFile("etcd-server")}
else
  listens ${self.backend} || { echo 'its peer port does not answer'; exit 1; }
  there=1
  for other in ${others.map(({ backend }) => backend).join(" ")}; do
    ! listens $other || there=$((there + 1))
  done
  [ "$there" -lt ${majority} ] || { echo "$there members answer, but there is no quorum"; exit 1; }
fi
is_plain ${self.backend} || serves ${ports.etcdPeer} ${leafFile("etcd-peer")}`;
}

/**
 * Shell text for a task on the workload: etcdctl speaks with the member's own certificate.
 * @param asked whom it asks @default the member
 */
export function etcdctlSettings(self: Member, asked: readonly Member[] = [self]): string {
  const own = `"$WORKLOAD/${leafFile("etcd-server")}"`;
  const trusted = `"$WORKLOAD/${authorityFile("quorum-client")}"`;
  return `export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${asked.map(clientUrl).join(",")}
export ETCDCTL_CACERT=${trusted} ETCDCTL_CERT=${own} ETCDCTL_KEY=${own}`;
}

/** Shell command that succeeds where all of these members are healthy. It needs no login. */
export function healthOf(members: readonly Member[]): string {
  // etcdctl refuses its option beside the variable
  return `ETCDCTL_ENDPOINTS=${members.map(clientUrl).join(",")} etcdctl --command-timeout=1s endpoint health`;
}

/**
 * Users of etcd: root, and Patroni with its own keys. Where they are there it changes nothing: any
 * change may refuse a request of Patroni's that is under way. A password's hash keeps the cost that it
 * was made with, so passwords are set anew where no key says that theirs is the configured one.
 * @param generations of Patroni's password; each has a user of its own
 */
export function etcdUsersScript(
  topology: Topology,
  self: Member,
  generations: Generations = firstGeneration,
): string {
  const users = generations.map((one) => loginOf("patroni", one));
  const former = [1, 2].map((one) => loginOf("patroni", one)).filter((one) => !users.includes(one));
  return `${etcdctlSettings(self)}
# The password may be being replaced
accepted() {
  for file in root root-other; do
    [ -e "$file" ] || continue
    ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat "$file") etcdctl --command-timeout=1s auth status 2> /dev/null | grep -q 'Status: true' || continue
    cat "$file"
    return
  done
  return 1
}
# With every member there: a user is known to the whole quorum or to none
until ${healthOf(present(topology.members.quorum))} > /dev/null 2>&1 || accepted > /dev/null
do
  tries=$((\${tries:-0} + 1))
  [ "$tries" -lt 60 ] || { echo 'a member of etcd is not healthy after 60 tries, and etcd does not accept the root password' >&2; exit 1; }
  sleep 0.5
done
if etcdctl auth status 2> /dev/null | grep -q 'Authentication Status: false'; then
  etcdctl user get root > /dev/null 2>&1 || etcdctl user add root --interactive=false < root
  etcdctl user grant-role root root > /dev/null
  etcdctl auth enable
fi
ETCDCTL_PASSWORD=$(accepted || cat root)
export ETCDCTL_USER=root ETCDCTL_PASSWORD
is_hashed() { [ "$(etcdctl get ${costKey} --print-value-only)" = ${bcryptCost} ]; }
logs_in() {
  ETCDCTL_USER=$1 ETCDCTL_PASSWORD=$(cat "$1") etcdctl get --limit=1 --prefix ${patroniPrefix} > /dev/null 2>&1
}
done_before=true
is_hashed || done_before=false
if [ "$done_before" = false ] || [ "$ETCDCTL_PASSWORD" != "$(cat root)" ]; then
  etcdctl user passwd root --interactive=false < root
  ETCDCTL_PASSWORD=$(cat root)
fi
changed=false
give() {
  ! { [ "$done_before" = true ] && logs_in "$1"; } || return 0
  changed=true
  etcdctl role get patroni > /dev/null 2>&1 || etcdctl role add patroni
  etcdctl role grant-permission patroni readwrite --prefix=true ${patroniPrefix} > /dev/null
  if etcdctl user get "$1" > /dev/null 2>&1
  then etcdctl user passwd "$1" --interactive=false < "$1"
  else etcdctl user add "$1" --interactive=false < "$1"
  fi
  etcdctl user grant-role "$1" patroni
}
${users.map((user) => `give ${user}\n`).join("")}${former
  .map((user) => `! etcdctl user get ${user} > /dev/null 2>&1 || etcdctl user delete ${user}\n`)
  .join("")}[ "$changed" = true ] || echo 'the users are there'
[ "$done_before" = true ] || etcdctl put ${costKey} ${bcryptCost} > /dev/null`;
}

/** Where Patroni keeps its keys in etcd. */
export const patroniPrefix = "/service/";
