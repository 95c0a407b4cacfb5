/** etcd's configuration file, and the script that gives etcd its users. */
import { stringify } from "yaml";
import { ports } from "../roles.ts";
import type { Member, Topology } from "../topology.ts";

const clientUrl = ({ backend }: Member) => `http://${backend}:${ports.etcdClient}`;
const peerUrl = ({ backend }: Member) => `http://${backend}:${ports.etcdPeer}`;

export const etcdDataDirectory = "/var/lib/etcd/hastack";

export function renderEtcd(topology: Topology, self: Member): string {
  return stringify({
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
    // Patroni speaks to etcd through this gateway
    "enable-grpc-gateway": true,
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "1h",
    "log-level": "warn",
  });
}

/**
 * Health of a member: it answers with a quorum. While too few members run for a quorum, it is
 * enough that it listens for the others; else the first one of a new quorum would never be healthy.
 */
export function etcdHealth(topology: Topology, self: Member): string {
  const others = topology.members.quorum.filter((one) => one.name !== self.name);
  const majority = Math.floor(topology.members.quorum.length / 2) + 1;
  const listens = (member: Member) =>
    `curl -fsS --max-time 1 ${peerUrl(member)}/version > /dev/null 2>&1`;
  return [
    `curl -fsS --max-time 2 ${clientUrl(self)}/health 2>&1 | grep -F '"health":"true"' && exit 0`,
    `${listens(self)} || { echo 'its peer port does not answer'; exit 1; }`,
    "there=1",
    ...others.map((one) => `! ${listens(one)} || there=$((there + 1))`),
    `[ "$there" -lt ${majority} ] || { echo "$there members answer, but there is no quorum"; exit 1; }`,
  ].join("\n");
}

/** Users of etcd: root, and Patroni with its own keys. Runs again without harm. */
export function etcdUsersScript(topology: Topology, self: Member): string {
  return `export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${clientUrl(self)}
# With every member there: a user is known to the whole quorum or to none
until etcdctl --command-timeout=1s endpoint health --endpoints=${topology.members.quorum.map(clientUrl).join(",")} > /dev/null 2>&1 ||
  ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat root) etcdctl --command-timeout=1s auth status > /dev/null 2>&1
do
  tries=$((\${tries:-0} + 1))
  [ "$tries" -lt 60 ] || { echo 'etcd has no quorum after 60 tries, or does not accept the root password' >&2; exit 1; }
  sleep 0.5
done
if etcdctl auth status 2> /dev/null | grep -q 'Authentication Status: false'; then
  etcdctl user get root > /dev/null 2>&1 || etcdctl user add root --interactive=false < root
  etcdctl user grant-role root root > /dev/null
  etcdctl auth enable
fi
ETCDCTL_PASSWORD=$(cat root)
export ETCDCTL_USER=root ETCDCTL_PASSWORD
etcdctl role get patroni > /dev/null 2>&1 || etcdctl role add patroni
etcdctl role grant-permission patroni readwrite --prefix=true ${patroniPrefix} > /dev/null
if etcdctl user get patroni > /dev/null 2>&1
then etcdctl user passwd patroni --interactive=false < patroni
else etcdctl user add patroni --interactive=false < patroni
fi
etcdctl user grant-role patroni patroni`;
}

/** Where Patroni keeps its keys in etcd. */
export const patroniPrefix = "/service/";
