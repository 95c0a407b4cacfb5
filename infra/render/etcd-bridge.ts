/**
 * How a quorum without certificates goes over to TLS, and keeps its majority and its clients. Data that
 * was made without certificates makes a member start as a bridge: the others and old clients reach it
 * as before, and it speaks TLS besides. Once no client comes in the clear any more, each member in its
 * turn closes that door. A release that no longer takes over such a quorum needs none of this file.
 */
import { stringify } from "yaml";
import { ports } from "../roles.ts";
import type { Member, Topology } from "../topology.ts";
import {
  clientUrl,
  etcdConfiguration,
  etcdctlSettings,
  etcdDataDirectory,
  healthOfAll,
  peerUrl,
} from "./etcd.ts";

const plain = (url: string) => url.replace(/^https:/, "http:");

/** The configuration of a member that is a bridge. */
export function renderEtcdBridge(topology: Topology, self: Member): string {
  const bridge = {
    ...etcdConfiguration(topology, self),
    // It is reached in the clear, as the others know it, and reaches by TLS who wants that already
    "listen-peer-urls": plain(peerUrl(self)),
    // One port: etcd sees by the first bytes what a client speaks
    "listen-client-urls": `${plain(clientUrl(self))},${clientUrl(self)}`,
    // Clients ask a member where the others are; the old ones know no TLS
    "advertise-client-urls": plain(clientUrl(self)),
  };
  return stringify(bridge, { lineWidth: 0 });
}

const memberDirectory = `${etcdDataDirectory}/member`;

/** Says of data that its member speaks TLS only. etcd minds no file of others there. */
const onlyTlsMarker = `${memberDirectory}/hastack.only-tls`;

/** Script that becomes etcd; run in the folder of the workload's files. */
export const etcdStart = `#!/bin/sh -eu
umask 077
if [ ! -e ${memberDirectory}/wal ]; then
  mkdir -p ${memberDirectory}
  : > ${onlyTlsMarker}
fi
if [ -e ${onlyTlsMarker} ]
then exec etcd --config-file=etcd.yml
else exec etcd --config-file=etcd-bridge.yml
fi
`;

/**
 * Has a member speak TLS only, as the user that etcd runs as. It waits until all members are healthy,
 * before and after: with one more down there would be no majority. Runs again without harm, also after
 * it was cut off anywhere: until the member is there again, messages to it go by the streams that it
 * opens itself.
 */
export function etcdOnlyTlsScript(topology: Topology, self: Member): string {
  return `${etcdctlSettings(self)}
ETCDCTL_PASSWORD=$(cat root)
export ETCDCTL_USER=root ETCDCTL_PASSWORD
listed() { etcdctl --command-timeout=2s member list | grep -F ', ${self.name}, '; }
# etcd tells the others where clients reach it once it has started that way
is_over() { case $(listed) in *', ${peerUrl(self)}, ${clientUrl(self)},'*) ;; *) return 1 ;; esac; }
all_are_healthy() { said=$(${healthOfAll(topology)} 2>&1); }
wait_for() {
  tries=0
  until "$1" && all_are_healthy; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "$2; the members say: $said" >&2; exit 1; }
    sleep 0.5
  done
}
said='nothing yet'
if is_over; then
  echo 'etcd speaks TLS only'
  exit 0
fi
wait_for true 'all members of etcd must be healthy before ${self.name} is restarted; mend them, then run up again'
: > ${onlyTlsMarker}
etcdctl member update "$(listed | cut -d , -f 1)" --peer-urls=${peerUrl(self)} > /dev/null
# Its supervisor starts it again
kill "$(ss -Hltnp 'src ${self.backend}:${ports.etcdPeer}' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')"
wait_for is_over '${self.name} is not healthy after its restart'
echo 'etcd speaks TLS only now'`;
}
